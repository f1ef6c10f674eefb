"""Answers parsed strictly: what is not plainly one of the answers that were asked for is unparsed, and never "no". Every parser
is total: no text raises. Each has a name and version, which stand in the identity of outputs: one that reads any text otherwise
is another version."""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from nrray.types import LabelState

PARSER = "plain_yes_or_no/2"
NAMES_PARSER = "names/1"
OBJECT_PARSER = "json_booleans/1"
VECTOR_PARSER = "zeros_and_ones/1"
SCORED_PARSER = "first_token/1"

MAX_CHARS = 20_000
"""A longer text is no answer: a model that has lost itself repeats for as long as it is let."""

ROUNDS = 4
NONE = "none"
_UNKNOWN = "unknown"
_PLAIN = re.compile(
    # "no" before another word is its determiner ("No idea", "No information is given"), and no answer.
    r"(?:(?P<yes>yes)\b|no\b(?![^\S\n]*[^\W_]))(?![-'\u2019][^\W_])(?P<rest>.*)",
    flags=re.IGNORECASE | re.DOTALL,
)
_DOUBT = re.compile(
    r"\b(?:unsure|uncertain|unclear|unknown|maybe|perhaps|(?:not|hardly|n't|n\u2019t)\s+(?:\w+\s+)?(?:sure|certain|clear|possible)|"
    r"(?:can\s?not|can't|can\u2019t|could\s+not|couldn't|unable\s+to|impossible\s+to|hard\s+to|difficult\s+to)\s+(?:\w+\s+)?"
    r"(?:tell|say|see|know|determine|be\s+determined|judge|answer|confirm|assess|make\s+out)|(?:do\s+not|don't|don\u2019t)\s+know)\b",
    flags=re.IGNORECASE,
)
_WORDS = re.compile(r"\b(yes|no)\b", flags=re.IGNORECASE)
_FENCED = re.compile(r"```\w*(?P<inside>.*)```", flags=re.DOTALL)
_BRACKETS = ("[]", "()", "{}")
_BULLET = re.compile(r"(?:[-*\u2022]|\d{1,2}[.)])\s+")
_BLANKS = re.compile(r"[\s_-]+")


def parse_answer(answer: str) -> LabelState:
    """PRESENT for an answer that opens with yes, ABSENT for one that opens with a "no" that stands by itself, else UNPARSED.

    An answer that says both ("Yes and no", "No, wait: yes"), one that goes on to doubt itself ("No, I cannot tell"), one that
    goes round in a circle and one longer than MAX_CHARS are unparsed too.
    """
    if len(answer) > MAX_CHARS or goes_round(words_of(answer)):
        return LabelState.UNPARSED
    match = _PLAIN.match(answer.strip().lstrip("\"'*`([ ").lstrip())
    if match is None:
        return LabelState.UNPARSED
    word = "no" if match["yes"] is None else "yes"
    if any(other.lower() != word for other in _WORDS.findall(match["rest"])) or _DOUBT.search(match["rest"]):
        return LabelState.UNPARSED
    return LabelState.PRESENT if word == "yes" else LabelState.ABSENT


def words_of(text: str) -> list[str]:
    """The words of a text in any script, in lower case, without figures and punctuation."""
    return re.findall(r"[^\W\d_]+", text.lower())


def goes_round(words: Sequence[str]) -> bool:
    """Whether words end in the same one to eight of them, said ROUNDS times in a row."""
    for length in range(1, 9):
        if len(words) >= ROUNDS * length and list(words[-length:]) * ROUNDS == list(words[-length * ROUNDS :]):
            return True
    return False


def parse_names(answer: str, names: Sequence[str]) -> tuple[LabelState, ...] | None:
    """The state of each of `names`: PRESENT for those that the answer lists, ABSENT for the others; None for an answer that is
    not a list of different names of these, or the word none alone. Names stand behind commas, semicolons, bullets, "and" or on
    lines of their own, in any case of letters; a name that is not known, or stands twice, makes the answer no list."""
    text = _unwrapped(answer)
    if text is None or not text:
        return None
    known = {_plain_name(name): place for place, name in enumerate(names)}
    items = [item for part in re.split(r"[,;\n]", text) if (item := _plain_name(_item(part)))]
    if items == [NONE]:
        return (LabelState.ABSENT,) * len(names)
    found: list[int] = []
    for item in items:
        for name in [item] if item in known else item.split(" and "):
            place = known.get(name)
            if place is None or place in found:
                return None
            found.append(place)
    if not found:
        return None
    return tuple(LabelState.PRESENT if place in found else LabelState.ABSENT for place in range(len(names)))


def parse_object(answer: str, names: Sequence[str]) -> tuple[LabelState, ...] | None:
    """The state of each of `names` in the one JSON object of an answer: PRESENT for true, ABSENT for false, UNSURE for null, and
    UNPARSED for a key that is missing, stands twice or has another value. None for an answer without an object, or with several.

    The object may stand in a fence or in prose: prose is not read. Keys of other names are not read either.
    """
    if len(answer) > MAX_CHARS:
        return None
    objects = _objects(answer)
    if len(objects) != 1:
        return None
    values: dict[str, list[Any]] = {}
    for key, value in objects[0]:
        values.setdefault(_plain_name(key), []).append(value)
    return tuple(_truth(values.get(_plain_name(name), [])) for name in names)


def parse_vector(answer: str, num_activities: int) -> tuple[LabelState, ...] | None:
    """The states that as many zeros and ones say, and nothing else: PRESENT for 1, ABSENT for 0. They may stand in brackets or in
    a fence, behind commas, blanks or nothing. None for any other answer, or another number of them."""
    text = _unwrapped(answer)
    if text is None:
        return None
    if text[:1] + text[-1:] in _BRACKETS:
        text = text[1:-1].strip()
    digits = re.fullmatch(r"[01](?:\s*[,;]\s*[01]|\s*[01])*", text)
    if digits is None:
        return None
    found = re.findall("[01]", digits[0])
    if len(found) != num_activities:
        return None
    return tuple(LabelState.PRESENT if digit == "1" else LabelState.ABSENT for digit in found)


def scored_answer(names: Sequence[str], probabilities: Sequence[float]) -> str:
    """The answer to a question of which only the choices are scored, the likeliest first: `yes 0.61; no 0.02`. float32
    probabilities are read back as they were; one that is NaN is unknown."""
    ranked = sorted(
        zip(names, map(float, probabilities), strict=True), key=lambda item: -1.0 if math.isnan(item[1]) else item[1]
    )
    return "; ".join(f"{name} {_UNKNOWN if math.isnan(value) else f'{value:.9g}'}" for name, value in reversed(ranked))


def parse_scored(answer: str, names: Sequence[str]) -> Mapping[str, float] | None:
    """The probability of each of `names`, as `scored_answer` wrote them, NaN for one that is unknown; None for any other text."""
    found: dict[str, float] = {}
    for item in answer.split("; ") if len(answer) <= MAX_CHARS else ():
        name, _, number = item.rpartition(" ")
        if name in found or re.fullmatch(rf"\d(?:\.\d+)?(?:e-\d+)?|{_UNKNOWN}", number, flags=re.ASCII) is None:
            return None
        found[name] = math.nan if number == _UNKNOWN else float(number)
    return found if set(found) == set(names) else None


def _unwrapped(answer: str) -> str | None:
    """An answer without the fence, quotes, bold type and full stop around it; None for one that is too long."""
    if len(answer) > MAX_CHARS:
        return None
    text = answer.strip()
    fenced = _FENCED.fullmatch(text)
    text = fenced["inside"] if fenced is not None else text
    return text.strip().strip("\"'*`").strip().removesuffix(".").strip().strip("\"'*`").strip()


def _item(text: str) -> str:
    """One name of a list without what sets it apart."""
    bare = re.sub(r"^and\s+", "", _BULLET.sub("", text.strip(), count=1), flags=re.IGNORECASE)
    return bare.strip().strip("\"'*`").removesuffix(".").strip().strip("\"'*`")


def _plain_name(name: str) -> str:
    return _BLANKS.sub(" ", name.strip()).casefold()


def _objects(text: str) -> list[list[tuple[str, Any]]]:
    """Every JSON object that stands in a text by itself, as pairs; none where the text has braces that are no object."""
    decoder = json.JSONDecoder(object_pairs_hook=_Pairs)
    found, position = [], text.find("{")
    while position >= 0:
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):  # also of a number of too many digits
            return []
        found.append(list(value))
        position = text.find("{", end)
    return found


class _Pairs(list[tuple[str, Any]]):
    """The pairs of a JSON object, with keys that stand twice."""


def _truth(values: Sequence[Any]) -> LabelState:
    if len(values) != 1:
        return LabelState.UNPARSED
    if values[0] is None:
        return LabelState.UNSURE
    if isinstance(values[0], bool):
        return LabelState.PRESENT if values[0] else LabelState.ABSENT
    return LabelState.UNPARSED


def alike_names(names: Sequence[str]) -> list[str]:
    """Those that read the same as another one in an answer."""
    counts = Counter(map(_plain_name, names))
    return [name for name in names if counts[_plain_name(name)] > 1]
