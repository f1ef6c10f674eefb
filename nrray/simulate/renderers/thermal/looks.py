"""What is drawn once: temperatures, builds and equipment of a case, and where each of its cameras stands."""

from dataclasses import dataclass
from math import cos, pi, radians, sin, tan

import numpy as np

from nrray.simulate.appearance import Draw
from nrray.simulate.renderers.thermal.casting import Eye, Vector
from nrray.simulate.renderers.thermal.palettes import Palette

_LOW_DEGREES = 62.0  # a camera below that elevation stands where no helper does
_GRIDS = (80, 112, 160, 240)  # columns of the sensor


@dataclass(frozen=True, kw_only=True)
class Looks:
    """Temperatures are in degrees Celsius, lengths in centimetres, angles in radians."""

    newborn: float
    newborn_limbs: float
    hair: float
    hand: float  # a glove insulates: below skin where there is one
    forearm: float
    sleeve: float
    face: float
    clothes: float
    device: float
    cloth: float
    cloth_unrest: float  # amplitude of folds
    warmer: float  # how much the radiant warmer adds at its middle
    floor: float
    spots: tuple[float, ...]  # temperatures of hot things around
    has_bag: bool  # or a T-piece
    has_suction_tube: bool  # or a bulb syringe
    size: float  # of the newborn, relative
    head_turn: float
    knees: float  # how far the knees are drawn up, 0 to 1
    arms: float  # how far the arms are spread, 0 to 1
    wrapped: bool
    hand_size: float
    finger_width: float
    sleeve_share: float  # of the forearm
    mask_radius: float
    bag_length: float
    bag_radius: float
    bag_angle: float  # of the bag's axis around the vertical, from the newborn's head end
    tube_radius: float
    airway_angle: float  # where the helper of the airway stands, from the newborn's head end
    side: int  # of the newborn where the other helper stands: 1 or -1
    table: tuple[float, float, float, float]  # low x, low y, high x, high y
    palette: Palette
    coldest: float  # of the palette
    hottest: float
    gamma: float
    seed: int


def drawn_looks(family: str, seed: int) -> Looks:
    """The looks of one case."""
    draw = Draw(family, [seed, 0])
    skin = draw.between("thermal newborn", 34.6, 36.8)
    gloved = draw.chance("thermal gloved", 0.65)
    hand = draw.between("thermal glove", 28.5, 31.5) if gloved else draw.between("thermal hand", 32.0, 34.4)
    room = draw.between("thermal room", 20.0, 24.0)
    cloth = room + draw.between("thermal cloth", 1.5, 3.8)
    warmer = draw.between("thermal warmer", 0.3, 2.6)
    bare = draw.chance("thermal bare arm", 0.4)
    num_spots = int(draw.between("thermal spots", 1, 5))
    return Looks(
        newborn=skin,
        newborn_limbs=skin - draw.between("thermal limbs", 1.0, 3.2),
        hair=skin - draw.between("thermal hair", 0.8, 4.5),
        hand=max(hand, cloth + 0.7 * warmer + 1.8),  # it is seen on the cloth
        forearm=draw.between("thermal forearm", 31.0, 33.6),
        sleeve=room + draw.between("thermal sleeve", 3.4, 6.5),
        face=draw.between("thermal face", 33.0, 35.0),
        clothes=room + draw.between("thermal clothes", 3.0, 7.0),
        device=room - draw.between("thermal device", 0.2, 2.2),
        cloth=cloth,
        cloth_unrest=draw.between("thermal folds", 0.15, 0.8),
        warmer=warmer,
        floor=room - draw.between("thermal floor", 0.8, 3.5),
        spots=tuple(draw.between(f"thermal spot {spot}", 31.0, 48.0) for spot in range(num_spots)),
        has_bag=draw.chance("thermal bag", 0.6),
        has_suction_tube=draw.chance("thermal suction tube", 0.6),
        size=draw.between("thermal size", 0.92, 1.16),
        head_turn=draw.between("thermal head turn", -0.4, 0.4),
        knees=draw.share("thermal knees"),
        arms=draw.share("thermal arms"),
        wrapped=draw.chance("thermal wrapped", 0.3),
        hand_size=draw.between("thermal hand size", 0.86, 1.1),
        finger_width=draw.between("thermal finger width", 0.85, 1.2),
        sleeve_share=draw.between("thermal sleeve share", 0.15, 0.4)
        if bare
        else draw.between("thermal cuff", 0.6, 0.95),
        mask_radius=draw.between("thermal mask", 2.7, 3.5),
        bag_length=draw.between("thermal bag length", 6.0, 8.0),
        bag_radius=draw.between("thermal bag radius", 3.6, 4.8),
        bag_angle=draw.between("thermal bag angle", -1.2, 1.2),
        tube_radius=draw.between("thermal tube", 0.45, 0.75),
        airway_angle=draw.between("thermal airway angle", -0.6, 0.6),
        side=1 if draw.chance("thermal side", 0.5) else -1,
        table=(
            -draw.between("thermal table head", 17, 32),
            -draw.between("thermal table right", 22, 36),
            draw.between("thermal table feet", 42, 62),
            draw.between("thermal table left", 22, 36),
        ),
        palette=list(Palette)[int(4 * draw.share("thermal palette"))],
        coldest=room - draw.between("thermal coldest", 0.5, 4.5),
        hottest=skin + draw.between("thermal hottest", -0.4, 2.4),
        gamma=draw.between("thermal gamma", 0.75, 1.35),
        seed=seed,
    )


@dataclass(frozen=True, kw_only=True)
class Sensor:
    """One thermal camera."""

    eye: Eye
    distance_cm: float
    unevenness: float  # standard deviation of the fixed pattern, degrees Celsius
    column_unevenness: float
    is_smooth: bool  # enlarged with interpolation


def drawn_sensor(family: str, seed: list[int], looks: Looks, size: tuple[int, int]) -> Sensor:
    """The camera of a (width, height) picture. Its field of view holds the newborn's head and trunk."""
    draw = Draw(family, seed)
    elevation = draw.between("thermal elevation", 35, 90)
    # Helpers stand at the head end and at one side. From steep above their arms hide nothing.
    free = 180 if elevation >= _LOW_DEGREES else 60
    turn = radians(-looks.side * 55 + draw.between("thermal turn", -free, free))
    up, forth = sin(radians(elevation)), cos(radians(elevation))
    backward = np.array([forth * cos(turn), forth * sin(turn), up])  # from the scene to the camera
    down = np.array([up * cos(turn), up * sin(turn), -forth])
    right = np.cross(down, -backward)
    roll = radians(draw.between("thermal roll", -16, 16))
    axes: Vector = np.stack([cos(roll) * right + sin(roll) * down, cos(roll) * down - sin(roll) * right, -backward])
    view = radians(draw.between("thermal field of view", 26, 56))
    across_cm = draw.between("thermal across", 55, 71)
    distance = across_cm / 2 / tan(view / 2)
    centre = np.array([draw.between("thermal middle x", 9, 14), draw.between("thermal middle y", -4, 4), 4.0])
    columns = _GRIDS[int(len(_GRIDS) * draw.share("thermal columns"))]
    width, height = size
    rows = max(round(columns * height / width), 8)
    # The shorter edge holds `across_cm` times 3/4, whatever the picture's shape.
    focal = min(columns, rows * 4 / 3) / 2 / tan(view / 2)
    return Sensor(
        eye=Eye(origin=centre + distance * backward, axes=axes, focal_px=focal, width=columns, height=rows),
        distance_cm=distance,
        unevenness=draw.between("thermal unevenness", 0.03, 0.4),
        column_unevenness=draw.between("thermal columns' unevenness", 0.0, 0.25),
        is_smooth=draw.chance("thermal smooth", 0.75),
    )


def head_end(angle: float) -> Vector:
    """The horizontal direction at an angle from the newborn's head end."""
    return np.array([cos(pi - angle), sin(pi - angle), 0.0])
