"""Problems of settings are told in our words, whatever is wrong with whichever setting of whichever section."""

import datetime
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Discriminator, Field, Tag, ValidationError, model_validator

import nrray
from nrray.config import Section
from nrray.setting_problems import KNOWN_KINDS, setting_problems

LIBRARY_WORDS = ("Input should be", "Value error,", "[type=", "input_value", "pydantic", "List should", "String should")

WRONG: tuple[Any, ...] = (
    *(None, "text", "", "A" * 1000, -1, 0, 1, 2.5, 10**9, 1e300, 10**5000, float("nan"), float("inf"), True),
    *([], {}, [1], ["a"], [[1]], {"a": 1}, {"a": None}, {1: 2}, {"zzz": {"b": 1}}, [{"zzz": 1}]),
    *(datetime.date(2020, 1, 1), b"x", {1, 2}),  # YAML has them too
)


@cache
def sections() -> list[type[Section]]:
    """Every section of the product."""
    for module in pkgutil.walk_packages(nrray.__path__, "nrray."):
        if ".workshop" not in module.name and ".renderers." not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)

    def below(cls: type[Section]) -> Iterator[type[Section]]:
        for inner in cls.__subclasses__():
            yield inner
            yield from below(inner)

    found = {cls for cls in below(Section) if cls.__module__.startswith("nrray.") and not inspect.isabstract(cls)}
    return sorted(found, key=lambda cls: cls.__name__)


def problems(cls: type[BaseModel], data: Any) -> list[str]:
    with pytest.raises(ValidationError) as raised:
        cls.model_validate(data)
    return setting_problems(cls, raised.value)


def test_whatever_is_given_to_any_setting_is_refused_in_our_words():
    assert len(sections()) > 50
    num_refused = 0
    for cls in sections():
        for name, field in cls.model_fields.items():
            key = field.alias or name
            for value in WRONG:
                try:
                    cls.model_validate({key: value})
                except ValidationError as error:
                    lines = setting_problems(cls, error)
                    num_refused += 1
                    where = f"{cls.__name__}.{key}={str(value)[:40] if not isinstance(value, int) else '...'}: {lines}"
                    assert lines, where
                    assert not any(word in line for line in lines for word in LIBRARY_WORDS), where
                    assert not any("another value (" in line for line in lines), where
                    kinds = {problem["type"]: problem["msg"] for problem in error.errors()}
                    unknown = {kind for kind in kinds if kind not in KNOWN_KINDS}
                    assert all(kinds[kind].startswith("expected ") for kind in unknown), where
    assert num_refused > 3000


class Red(Section):
    kind: Literal["red"] = "red"
    depth: int = Field(1, ge=1)


class Blue(Section):
    kind: Literal["blue"] = "blue"
    share: float = Field(0.5, gt=0, lt=1)


class Inner(Section):
    name: str = "x"


class Every(Section):
    count: int = Field(3, ge=1, le=9)
    share: float = Field(0.5, gt=0, lt=1, allow_inf_nan=False)
    even: int = Field(2, multiple_of=2)
    switch: bool = False
    text: str = Field("a", min_length=1)
    name: str = Field("a", pattern="^[a-z]+$")
    workers: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    values: tuple[int, ...] | dict[str, float] = ()
    colour: Literal["red", "blue"] = "red"
    many: tuple[Inner, ...] = ()
    some: list[str] = Field(["a"], min_length=1)
    by_name: dict[str, Inner] = Field(default_factory=dict)
    maybe: Inner | None = None
    paint: Annotated[
        Annotated[Red, Tag("red")] | Annotated[Blue, Tag("blue")],
        Discriminator(lambda value: value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)),
    ] = Red()


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ({"count": 0}, "count: found 0, expected 1 or more"),
        ({"count": 10}, "count: found 10, expected 9 or less"),
        ({"count": "many"}, "count: found 'many', expected a whole number"),
        ({"count": 2.5}, "count: found 2.5, expected a whole number"),
        ({"count": None}, "count: found nothing, expected a whole number"),
        ({"share": 0}, "share: found 0, expected more than 0"),
        ({"share": 1}, "share: found 1, expected less than 1"),
        ({"share": float("nan")}, "share: found nan, expected a number that is finite"),
        ({"share": [1]}, "share: found [1], expected a number"),
        ({"even": 3}, "even: found 3, expected a multiple of 2"),
        ({"switch": "maybe"}, "switch: found 'maybe', expected true or false"),
        ({"text": ""}, "text: found '', expected text of 1 or more characters"),
        ({"text": 5}, "text: found 5, expected text (in quotes where it looks like something else)"),
        ({"name": "A"}, "name: found 'A', expected text of the form ^[a-z]+$"),
        ({"workers": 0}, "workers: found 0, expected 1 or more, or 'auto'"),
        ({"workers": "all"}, "workers: found 'all', expected a whole number, or 'auto'"),
        ({"values": {"low": "a"}}, "values.low: found 'a', expected a number"),
        ({"values": 1}, "values: found 1, expected a list, or a mapping of keys to values"),
        ({"colour": "green"}, "colour: found 'green', expected 'red' or 'blue'"),
        ({"many": {"name": "a"}}, "many: found {'name': 'a'}, expected a list"),
        ({"many": [{"nmae": "a"}]}, "many.0.nmae: unknown key; did you mean 'many.0.name'?"),
        ({"some": []}, "some: found [], expected 1 or more items"),
        (
            {"by_name": {"left": {"name": 5}}},
            "by_name.left.name: found 5, expected text (in quotes where it looks like",
        ),
        ({"by_name": {1: {}}}, "by_name.1: found 1, expected text (in quotes"),
        ({"maybe": "x"}, "maybe: found 'x', expected a mapping of keys to values"),
        ({"maybe": {"nmae": "x"}}, "maybe.nmae: unknown key; did you mean 'maybe.name'?"),
        ({"paint": {"kind": "red", "depth": 0}}, "paint.depth: found 0, expected 1 or more"),
        ({"paint": {"kind": "blue", "depth": 1}}, "paint.depth: unknown key; known keys: kind, share"),
        ({"zzz": 1}, "zzz: unknown key; known keys: by_name, colour, count,"),
    ],
)
def test_each_kind_of_problem_says_what_was_found_and_what_was_expected(data, line):
    (found,) = problems(Every, data)
    assert found.startswith(line)


def test_a_whole_number_too_long_to_be_written_is_told():
    (found,) = problems(Every, {"colour": 10**5000})
    assert found == "colour: found a number of very many digits, expected 'red' or 'blue'"


class Checked(Section):
    low: int = 1
    high: int = 2

    @model_validator(mode="after")
    def _in_order(self) -> "Checked":
        if self.high < self.low:
            raise ValueError(f"expected low before high, found {self.low} and {self.high}")
        return self


class Outer(Section):
    inner: Checked = Checked()


def test_a_sentence_of_our_own_stands_as_it_is_with_the_path_before_it():
    assert problems(Checked, {"low": 5}) == ["expected low before high, found 5 and 2"]
    assert problems(Outer, {"inner": {"low": 5}}) == ["inner: expected low before high, found 5 and 2"]
