"""What a judge says of an activity, read strictly: yes, no, not stated, or nothing that can be read. No torch."""

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from nrray.labels import LabelSet
from nrray.models.strategies.answers import goes_round, parse_answer, words_of
from nrray.types import LabelState

PARSER = "verdicts/2"  # name and version, of which the identity of outputs is made
NOT_STATED = "not stated"


class Verdict(str, Enum):
    """What a caption says of an activity."""

    YES = "yes"
    NO = "no"
    NOT_STATED = NOT_STATED
    BOTH = "both"  # it claims and denies it
    UNREADABLE = "unreadable"


class NotStated(str, Enum):
    """The state of an activity of which a caption says nothing."""

    UNSURE = "unsure"
    ABSENT = "absent"  # for captioners that tell all that they see


def state_of(verdict: Verdict, not_stated: NotStated) -> LabelState:
    """The state that a verdict is."""
    return {
        Verdict.YES: LabelState.PRESENT,
        Verdict.NO: LabelState.ABSENT,
        Verdict.NOT_STATED: LabelState(not_stated.value),
        Verdict.BOTH: LabelState.UNSURE,
        Verdict.UNREADABLE: LabelState.UNPARSED,
    }[verdict]


_NOT_STATED = re.compile(
    r"[\"'*`(\[ ]*not[ _-]stated\b[\"'*`)\] ]*[.!]?[\"'*` ]*(?P<rest>.*)", re.IGNORECASE | re.DOTALL
)
_PLAIN_WORDS = re.compile(r"\b(yes|no|present|absent)\b", re.IGNORECASE)


def parse_verdict(answer: str) -> Verdict:
    """A judge's answer about one activity: its opening words decide, and one that goes on to say something else is unreadable."""
    match = _NOT_STATED.match(answer.strip())
    if match is not None:
        return Verdict.UNREADABLE if _PLAIN_WORDS.search(match["rest"]) else Verdict.NOT_STATED
    if re.search(r"\bnot[ _-]stated\b", answer, re.IGNORECASE):
        return Verdict.UNREADABLE
    return _BY_STATE.get(parse_answer(answer), Verdict.UNREADABLE)


_BY_STATE = {LabelState.PRESENT: Verdict.YES, LabelState.ABSENT: Verdict.NO}


def parse_verdicts(answer: str, names: Sequence[str]) -> dict[str, Verdict]:
    """Of a judge's answer with one JSON object, name to verdict. A key that is missing or said twice, and a value that is none of
    yes, no, not stated, true, false and null, are unreadable; so is everything where there is no object, or a second one."""
    found = _one_object(answer)
    return {name: _verdict_of(found.get(name, _MISSING)) for name in names}


def worded_verdict(caption: str, name: str, label_set: LabelSet) -> Verdict:
    """What the label set's claims say that a caption says of one activity. A caption in letters that no claim is written in
    cannot be read by them."""
    if not is_readable(caption) or _is_foreign(caption, label_set):
        return Verdict.UNREADABLE
    is_claimed, is_denied = label_set.claimed_and_denied(caption, name)
    if is_claimed:
        return Verdict.BOTH if is_denied else Verdict.YES
    return Verdict.NO if is_denied else Verdict.NOT_STATED


def is_readable(caption: str) -> bool:
    """Whether a text can be a caption: it has words, is no refusal, and does not go round in a circle."""
    words = words_of(caption)
    return len(words) >= 2 and _REFUSAL.search(caption) is None and not goes_round(words)


def _is_foreign(caption: str, label_set: LabelSet) -> bool:
    """Whether most letters are of scripts, such as Latin or Cyrillic, in which the label set claims nothing."""
    known = set(map(_script, " ".join(claim for name in label_set.names for claim in label_set.claims(name))))
    letters = [_script(char) for char in caption if char.isalpha()]
    return sum(script not in known for script in letters) > len(letters) / 2


def _script(char: str) -> str:
    """The first word of a character's name, which for letters is that of their script."""
    return unicodedata.name(char, "").split(" ", 1)[0]


_REFUSAL = re.compile(
    r"\b(?:i\s*(?:am|'m|\u2019m)\s+(?:sorry|unable|not\s+able)|i\s+(?:can\s?not|can't|can\u2019t|could\s+not|couldn't)|"
    r"as\s+an\s+ai|unable\s+to\s+(?:assist|help|describe|provide))\b",
    re.IGNORECASE,
)
_MISSING = object()
_TWICE = object()


def _verdict_of(value: Any) -> Verdict:
    if value is None:
        return Verdict.NOT_STATED
    if isinstance(value, bool):
        return Verdict.YES if value else Verdict.NO
    word = value.strip().lower().replace("_", " ").replace("-", " ") if isinstance(value, str) else ""
    return {"yes": Verdict.YES, "no": Verdict.NO, NOT_STATED: Verdict.NOT_STATED}.get(word, Verdict.UNREADABLE)


def _one_object(answer: str) -> Mapping[str, Any]:
    """The answer's JSON object, alone, in a fence or with prose around it; empty where there is none, or more than one."""
    start = answer.find("{")
    if start < 0:
        return {}
    try:
        found, end = json.JSONDecoder(object_pairs_hook=_marked).raw_decode(answer, start)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and "{" not in answer[end:] else {}


def _marked(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    return {name: value if names.count(name) == 1 else _TWICE for name, value in pairs}
