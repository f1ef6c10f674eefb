"""Colours, equipment and room of one case: what the case's appearance leaves open is drawn from its texture seed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from nrray.simulate.appearance import Appearance, Colour
from nrray.simulate.renderers.textured.choreography import Stations
from nrray.simulate.renderers.textured.hands import HandLook
from nrray.simulate.renderers.textured.newborn import NewbornLook, mouth_of
from nrray.simulate.renderers.textured.textures import woven

GLOVES: tuple[Colour, ...] = (
    (70, 110, 190),
    (225, 225, 220),
    (130, 95, 175),
    (120, 190, 205),
    (205, 190, 150),
    (55, 60, 66),
)
SCRUBS: tuple[Colour, ...] = (
    (40, 105, 110),
    (45, 75, 130),
    (95, 140, 120),
    (110, 50, 75),
    (150, 165, 185),
    (55, 60, 80),
)
SKINS: tuple[Colour, ...] = ((236, 200, 178), (214, 168, 138), (176, 124, 92), (128, 84, 60), (92, 60, 44))
WALLS: tuple[Colour, ...] = ((205, 212, 208), (190, 200, 215), (220, 210, 190), (170, 190, 180), (150, 160, 175))
PLASTICS: tuple[Colour, ...] = ((190, 215, 225), (120, 175, 190), (170, 205, 160), (225, 205, 130), (150, 140, 200))
HAIRS: tuple[Colour, ...] = ((40, 30, 26), (80, 58, 40), (130, 100, 66))


@dataclass(frozen=True, kw_only=True)
class Look:
    """One case."""

    newborn: NewbornLook
    provider: HandLook
    helper: HandLook
    passer: Colour
    passer_skin: Colour
    has_t_piece: bool
    has_bulb: bool
    plastic: Colour  # of the bag
    clear: Colour  # of the mask
    rubber: Colour  # of the tube or bulb
    airway_side: float
    wall: Colour
    wall_side: int
    table: Colour
    table_half: tuple[float, float]
    lamp: tuple[float, float, float]
    light: tuple[float, float, float]  # colour of the key light
    key: float  # its strength
    shadow: float
    turn: float  # radians of the first camera around the table


def drawn_look(appearance: Appearance) -> Look:
    """Everything that the pictures of this case share."""
    random = np.random.default_rng([appearance.texture_seed, 0x7E87])
    wrapped = appearance.wrapped
    image = (
        woven(random, appearance.wrap, appearance.cloth_mark, int(random.integers(4)), size=128, count=3)
        if wrapped
        else None
    )
    newborn = NewbornLook(
        skin=appearance.skin,
        size=0.96 * appearance.size,
        head_yaw=float(random.uniform(-0.45, 0.45)),
        hat=_toned(random, appearance.wrap, 0.2) if random.random() < 0.45 else None,
        hair=HAIRS[random.integers(len(HAIRS))],
        wrap=image,
        wrap_high=float(random.uniform(-7.5, -4.0)),
        legs_apart=float(random.random()),
        arms_up=float(random.random()),
    )
    warm = float(random.uniform(-0.08, 0.1))
    lamp = np.array([random.uniform(-70, 70), random.uniform(-70, 70), random.uniform(90, 130)])
    return Look(
        newborn=newborn,
        provider=_hand_look(random, appearance),
        helper=_hand_look(random, appearance),
        passer=appearance.passer,
        passer_skin=SKINS[random.integers(len(SKINS))],
        has_t_piece=bool(random.random() < 0.4),
        has_bulb=bool(random.random() < 0.4),
        plastic=_toned(random, _between(PLASTICS[random.integers(len(PLASTICS))], appearance.bag, 0.35), 0.1),
        clear=_toned(random, appearance.mask, 0.05),
        rubber=_toned(random, appearance.tube, 0.1),
        airway_side=float(random.choice([-1.0, 1.0])),
        wall=_toned(random, WALLS[random.integers(len(WALLS))], 0.1),
        wall_side=int(random.integers(4)),
        table=_toned(random, (206, 208, 205), 0.1) if random.random() < 0.6 else _toned(random, (165, 120, 78), 0.15),
        table_half=(float(random.uniform(36, 44)), float(random.uniform(27, 34))),
        lamp=(float(lamp[0]), float(lamp[1]), float(lamp[2])),
        light=(1.0, 0.97 - 0.4 * abs(warm), 0.95 - warm),
        key=float(random.uniform(0.7, 0.95)),
        shadow=float(random.uniform(0.3, 0.62)),
        turn=float(random.uniform(0, 2 * np.pi)),
    )


def stations_of(look: Look, *, stays: bool) -> Stations:
    """Where things are in this case."""
    mouth, face = mouth_of(look.newborn)
    return Stations(
        mouth=mouth,
        face=face,
        size=look.newborn.size,
        airway_side=look.airway_side,
        has_t_piece=look.has_t_piece,
        stays=stays,
    )


def _hand_look(random: np.random.Generator, appearance: Appearance) -> HandLook:
    bare = SKINS[random.integers(len(SKINS))]
    gloved = bool(random.random() < 0.7)
    return HandLook(
        colour=_toned(random, GLOVES[random.integers(len(GLOVES))], 0.08) if gloved else bare,
        gloved=gloved,
        forearm=bare,
        sleeve=_toned(random, SCRUBS[random.integers(len(SCRUBS))], 0.15),
        short_sleeve=bool(random.random() < 0.5),
        size=0.92 * appearance.hand_size,
    )


def _between(first: ArrayLike, second: ArrayLike, share: float) -> Colour:
    red, green, blue = np.asarray(first) * (1 - share) + np.asarray(second) * share
    return int(red), int(green), int(blue)


def _toned(random: np.random.Generator, colour: Colour, amount: float) -> Colour:
    """The colour, a little lighter or darker and shifted in hue."""
    red, green, blue = np.clip(
        np.asarray(colour) * (1 + random.uniform(-amount, amount) + random.uniform(-0.06, 0.06, 3)), 0, 255
    )
    return int(red), int(green), int(blue)
