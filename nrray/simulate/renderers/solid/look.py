"""What a case's `Appearance` has no word for, drawn from the case's own seed: devices, hands, clothes, lamps, the room."""

import colorsys
from dataclasses import dataclass
from enum import Enum

import numpy as np

from nrray.simulate.appearance import Appearance, Colour


class Ventilator(Enum):
    """The device that ventilates."""

    BAG = "bag"  # self-inflating: a hand squeezes it
    T_PIECE = "t_piece"  # of a gas supply: a finger closes its hole


class Sucker(Enum):
    """The device that sucks."""

    TUBE = "tube"
    BULB = "bulb"  # a syringe of rubber: a hand squeezes it


@dataclass(frozen=True, kw_only=True)
class HandLook:
    """One person's hands and forearms. Materials are names of the model's."""

    size: float
    tint: Colour
    material: str
    arm_tint: Colour
    arm_material: str
    arm_width: float  # relative: a sleeve is wider than a bare forearm
    nails: bool
    finger: float  # thickness, relative
    spread: float
    reach: float  # length of the fingers, relative


@dataclass(frozen=True, kw_only=True)
class Thing:
    """Something that lies on the table: `kind` 0 rod, 1 box, 2 disc."""

    x: float
    y: float
    turn: float  # radians
    kind: int
    tint: Colour


@dataclass(frozen=True, kw_only=True)
class Furniture:
    """Something that stands around: `kind` 0 cupboard, 1 pole, 2 monitor, 3 bucket."""

    x: float  # canvas pixels
    y: float
    size: float
    kind: int
    tint: Colour


@dataclass(frozen=True, kw_only=True)
class Look:
    """Shapes and surfaces of one case."""

    ventilator: Ventilator
    sucker: Sucker
    at_nose: bool  # suction at the nose, not the mouth
    by_thumb: bool  # the hole of the T-piece is closed by the hand that holds the mask
    has_reservoir: bool  # behind the bag
    dome: float  # height of the mask
    clearness: float  # alpha of the mask
    rim: float
    accent: Colour  # of connectors and hoses
    leader: HandLook
    helper: HandLook
    head: float  # relative sizes of the newborn
    trunk: float
    limb: float
    hat: Colour | None
    nappy: Colour | None
    towel: Colour | None  # under the newborn
    towel_turn: float
    clamp: bool  # of the cord
    cloth_kind: int
    floor_kind: int
    wall: Colour
    table: Colour
    table_height: float
    rail: float  # height of the table's sides, 0 for none
    things: tuple[Thing, ...]
    furniture: tuple[Furniture, ...]
    ambient: float  # light from everywhere
    key: float  # of the lamp that throws shadows
    fills: tuple[tuple[float, float, float], ...]  # further lamps, at least one: strength, direction x, direction y
    lamp_turn: float  # radians
    lamp_slant: float  # sideways, relative to its height
    lamp_tint: tuple[float, float, float]


_ADULT_SKINS: tuple[Colour, ...] = ((236, 196, 170), (214, 164, 132), (186, 132, 98), (142, 94, 66), (98, 64, 46))


def drawn_look(appearance: Appearance) -> Look:
    """The look of a case; a pure function of its appearance."""
    random = np.random.default_rng([appearance.texture_seed, 77])
    fills = tuple(
        (float(random.uniform(0.05, 0.22)), float(random.uniform(-1.5, 1.5)), float(random.uniform(-1.5, 1.5)))
        for _ in range(int(random.integers(1, 3)))
    )
    ambient = float(random.uniform(0.36, 0.72))
    warmth = float(random.normal(0, 0.07))
    return Look(
        ventilator=Ventilator.T_PIECE if random.random() < 1 / 3 else Ventilator.BAG,
        sucker=Sucker.BULB if random.random() < 1 / 3 else Sucker.TUBE,
        at_nose=bool(random.random() < 0.3),
        by_thumb=bool(random.random() < 0.4),
        has_reservoir=bool(random.random() < 0.5),
        dome=float(random.uniform(7, 12)),
        clearness=float(random.uniform(0.5, 0.95)),
        rim=float(random.uniform(2.0, 3.5)),
        accent=_colour(random, (0.0, 0.5), (0.55, 0.95)),
        leader=_hand_look(random, appearance.hand_size, appearance.glove, appearance.sleeve),
        helper=_hand_look(random, appearance.hand_size, appearance.helper_glove, appearance.helper_sleeve),
        head=float(random.uniform(0.93, 1.07)),
        trunk=float(random.uniform(0.9, 1.1)),
        limb=float(random.uniform(0.8, 1.2)),
        hat=_colour(random, (0.05, 0.7), (0.5, 0.97)) if random.random() < 0.4 else None,
        nappy=_colour(random, (0.0, 0.15), (0.85, 0.97)) if random.random() < 0.75 else None,
        towel=_colour(random, (0.05, 0.6), (0.5, 0.95)) if random.random() < 0.5 else None,
        towel_turn=float(random.uniform(-0.3, 0.3)),
        clamp=bool(random.random() < 0.7),
        cloth_kind=int(random.integers(9)),
        floor_kind=int(random.integers(5)),
        wall=_colour(random, (0.0, 0.4), (0.35, 0.95)),
        table=_colour(random, (0.0, 0.35), (0.35, 0.95)),
        table_height=float(random.uniform(40, 120)),
        rail=float(random.uniform(6, 18)) if random.random() < 0.5 else 0.0,
        things=tuple(_thing(random) for _ in range(int(random.integers(0, 6)))),
        furniture=tuple(_furniture(random) for _ in range(int(random.integers(2, 8)))),
        ambient=ambient,
        key=float(1.28 - ambient - 0.5 * sum(strength for strength, _, _ in fills)) * float(random.uniform(0.85, 1.1)),
        fills=fills,
        lamp_turn=float(random.uniform(0, 2 * np.pi)),
        lamp_slant=float(random.uniform(0.1, 0.7)),
        lamp_tint=(1 + warmth, 1 + float(random.normal(0, 0.03)), 1 - warmth),
    )


def _colour(random: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(random.random(), random.uniform(*saturation), random.uniform(*value))
    return round(255 * red), round(255 * green), round(255 * blue)


def _hand_look(random: np.random.Generator, size: float, glove: Colour, sleeve: Colour) -> HandLook:
    gloved, sleeved = bool(random.random() < 0.65), bool(random.random() < 0.6)
    skin = _ADULT_SKINS[int(random.integers(len(_ADULT_SKINS)))]
    return HandLook(
        size=size,
        tint=glove if gloved else skin,
        material="rubber" if gloved else "adult",
        arm_tint=sleeve if sleeved else skin,
        arm_material="fabric" if sleeved else "adult",
        arm_width=float(random.uniform(0.9, 1.15)) if sleeved else float(random.uniform(0.62, 0.78)),
        nails=not gloved,
        finger=float(random.uniform(0.85, 1.25)),
        spread=float(random.uniform(0.75, 1.3)),
        reach=float(random.uniform(0.9, 1.15)),
    )


def _thing(random: np.random.Generator) -> Thing:
    return Thing(
        x=float(random.uniform(120, 284)),
        y=float(random.uniform(20, 46) if random.random() < 0.5 else random.uniform(196, 220)),
        turn=float(random.uniform(0, np.pi)),
        kind=int(random.integers(3)),
        tint=_colour(random, (0.1, 0.9), (0.3, 0.95)),
    )


def _furniture(random: np.random.Generator) -> Furniture:
    angle, distance = random.uniform(0, 2 * np.pi), random.uniform(1.0, 1.7)
    return Furniture(
        x=float(160 + 260 * distance * np.cos(angle)),
        y=float(120 + 215 * distance * np.sin(angle)),
        size=float(random.uniform(0.7, 1.5)),
        kind=int(random.integers(4)),
        tint=_colour(random, (0.0, 0.7), (0.25, 0.95)),
    )
