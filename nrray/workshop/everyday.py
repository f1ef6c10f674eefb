"""Scenes of an everyday world: things on a table, hands that do something with them or keep still, people who pass.

In: a seed and a number. Out: a scene whose facts and motion are exact. Knows no pixels and no words.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeVar

import numpy as np

OptionT = TypeVar("OptionT")

CANVAS_PX = 160  # a scene is laid out on a square of this side; a camera sees most of it


class Kind(str, Enum):
    """Things."""

    BALL = "ball"
    BALLOON = "balloon"
    BOOK = "book"
    BOTTLE = "bottle"
    BOWL = "bowl"
    BOX = "box"
    CLOTH = "cloth"
    CUP = "cup"
    PILLOW = "pillow"
    RING = "ring"
    SPONGE = "sponge"
    TOY = "toy"


class Stick(str, Enum):
    """Long things, which are put into others."""

    BRUSH = "brush"
    PENCIL = "pencil"
    SPOON = "spoon"
    STRAW = "straw"


class Deed(str, Enum):
    """How a hand is engaged with a thing. Each that moves has one that is the same but still: no frame tells the two apart."""

    SQUEEZE = "squeeze"
    WAVE = "wave"
    HOLD = "hold"  # the still one of both
    RUB = "rub"
    REST = "rest"
    ROAM = "roam"  # beside the thing, touching nothing
    WAIT = "wait"
    STIR = "stir"  # a stick that is in the thing
    DIP = "dip"
    SWAY = "sway"  # a stick beside the thing
    POINT = "point"


STILL_OF: Mapping[Deed, Deed] = {
    Deed.SQUEEZE: Deed.HOLD,
    Deed.WAVE: Deed.HOLD,
    Deed.RUB: Deed.REST,
    Deed.ROAM: Deed.WAIT,
    Deed.STIR: Deed.DIP,
    Deed.SWAY: Deed.POINT,
}
STICK_DEEDS = frozenset({Deed.STIR, Deed.DIP, Deed.SWAY, Deed.POINT})
TOUCHING_DEEDS = frozenset({Deed.SQUEEZE, Deed.WAVE, Deed.HOLD, Deed.RUB, Deed.REST})
SOFT = (Kind.BALL, Kind.BALLOON, Kind.BOTTLE, Kind.CLOTH, Kind.PILLOW, Kind.SPONGE, Kind.TOY)
OPEN = (Kind.BOTTLE, Kind.BOWL, Kind.BOX, Kind.CUP, Kind.RING)
_RATES_HZ: Mapping[Deed, tuple[float, float]] = {
    Deed.SQUEEZE: (0.5, 1.5),
    Deed.WAVE: (0.4, 1.5),
    Deed.RUB: (0.7, 2.5),
    Deed.ROAM: (0.5, 2.2),
    Deed.STIR: (0.4, 1.6),
    Deed.SWAY: (0.4, 1.6),
}
_MOTIONS = tuple(STILL_OF)
_HAND_SHARES = (0.06, 0.5, 0.44)  # of scenes with no, one and two hands
_MOVING_SHARE = 0.55
_PASSER_SHARE = 0.15


@dataclass(frozen=True, kw_only=True)
class Thing:
    """A thing that lies on the table. x, y: of its middle; radius_px: about half its width; all on the canvas."""

    kind: Kind
    x: float
    y: float
    radius_px: float
    angle: float  # radians


@dataclass(frozen=True, kw_only=True)
class Swing:
    """A motion to and fro. rate_hz; phase and unevenness of its course; reach: share of the greatest stroke; direction:
    radians; roundness: 0 along a line, 1 in a circle."""

    rate_hz: float
    phase: float
    unevenness: float
    reach: float
    direction: float
    roundness: float

    def at(self, t: float) -> tuple[float, float]:
        """Two places of the motion at `t` seconds, a quarter of a turn apart, each in [-1, 1]."""
        turn = 2 * math.pi * self.rate_hz * t + self.phase
        turn += self.unevenness * math.sin(turn) + 0.5 * self.unevenness * math.sin(0.37 * turn)
        return math.cos(turn), math.sin(turn)


@dataclass(frozen=True, kw_only=True)
class Hand:
    """A hand and its deed. thing: the index of its thing; angle: the direction in which its arm reaches, radians; side: 1 or
    -1, on which its thumb is; gap: between the hand and the thing that it is beside, in the thing's radii."""

    deed: Deed
    thing: int
    stick: Stick | None
    angle: float
    side: int
    palm_px: float
    gap: float
    swing: Swing
    tremor_px: float

    def place(self, t: float) -> tuple[float, float]:
        """The swing at `t`, which stays where it was at 0 for a deed that is still."""
        return self.swing.at(t if is_moving(self.deed) else 0.0)

    def tremor(self, t: float) -> tuple[float, float]:
        """(dx, dy) px by which a hand is never quite still."""
        turn = t + self.swing.phase
        return self.tremor_px * math.sin(2.1 * turn), self.tremor_px * math.cos(1.3 * turn + 1)


@dataclass(frozen=True, kw_only=True)
class Passer:
    """Somebody who passes at an edge, 0 to 3. start: where on the edge at 0 s; speed: edges/s; reach_px: into the canvas."""

    edge: int
    start: float
    speed: float
    reach_px: float


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What is there, and the seed of its looks."""

    seed: tuple[int, ...]
    things: tuple[Thing, ...]
    hands: tuple[Hand, ...]
    passer: Passer | None


def is_moving(deed: Deed) -> bool:
    return deed in STILL_OF


def everyday_scene(*seed: int) -> Scene:
    """The scene of these numbers: one to three things of different kinds, no more hands than things."""
    random = np.random.default_rng(seed)
    num_hands = int(random.choice(len(_HAND_SHARES), p=_HAND_SHARES))
    deeds = [drawn_deed(random) for _ in range(num_hands)]
    num_things = max(num_hands, int(random.integers(1, 4)))
    kinds: list[Kind] = []
    for number in range(num_things):
        fitting = _fitting_kinds(deeds[number]) if number < num_hands else tuple(Kind)
        kinds.append(choice(random, [kind for kind in fitting if kind not in kinds]))
    things = _laid_out(random, kinds)
    hands = tuple(_hand(random, things, number, deed) for number, deed in enumerate(deeds))
    things = (*(_turned_to(thing, hand) for thing, hand in zip(things, hands, strict=False)), *things[num_hands:])
    passer = None
    if random.random() < _PASSER_SHARE:
        forward = random.random() < 0.5
        speed = random.uniform(0.15, 0.35)
        start = random.uniform(-0.1, 0.3)
        passer = Passer(
            edge=int(random.integers(4)),
            start=start if forward else 1 - start,
            speed=speed if forward else -speed,
            reach_px=random.uniform(32, 56),
        )
    return Scene(seed=seed, things=things, hands=hands, passer=passer)


def drawn_deed(random: np.random.Generator) -> Deed:
    """A motion, or as often the deed that is the same but still."""
    motion = choice(random, _MOTIONS)
    return motion if random.random() < _MOVING_SHARE else STILL_OF[motion]


def _fitting_kinds(deed: Deed) -> tuple[Kind, ...]:
    if deed in (Deed.SQUEEZE, Deed.HOLD):
        return SOFT
    return OPEN if deed in STICK_DEEDS else tuple(Kind)


def _laid_out(random: np.random.Generator, kinds: list[Kind]) -> tuple[Thing, ...]:
    """Things apart from each other, as far as there is room."""
    scale = random.uniform(0.85, 1.3)
    things: list[Thing] = []
    for kind in kinds:
        radius = scale * random.uniform(15, 24)
        places = random.uniform(34, CANVAS_PX - 34, (12, 2))
        rooms = [
            min((math.hypot(x - thing.x, y - thing.y) - radius - thing.radius_px for thing in things), default=0.0)
            for x, y in places
        ]
        x, y = places[int(np.argmax(np.minimum(rooms, 12)))]  # the first that is far enough, or the farthest
        things.append(
            Thing(kind=kind, x=float(x), y=float(y), radius_px=radius, angle=float(random.uniform(-math.pi, math.pi)))
        )
    return tuple(things)


def _hand(random: np.random.Generator, things: tuple[Thing, ...], number: int, deed: Deed) -> Hand:
    low, high = _RATES_HZ[deed if is_moving(deed) else _motion_of(deed)]
    return Hand(
        deed=deed,
        thing=number,
        stick=choice(random, tuple(Stick)) if deed in STICK_DEEDS else None,
        angle=_arm_angle(random, things, number, deed),
        side=int(random.choice((-1, 1))),
        palm_px=random.uniform(0.6, 0.95) * max(18.0, things[number].radius_px),
        gap=random.uniform(0.35, 0.9),
        swing=Swing(
            rate_hz=random.uniform(low, high),
            phase=random.uniform(0, 2 * math.pi),
            unevenness=random.uniform(0, 0.5),
            reach=random.uniform(0.45, 1.0),
            direction=random.uniform(0, 2 * math.pi),
            roundness=random.choice((0.0, 0.0, 0.3, 1.0)),
        ),
        tremor_px=random.uniform(0, 0.8),
    )


def _turned_to(thing: Thing, hand: Hand) -> Thing:
    """A bottle whose neck is towards the hand that puts a stick into it."""
    is_entered = hand.deed in (Deed.STIR, Deed.DIP) and thing.kind is Kind.BOTTLE
    return replace(thing, angle=hand.angle - math.pi / 2) if is_entered else thing


def _arm_angle(random: np.random.Generator, things: tuple[Thing, ...], number: int, deed: Deed) -> float:
    """Of some directions the one whose hand is best in view and whose arm covers the least of other things."""
    thing = things[number]
    others = [other for other in things if other is not thing]
    back_px = (1.2 if deed in TOUCHING_DEEDS else 2.6) * thing.radius_px

    def merit(angle: float) -> float:
        ahead = math.cos(angle), math.sin(angle)
        x, y = thing.x - back_px * ahead[0], thing.y - back_px * ahead[1]
        edge = min(x, y, CANVAS_PX - x, CANVAS_PX - y) - 20
        total = min(max(edge, -40.0), 10.0)
        for other in others:
            along = max(0.0, (x - other.x) * ahead[0] + (y - other.y) * ahead[1])
            apart = math.hypot(x - along * ahead[0] - other.x, y - along * ahead[1] - other.y) - other.radius_px
            total += min(max(apart - 14, -35.0), 5.0)
        return total

    return float(max(random.uniform(-math.pi, math.pi, 16), key=merit))


def _motion_of(still: Deed) -> Deed:
    return next(motion for motion, other in STILL_OF.items() if other is still)


def choice(random: np.random.Generator, options: Sequence[OptionT]) -> OptionT:
    return options[int(random.integers(len(options)))]
