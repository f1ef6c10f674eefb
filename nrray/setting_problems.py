"""The problems of settings as sentences of ours: what was found, what was expected. No word of the library that checks them
reaches a user."""

import difflib
import types
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ValidationError

_MAX_SHOWN = 77  # characters of a value that was found

_WHOLE, _NUMBER, _LIST, _MAPPING = "a whole number", "a number", "a list", "a mapping of keys to values"
_EXPECTED: dict[str, Callable[[Mapping[str, Any]], str]] = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), lambda given: _WHOLE),
    "int_parsing_size": lambda given: f"{_WHOLE} of fewer digits",
    **dict.fromkeys(("float_type", "float_parsing"), lambda given: _NUMBER),
    "finite_number": lambda given: "a number that is finite",
    **dict.fromkeys(("bool_type", "bool_parsing"), lambda given: "true or false"),
    "string_type": lambda given: "text (in quotes where it looks like something else)",
    "string_too_short": lambda given: f"text of {given['min_length']} or more characters",
    "string_pattern_mismatch": lambda given: f"text of the form {given['pattern']}",
    "greater_than": lambda given: f"more than {given['gt']:g}",
    "greater_than_equal": lambda given: f"{given['ge']:g} or more",
    "less_than": lambda given: f"less than {given['lt']:g}",
    "less_than_equal": lambda given: f"{given['le']:g} or less",
    "multiple_of": lambda given: f"a multiple of {given['multiple_of']:g}",
    **dict.fromkeys(("enum", "literal_error"), lambda given: str(given["expected"])),
    **dict.fromkeys(("list_type", "tuple_type"), lambda given: _LIST),
    "too_short": lambda given: f"{given['min_length']} or more items",
    "too_long": lambda given: f"{given['max_length']} or fewer items",
    **dict.fromkeys(("dict_type", "model_type", "dataclass_type"), lambda given: _MAPPING),
    "invalid_key": lambda given: "text as the key",
}
"""The expectation of a value by the kind of its problem, made of the problem's facts."""

KNOWN_KINDS = frozenset({*_EXPECTED, "missing", "extra_forbidden", "unexpected_keyword_argument", "value_error"})


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where a problem is: the keys that lead there, as a user writes them, and the types that may stand at their end."""

    keys: tuple[str, ...]
    parents: tuple[Any, ...]

    @property
    def text(self) -> str:
        return ".".join(self.keys)


def setting_problems(cls: type[BaseModel], error: ValidationError, *, without: Container[str] = ()) -> list[str]:
    """One line per setting that has a problem, each with its path: `pools.decoders: found 0, expected 1 or more, or 'auto'`.
    A misspelt key is told with its closest match. `without`: kinds of problems that are told elsewhere."""
    problems: dict[str, list[tuple[_Place, Mapping[str, Any]]]] = {}
    for problem in error.errors(include_url=False):
        if problem["type"] in without:
            continue
        place = _place(cls, problem["loc"])
        problems.setdefault(place.text, []).append((place, problem))
    # Of a value that one of several types fits but for what is in it, it is not told that it is none of the others.
    outer = {path for path in problems if any(other.startswith(f"{path}.") for other in problems)}
    return [line for path, here in problems.items() if path not in outer for line in _lines(path, here)]


def value_problem(error: ValidationError) -> str:
    """The problems of one value, such as a word of a command line, as a sentence: `found 'x', expected a whole number`."""
    nowhere = _Place(keys=(), parents=())
    return "; ".join(_lines("", [(nowhere, problem) for problem in error.errors(include_url=False)]))


def _lines(path: str, here: Sequence[tuple[_Place, Mapping[str, Any]]]) -> list[str]:
    """Of the problems at one place: where several types may stand there, each of them has its own."""
    prefix = f"{path}: " if path else ""
    lines, expected = [], []
    for place, problem in here:
        kind = problem["type"]
        if kind == "missing":
            lines.append(f"{prefix}is required and was not given")
        elif kind in ("extra_forbidden", "unexpected_keyword_argument"):
            lines.append(f"{prefix}unknown key{_hint(place)}")
        elif kind == "value_error":
            lines.append(prefix + _own_sentence(problem))
        else:
            expected.append(_expectation(problem))
    if expected:
        lines.append(f"{prefix}found {_shown(here[0][1]['input'])}, expected {', or '.join(dict.fromkeys(expected))}")
    return list(dict.fromkeys(lines))


def _expectation(problem: Mapping[str, Any]) -> str:
    words = _EXPECTED.get(problem["type"])
    if words is not None:
        return words(problem.get("ctx", {}))
    if problem["msg"].startswith("expected "):  # a kind of ours, with a message of ours
        return str(problem["msg"]).removeprefix("expected ")
    return f"another value ({problem['type'].replace('_', ' ')})"


def _own_sentence(problem: Mapping[str, Any]) -> str:
    """The sentence of a check of ours, after what was found where it does not say that itself."""
    sentence = str(problem.get("ctx", {}).get("error", problem["msg"]))
    if "found" in sentence or isinstance(problem["input"], dict):
        return sentence
    return f"found {_shown(problem['input'])}: {sentence}"


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python writes
        return "a number of very many digits"
    return text if len(text) <= _MAX_SHOWN + 3 else text[:_MAX_SHOWN] + "..."


def _hint(place: _Place) -> str:
    *parents, last = place.keys
    known = sorted({name for kind in place.parents for name in _fields(kind)})
    close = difflib.get_close_matches(last, known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean '{'.'.join([*parents, *close])}'?"
    return f"; known keys: {', '.join(known) or 'none'}"


def _place(cls: type[BaseModel], location: Sequence[int | str]) -> _Place:
    """`location` without the marks that stand in it for the types that were tried."""
    keys: list[str] = []
    parents: tuple[Any, ...] = (cls,)
    kinds: tuple[Any, ...] = (cls,)
    for part in location:
        if len(kinds) > 1:  # one of several types was tried: this part names it
            kinds = tuple(kind for kind in kinds if _is_named(kind, part)) or kinds
            if not any(str(part) in _fields(kind) for kind in kinds) or len(kinds) == 1:
                continue
        if part == "[key]":
            continue
        keys.append(str(part))
        parents = kinds
        kinds = tuple(inner for kind in kinds for inner in _inner(kind, part))
    return _Place(keys=tuple(keys), parents=parents)


def _is_named(kind: Any, part: int | str) -> bool:
    """Whether `part` of a location is the mark of a type: its name, or the value of its key `kind`."""
    if (origin := get_origin(kind)) in (dict, list, tuple):
        return str(part).startswith(f"{origin.__name__}[")
    names = {getattr(kind, "__name__", str(kind))}
    field = _fields(kind).get("kind")
    names.update(map(str, get_args(field)) if get_origin(field) is Literal else ())
    return str(part) in names


def _inner(kind: Any, part: int | str) -> tuple[Any, ...]:
    """The types that may stand at `part` of a value of the type `kind`; none where that is not known."""
    if fields := _fields(kind):
        return _alternatives(fields.get(str(part)))
    arguments = get_args(kind)
    if get_origin(kind) is dict and len(arguments) == 2:
        return _alternatives(arguments[1])
    if get_origin(kind) in (list, tuple) and arguments:
        return _alternatives(arguments[0])
    return ()


def _fields(kind: Any) -> dict[str, Any]:
    """Names and types of the fields of a section or a dataclass; of another type none."""
    if not isinstance(kind, type) or get_args(kind):
        return {}
    if issubclass(kind, BaseModel):
        return {field.alias or name: field.annotation for name, field in kind.model_fields.items()}
    return dict(get_type_hints(kind)) if hasattr(kind, "__dataclass_fields__") else {}


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    """The types that an annotation allows, but for None."""
    if annotation is None or annotation is type(None):
        return ()
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(kind for argument in get_args(annotation) for kind in _alternatives(argument))
    return (annotation,)
