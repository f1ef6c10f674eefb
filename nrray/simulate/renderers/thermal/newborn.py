"""The newborn: on its back, head at the origin, feet along x."""

from dataclasses import dataclass
from math import cos, sin

import numpy as np

from nrray.simulate.renderers.thermal.casting import Bodies, Vector
from nrray.simulate.renderers.thermal.looks import Looks

_HEAD = np.array([0.0, 0.0, 5.0])
_NAPPY_COOLER = 4.0


@dataclass(frozen=True, kw_only=True)
class Lie:
    """Where the newborn is: its local coordinates, of size 1, into the world's."""

    size: float
    head_turn: float
    offset: Vector

    def placed(self, x: float, y: float, z: float) -> Vector:
        """World point of a local point."""
        return np.array([x, y, z]) * self.size + self.offset

    def faced(self, x: float, y: float, z: float) -> Vector:
        """World point of a local point of the head, which is turned."""
        return _HEAD * self.size + self.offset + self.size * self.facing(x, y, z - _HEAD[2])

    def facing(self, x: float, y: float, z: float) -> Vector:
        """A direction of the head's own coordinates in the world."""
        c, s = cos(self.head_turn), sin(self.head_turn)
        return np.array([x, c * y + s * z, c * z - s * y])

    @property
    def mouth(self) -> Vector:
        """The middle of the lips."""
        return self.faced(3.0, 0.0, 9.6)


def lie_of(looks: Looks, *, carried: float) -> Lie:
    """The newborn's place: carried in from its helper's side, above the table."""
    far = carried * carried
    offset = np.array([6.0 * far, looks.side * 38.0 * far, 13.0 * min(2 * carried, 1.0)])
    return Lie(size=looks.size, head_turn=looks.head_turn, offset=offset)


def newborn_bodies(bodies: Bodies, looks: Looks, lie: Lie, *, lift: float, stir: tuple[float, float]) -> None:
    """Head, trunk and limbs; `lift` raises the chest."""
    _head(bodies, looks, lie)
    size, skin, limbs = lie.size, looks.newborn, looks.newborn_limbs
    bodies.capsule(lie.placed(4.5, 0, 4.6), lie.placed(8.5, 0, 4.6), 2.5 * size, skin)
    chest = (5.4 * size, (5.0 + 0.9 * lift) * size, (4.2 + 1.9 * lift) * size)
    bodies.upright(lie.placed(11.5, 0, 4.4 + 0.6 * lift), chest, skin + 0.3)
    bodies.upright(lie.placed(17.2, 0, 4.6), (5.8 * size, 4.9 * size, (4.5 + 0.5 * lift) * size), skin)
    pelvis = skin - _NAPPY_COOLER if looks.seed % 2 else skin - 0.4
    bodies.upright(lie.placed(22.0, 0, 4.0), (3.9 * size, 4.9 * size, 3.9 * size), pelvis)
    for sign in (-1, 1):
        stirred = stir[0] if sign > 0 else stir[1]
        _arm(bodies, looks, lie, sign, stirred)
        hip = lie.placed(23.0, sign * 3.0, 4.2)
        knee = lie.placed(
            28.5 - 1.5 * looks.knees, sign * (6.4 + 1.6 * looks.knees), 5.0 + 4 * looks.knees + 0.3 * stirred
        )
        ankle = leg_end(looks, lie, sign) + np.array([0.3, 0.4, 0.0]) * stirred
        bodies.capsule(hip, knee, 2.5 * size, skin - 0.4, limbs + 0.5)
        bodies.capsule(knee, ankle, 1.75 * size, limbs + 0.5, limbs - 0.5)
        bodies.capsule(ankle, ankle + size * np.array([1.2, sign * 1.2, 2.6]), 1.2 * size, limbs - 0.8, limbs - 1.6)
    if looks.wrapped:
        bodies.upright(lie.placed(31, 0, 2.5), (8.5 * size, 10.5 * size, 5.0 * size), looks.cloth + 2.5)


def leg_end(looks: Looks, lie: Lie, sign: int) -> Vector:
    """The ankle of one leg."""
    return lie.placed(35.5 - 3.5 * looks.knees, sign * (5.5 - 1.5 * looks.knees), 2.4)


def _head(bodies: Bodies, looks: Looks, lie: Lie) -> None:
    size, skin = lie.size, looks.newborn
    axes = size * np.stack([lie.facing(5.7, 0, 0), lie.facing(0, 4.6, 0), lie.facing(0, 0, 5.0)])
    bodies.ellipsoid(lie.faced(0, 0, 5), axes, skin)
    bodies.ellipsoid(lie.faced(-1.3, 0, 4.6), 1.01 * axes, looks.hair)
    cheek = skin - 0.5
    for sign in (-1, 1):
        bodies.upright(lie.faced(2.6, sign * 2.0, 8.0), (2.0 * size,) * 3, cheek)
        bodies.upright(lie.faced(0.2, sign * 1.7, 9.1), (0.7 * size,) * 3, skin + 0.9)  # eyes are warm
        bodies.upright(lie.faced(0.6, sign * 4.7, 4.8), (1.4 * size, 0.6 * size, 1.0 * size), skin - 2.2)
    bodies.upright(lie.faced(1.5, 0, 9.9), (0.75 * size,) * 3, skin - 1.8)
    bodies.upright(lie.faced(3.1, 0, 9.2), (0.6 * size, 1.3 * size, 0.7 * size), skin + 1.2)


def _arm(bodies: Bodies, looks: Looks, lie: Lie, sign: int, stirred: float) -> None:
    size, limbs = lie.size, looks.newborn_limbs
    shoulder = lie.placed(8.8, sign * 4.8, 4.4)
    elbow = lie.placed(12.5 - 3.5 * looks.arms, sign * (8.2 + 2.2 * looks.arms), 3.0)
    hand = lie.placed(8.5 - 5.5 * looks.arms + 0.4 * stirred, sign * (10.0 + 2.0 * looks.arms + 0.4 * stirred), 4.0)
    bodies.capsule(shoulder, elbow, 1.8 * size, looks.newborn - 0.3, limbs + 0.5)
    bodies.capsule(elbow, hand, 1.45 * size, limbs + 0.5, limbs - 0.6)
    bodies.upright(hand, (1.75 * size,) * 3, limbs - 1.2)
