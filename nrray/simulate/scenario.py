"""The scenario of a case: episodes on two tracks, airway and body. No pixels.

Episode lengths and shares are near the field's (arXiv 2602.12002: ventilation in 0.28, stimulation in 0.12, suction in
0.13 of all clips, a visible newborn in 0.84), scaled to short cases. Beside the activities there are look-alikes that
show the same things without the motion that makes them an activity.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

import numpy as np


class Airway(str, Enum):
    """Episodes at the face. One at a time: ventilation and suction exclude each other."""

    NOTHING = "nothing"
    VENTILATION = "ventilation"  # mask on the face, bag squeezed
    MASK_STILL = "mask_still"  # mask on the face, bag held, pressed or not, but not squeezed
    MASK_BESIDE = "mask_beside"  # mask and bag held beside the face
    BAG_TESTED = "bag_tested"  # bag squeezed with the mask off the face
    SUCTION = "suction"  # tube at the mouth, moving
    TUBE_STILL = "tube_still"  # tube held at the lips, not in the mouth, not moving
    TUBE_BESIDE = "tube_beside"  # tube lying beside the head
    TUBE_WAVED = "tube_waved"  # tube moved, away from the face


class Body(str, Enum):
    """Episodes at trunk and limbs."""

    NOTHING = "nothing"
    STIMULATION = "stimulation"  # trunk rubbed
    HAND_RESTING = "hand_resting"  # hand on the trunk, still
    LIMB_RUBBED = "limb_rubbed"  # a leg rubbed: not stimulation by the field's definition
    HAND_HOVERING = "hand_hovering"  # hand moved over the cloth beside the trunk


KindT = TypeVar("KindT", Airway, Body)


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One interval of one track. `rate_hz` and `phase` are those of its motion, `variant` draws its geometry."""

    kind: Airway | Body
    start_s: float
    end_s: float
    rate_hz: float
    phase: float
    variant: float  # [0, 1)


@dataclass(frozen=True, kw_only=True)
class Passing:
    """Somebody crosses the edge of the picture, or leans over the table; `side` is 0 to 3, `reach` how far in."""

    start_s: float
    end_s: float
    side: int
    reach: float
    forward: bool


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Case time in seconds, 0 at the first camera's first frame."""

    arrival_s: float  # the newborn comes into view
    departure_s: float  # the newborn leaves the view; the case's end where it stays
    airway: tuple[Episode, ...]
    body: tuple[Episode, ...]
    passings: tuple[Passing, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Habit:
    """Weight of an episode in the draw, range of its length, range of the rate of its motion."""

    weight: float
    seconds: tuple[float, float]
    rate_hz: tuple[float, float]


# A still look-alike fills about as much time as the activity that it looks like, so that one frame cannot tell them
# apart: motion alone does. Shares of time come out near the study's prevalences.
AIRWAY_HABITS: dict[Airway, _Habit] = {
    Airway.NOTHING: _Habit(weight=0.16, seconds=(3.0, 9.0), rate_hz=(0.0, 0.0)),
    Airway.VENTILATION: _Habit(weight=0.20, seconds=(9.0, 30.0), rate_hz=(0.6, 1.1)),  # 36 to 66 a minute
    Airway.MASK_STILL: _Habit(weight=0.18, seconds=(6.0, 20.0), rate_hz=(0.0, 0.0)),
    Airway.MASK_BESIDE: _Habit(weight=0.05, seconds=(3.0, 8.0), rate_hz=(0.0, 0.0)),
    Airway.BAG_TESTED: _Habit(weight=0.05, seconds=(3.0, 7.0), rate_hz=(0.6, 1.1)),
    Airway.SUCTION: _Habit(weight=0.18, seconds=(6.0, 17.0), rate_hz=(0.7, 1.4)),
    Airway.TUBE_STILL: _Habit(weight=0.17, seconds=(5.0, 14.0), rate_hz=(0.0, 0.0)),
    Airway.TUBE_BESIDE: _Habit(weight=0.05, seconds=(3.0, 8.0), rate_hz=(0.0, 0.0)),
    Airway.TUBE_WAVED: _Habit(weight=0.05, seconds=(3.0, 7.0), rate_hz=(0.7, 1.4)),
}
BODY_HABITS: dict[Body, _Habit] = {
    Body.NOTHING: _Habit(weight=0.60, seconds=(6.0, 24.0), rate_hz=(0.0, 0.0)),
    Body.STIMULATION: _Habit(weight=0.08, seconds=(6.0, 20.0), rate_hz=(1.1, 2.4)),
    Body.HAND_RESTING: _Habit(weight=0.16, seconds=(6.0, 18.0), rate_hz=(0.0, 0.0)),
    Body.LIMB_RUBBED: _Habit(weight=0.09, seconds=(4.0, 12.0), rate_hz=(1.1, 2.4)),
    Body.HAND_HOVERING: _Habit(weight=0.09, seconds=(3.0, 9.0), rate_hz=(0.4, 1.2)),
}

# Factors on the weights of an episode after another: a pause of ventilation, and ventilation again.
FOLLOWS: Mapping[tuple[Airway | Body, Airway | Body], float] = {
    (Airway.VENTILATION, Airway.MASK_STILL): 2.0,
    (Airway.VENTILATION, Airway.MASK_BESIDE): 2.0,
    (Airway.MASK_STILL, Airway.VENTILATION): 2.0,
    (Airway.MASK_BESIDE, Airway.VENTILATION): 3.0,
    (Airway.SUCTION, Airway.TUBE_STILL): 2.0,
    (Airway.TUBE_STILL, Airway.SUCTION): 2.0,
    (Airway.SUCTION, Airway.VENTILATION): 2.0,
}

LEANING_REACH = 0.75  # a passer who reaches further in has an arm over the table
CARRY_SECONDS = 1.5  # from the edge of the picture to the table


def drawn_scenario(random: np.random.Generator, case_seconds: float) -> Scenario:
    """A plausible scenario: an empty table, arrival, episodes, sometimes a departure."""
    arrival_s = random.uniform(0.05, 0.15) * case_seconds
    leaves = random.random() < 0.35
    departure_s = case_seconds * random.uniform(0.88, 0.96) if leaves else case_seconds
    busy = (arrival_s + CARRY_SECONDS, departure_s - (CARRY_SECONDS if leaves else 0.0))
    # Drying and stimulation often come first.
    first = Body.STIMULATION if random.random() < 0.3 else Body.NOTHING
    return Scenario(
        arrival_s=arrival_s,
        departure_s=departure_s,
        airway=_episodes(random, AIRWAY_HABITS, busy, first=Airway.NOTHING),
        body=_episodes(random, BODY_HABITS, busy, first=first),
        passings=_passings(random, case_seconds),
    )


def _episodes(
    random: np.random.Generator,
    habits: Mapping[KindT, _Habit],
    span_s: tuple[float, float],
    *,
    first: KindT,
) -> tuple[Episode, ...]:
    kinds = list(habits)
    weights = np.array([habits[kind].weight for kind in kinds])
    at, end = span_s
    kind = first
    episodes = []
    while at < end:
        habit = habits[kind]
        length = random.uniform(*habit.seconds)
        episodes.append(
            Episode(
                kind=kind,
                start_s=at,
                end_s=min(at + length, end),
                rate_hz=random.uniform(*habit.rate_hz),
                phase=random.uniform(0, 2 * np.pi),
                variant=random.random(),
            )
        )
        at += length
        likely = np.array([FOLLOWS.get((kind, candidate), 1.0) for candidate in kinds])
        allowed = weights * likely * np.array([candidate is not kind for candidate in kinds])
        kind = kinds[random.choice(len(kinds), p=allowed / allowed.sum())]
    return tuple(episodes)


def _passings(random: np.random.Generator, case_seconds: float) -> tuple[Passing, ...]:
    """Somebody passes by about every half minute."""
    passings = []
    at = random.uniform(2, 40)
    while at < case_seconds:
        length = random.uniform(2.0, 6.0)
        passings.append(
            Passing(
                start_s=at,
                end_s=at + length,
                side=int(random.integers(4)),
                reach=random.uniform(0.4, 1.0),
                forward=bool(random.random() < 0.5),
            )
        )
        at += length + random.uniform(8, 50)
    return tuple(passings)


def episode_at(episodes: tuple[Episode, ...], t: float) -> Episode | None:
    """The episode that is going on at case time `t`."""
    return next((episode for episode in episodes if episode.start_s <= t < episode.end_s), None)


def activity_spans(scenario: Scenario) -> dict[str, list[tuple[float, float]]]:
    """Activity name to its spans in case seconds."""
    spans: dict[str, list[tuple[float, float]]] = {
        "baby_visible": [(scenario.arrival_s, scenario.departure_s)],
        "ventilation": [],
        "stimulation": [],
        "suction": [],
    }
    for episode in (*scenario.airway, *scenario.body):
        if episode.kind.value in spans:
            spans[episode.kind.value].append((episode.start_s, episode.end_s))
    return spans
