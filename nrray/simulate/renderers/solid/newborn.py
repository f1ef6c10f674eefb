"""The newborn, face up, its head to the left of the canvas."""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from nrray.simulate.appearance import Appearance, Colour
from nrray.simulate.pose import Newborn
from nrray.simulate.renderers.solid.look import Look
from nrray.simulate.renderers.solid.stage import Stage, Vector, world

MOUTH_Z = 37.0  # above the table, times size
MOUTH_DX = 5.0  # to the right of the pose's mouth, times size


@dataclass(frozen=True, kw_only=True)
class Hump:
    """An upright ellipsoid that hands lie on, in canvas pixels."""

    x: float
    y: float
    z: float
    radii: tuple[float, float, float]


def surface(humps: list[Hump], x: float, y: float) -> float:
    """Height of the newborn, or of the table, at a place of the canvas."""
    top = 0.0
    for hump in humps:
        across, along, up = hump.radii
        inside = 1 - ((x - hump.x) / across) ** 2 - ((y - hump.y) / along) ** 2
        if inside > 0:
            top = max(top, hump.z + up * sqrt(inside))
    return top


def put_newborn(stage: Stage, newborn: Newborn, appearance: Appearance, look: Look, *, lift: float) -> list[Hump]:
    """Trunk, limbs, head; `lift` is how far the chest has risen, 0 to 1. Returns what hands may lie on."""
    size, wide, x, y = newborn.size, look.trunk, newborn.x, newborn.y
    skin = np.array(appearance.skin, float)
    chest, spread = 1 + 0.26 * lift, 1 + 0.08 * lift
    trunk = [
        (48.0, 0.0, 17.0, (26.0, 23.0 * spread * wide, 16.0 * chest)),
        (72.0, 0.0, 15.5, (26.0, 24.0 * wide, 16.0 * (1 + 0.5 * (chest - 1)))),
    ]

    def at(dx: float, dy: float, dz: float) -> Vector:
        return world(x + dx * size, y + dy * size, dz * size)

    def ball(
        dx: float, dy: float, dz: float, radii: tuple[float, float, float], tint: Vector | Colour, material: str
    ) -> None:
        stage.ball(at(dx, dy, dz), [radius * size for radius in radii], tint, material)

    for dx, dy, dz, radii in trunk:
        ball(dx, dy, dz, radii, skin, "newborn")
    for side in (-1, 1):
        ball(46, side * 8, 15.5 + 16 * chest, (1.6, 1.6, 1.2), skin * (0.75, 0.55, 0.55), "newborn")
        _put_limbs(stage, newborn, look, skin, side)
    ball(80, 0, 30, (2.6, 2.6, 2.5), (225, 215, 190), "plain")  # stump of the cord
    if look.clamp:
        stage.limb(at(80, -1, 32), at(82, 7, 33), 1.6 * size, look.accent)
    hips = (98.0, 0.0, 14.0, (15.0, 22.0 * wide, 15.5))
    ball(*hips, skin if look.nappy is None else look.nappy, "newborn" if look.nappy is None else "nappy")
    legs = [(118.0, side * 20.0, 12.0, (26.0, 9.0, 12.0)) for side in (-1, 1)]
    wrap = [(122.0, 0.0, 10.0, (34.0, 33.0, 18.0))] if appearance.wrapped else []
    for hump in wrap:
        ball(*hump, appearance.wrap, "wrap")
    _put_head(stage, newborn, look, skin)
    return [
        Hump(x=x + dx * size, y=y + dy * size, z=dz * size, radii=(radii[0] * size, radii[1] * size, radii[2] * size))
        for dx, dy, dz, radii in (*trunk, hips, *legs, *wrap)
    ]


def _put_limbs(stage: Stage, newborn: Newborn, look: Look, skin: Vector, side: int) -> None:
    size, thick, stir = newborn.size, look.limb, 3.0 * newborn.stir

    def at(dx: float, dy: float, dz: float) -> Vector:
        return world(newborn.x + dx * size, newborn.y + dy * size, dz * size)

    shoulder, elbow = at(34, side * 20 * look.trunk, 17), at(50, side * (34 + 0.4 * stir), 9)
    hand = at(38 + stir / size, side * 44, 8 + stir)
    stage.chain([shoulder, elbow, hand], [5.8 * size * thick, 4.8 * size * thick], skin, "newborn")
    stage.ball(hand, (5.8 * size, 5 * size, 4 * size), skin * 0.92, "newborn")
    hip, knee = at(95, side * 11, 14), at(116, side * (23 - 0.3 * stir), 20 + stir)
    foot = at(140, side * (14 + 0.5 * stir), 6)
    stage.chain([hip, knee, foot], [8.4 * size * thick, 5.9 * size * thick], skin, "newborn")
    stage.limb(foot, foot + np.array([3.0, 0, 9]) * size, 3.7 * size, skin * 0.92, "newborn")


def _put_head(stage: Stage, newborn: Newborn, look: Look, skin: Vector) -> None:
    size, big = newborn.size, look.head

    def ball(
        dx: float, dy: float, dz: float, radii: tuple[float, float, float], tint: Vector | Colour, material: str
    ) -> None:
        at = world(newborn.x + dx * size, newborn.y + dy * size, dz * size)
        stage.ball(at, [radius * size for radius in radii], tint, material)

    dark = skin * 0.9
    stage.limb(
        world(newborn.x + 18 * size, newborn.y, 15 * size),
        world(newborn.x + 34 * size, newborn.y, 16 * size),
        9 * size,
        dark,
        "newborn",
    )
    ball(-3, 0, 20, (23 * big, 20 * big, 20), skin, "newborn")
    ball(8, 0, 22, (15, 15.5 * big, 16), skin, "newborn")
    if look.hat is not None:
        ball(-8, 0, 19, (21.5 * big, 21.8 * big, 21.8), look.hat, "wrap")
        ball(7, 0, 21, (3.5, 20.3 * big, 19.5), np.array(look.hat) * 0.85, "wrap")  # its hem
    else:
        ball(-7, 0, 20.5, (20.5 * big, 20 * big, 20.4), skin * (0.55, 0.5, 0.48), "newborn")  # hair
    for side in (-1, 1):
        ball(0, side * 20 * big, 19, (4.5, 2, 3.5), dark, "newborn")
        ball(3, side * 7, 36, (1.7, 3.4, 2), skin * 0.55, "newborn")
        ball(10, side * 8, 31.5, (6, 5.5, 5.5), skin * (1, 0.93, 0.93), "newborn")
    ball(7.5, 0, 38.5, (3.2, 2.4, 2.6), dark, "newborn")
    ball(14, 0, 36, (2.6, 5, 2.2), (165, 70, 80), "plain")
    ball(14, 0, 37.2, (1.3, 3.8, 1.6), (70, 20, 28), "plain")
