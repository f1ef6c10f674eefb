"""The content of a window in words of a closed grammar: facts to a caption, and a caption back to the facts it claims.

One sentence each for the newborn, the object at the face, the hand on the body, and other people.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum
from typing import TypeVar

from nrray.simulate.scenario import LEANING_REACH, Airway, Body, Episode, Scenario


class Newborn(str, Enum):
    """Whether one lies on the table."""

    THERE = "there"
    ABSENT = "absent"


class Others(str, Enum):
    """People beside those at work."""

    NOBODY = "nobody"
    PASSING = "passing"
    LEANING = "leaning"  # an arm over the table


@dataclass(frozen=True, kw_only=True)
class SceneFacts:
    """Facts that hold for most of a window."""

    newborn: Newborn
    airway: Airway
    body: Body
    others: Others


SEEN_SHARE = 0.01  # of the picture, over a window: of whom less is seen at its edge, nothing is told

_SENTENCES: Mapping[str, Mapping[Enum, str]] = {
    "newborn": {
        Newborn.THERE: "A newborn lies on the table.",
        Newborn.ABSENT: "The table is empty.",
    },
    "airway": {
        Airway.NOTHING: "Nothing is at the face.",
        Airway.VENTILATION: "A mask is on the face and a hand squeezes the bag.",
        Airway.MASK_STILL: "A mask is on the face and the bag is still.",
        Airway.MASK_BESIDE: "A mask is held beside the face and the bag is still.",
        Airway.BAG_TESTED: "A mask is held beside the face and a hand squeezes the bag.",
        Airway.SUCTION: "A tube moves in the mouth.",
        Airway.TUBE_STILL: "A tube is held still at the mouth.",
        Airway.TUBE_BESIDE: "A tube lies beside the head.",
        Airway.TUBE_WAVED: "A tube moves beside the face.",
    },
    "body": {
        Body.NOTHING: "No hand is on the body.",
        Body.STIMULATION: "A hand rubs the trunk.",
        Body.HAND_RESTING: "A hand rests on the trunk.",
        Body.LIMB_RUBBED: "A hand rubs a leg.",
        Body.HAND_HOVERING: "A hand moves over the cloth.",
    },
    "others": {
        Others.NOBODY: "Nobody else is there.",
        Others.PASSING: "Somebody passes.",
        Others.LEANING: "Somebody leans over the table.",
    },
}
SLOTS: tuple[str, ...] = tuple(field.name for field in fields(SceneFacts))

KindT = TypeVar("KindT", Airway, Body)


def window_facts(scenario: Scenario, start_s: float, end_s: float, *, passers_share: float) -> SceneFacts:
    """Facts that hold for most of [start_s, end_s) of case time. passers_share: how much of the picture passers cover, a mean
    over the window, in [0, 1]: a camera with a narrow view does not see everybody who comes by."""
    seconds = end_s - start_s
    there = _overlap(scenario.arrival_s, scenario.departure_s, start_s, end_s)
    others = Others.NOBODY
    if passers_share >= SEEN_SHARE:
        longest = max(scenario.passings, key=lambda passing: _overlap(passing.start_s, passing.end_s, start_s, end_s))
        others = Others.LEANING if longest.reach > LEANING_REACH else Others.PASSING
    return SceneFacts(
        newborn=Newborn.THERE if there >= 0.5 * seconds else Newborn.ABSENT,
        airway=_longest(scenario.airway, start_s, end_s, otherwise=Airway.NOTHING),
        body=_longest(scenario.body, start_s, end_s, otherwise=Body.NOTHING),
        others=others,
    )


def caption_of(facts: SceneFacts) -> str:
    """The caption that says exactly these facts."""
    return " ".join(_SENTENCES[slot][getattr(facts, slot)] for slot in SLOTS)


def claims_of(caption: str) -> dict[str, Enum | None]:
    """Slot to the caption's claim about it; None where it says nothing of the grammar's, or two things at once."""
    claims: dict[str, Enum | None] = {}
    for slot, sentences in _SENTENCES.items():
        said = [fact for fact, sentence in sentences.items() if sentence in caption]
        claims[slot] = said[0] if len(said) == 1 else None
    return claims


def all_sentences() -> list[str]:
    """Every sentence of the grammar, for the tokenizer's vocabulary."""
    return [sentence for sentences in _SENTENCES.values() for sentence in sentences.values()]


def _overlap(start: float, end: float, window_start: float, window_end: float) -> float:
    return max(0.0, min(end, window_end) - max(start, window_start))


def _longest(episodes: tuple[Episode, ...], start_s: float, end_s: float, *, otherwise: KindT) -> KindT:
    shares = {otherwise: end_s - start_s}  # time without an episode
    for episode in episodes:
        kind = type(otherwise)(episode.kind)
        overlap = _overlap(episode.start_s, episode.end_s, start_s, end_s)
        if overlap and kind is not otherwise:
            shares[kind] = shares.get(kind, 0.0) + overlap
            shares[otherwise] -= overlap
    return max(shares, key=lambda kind: shares[kind])
