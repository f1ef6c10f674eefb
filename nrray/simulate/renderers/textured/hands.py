"""Hands and arms: one straight hand is blended, then bent around whatever it holds.

Local coordinates of a hand: wrist at the origin, fingers along x, palm down (-z), thumb towards y. Centimetres, an adult's.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from nrray.simulate.appearance import Colour
from nrray.simulate.renderers.textured.geometry import (
    Matrix,
    Mesh,
    Points,
    Values,
    aimed,
    blend,
    capsule,
    ellipsoid,
    merged,
    mirrored,
    scale,
    shift,
    solid,
    swept,
    turn,
)
from nrray.simulate.renderers.textured.stage import Finish, Stage
from nrray.simulate.renderers.textured.textures import Noise, shades, skin

KNUCKLES = 8.0  # from the wrist
PALM = np.array([6.0, 0.0, -1.3])
THUMB_ROOT = np.array([2.4, 2.6, -0.4])
_FINGERS = ((-3.0, 6.2, 0.68), (-1.05, 7.5, 0.78), (1.0, 7.9, 0.8), (2.95, 7.2, 0.76))  # side, length, radius
_GLOVE = Finish(ambient=0.28, diffuse=0.75, gloss=0.22, polish=22)
_SKIN = Finish(ambient=0.3, diffuse=0.75, gloss=0.1, polish=16)
_SLEEVE = Finish(ambient=0.28, diffuse=0.78, gloss=0.0)


@dataclass(frozen=True, kw_only=True)
class HandLook:
    """Glove or skin, and the sleeve; a short one leaves the forearm bare."""

    colour: Colour
    gloved: bool
    forearm: Colour  # skin
    sleeve: Colour
    short_sleeve: bool
    size: float


def _hand(p: Points) -> Values:
    parts: list[Values] = [
        capsule(p, (-2.5, 0, 0), (1.0, 0, 0), 2.3, 2.25),
        ellipsoid(p, (4.6, -0.1, -0.1), (4.9, 4.1, 1.55)),
        capsule(p, (1.4, 2.2, -0.8), (4.8, 4.4, -1.6), 1.5, 1.15),
        capsule(p, (4.8, 4.4, -1.6), (8.0, 6.0, -1.9), 1.0, 0.82),
    ]
    for side, length, radius in _FINGERS:
        parts.append(
            capsule(p, (KNUCKLES - 1.6, 0.9 * side, 0), (KNUCKLES + length, 1.12 * side, 0), radius + 0.2, radius)
        )
    return blend(parts, 0.22)


@cache
def straight_hand() -> Mesh:
    """The hand before it is bent."""
    return solid(_hand, (-4.2, -5.4, -3.4), (17.2, 7.4, 2.4), 0.56)


def bent(mesh: Mesh, curl: float, thumb: float) -> Mesh:
    """Fingers along an arc of `curl` radians per cm, the thumb turned by `thumb` radians away from them."""
    points, normals = mesh.points.astype(np.float64), mesh.normals.astype(np.float64)
    is_thumb = (points[:, 1] > 3.9) & (points[:, 0] < 9.4) | (points[:, 1] - points[:, 2] * 1.2 > 4.6) & (
        points[:, 0] < 8
    )
    beyond = np.where(is_thumb, 0.0, np.maximum(points[:, 0] - KNUCKLES + 1.5, 0))
    angle = curl * beyond
    radius = 1 / max(curl, 1e-6)
    start = points[:, 0] - beyond
    moved = np.stack(
        [
            start + (radius + points[:, 2]) * np.sin(angle),
            points[:, 1],
            np.where(beyond > 0, (radius + points[:, 2]) * np.cos(angle) - radius, points[:, 2]),
        ],
        axis=1,
    )
    shone = np.stack(
        [
            normals[:, 0] * np.cos(angle) + normals[:, 2] * np.sin(angle),
            normals[:, 1],
            normals[:, 2] * np.cos(angle) - normals[:, 0] * np.sin(angle),
        ],
        axis=1,
    )
    swing = (shift(*THUMB_ROOT) @ turn((0.35, 0, 1), thumb) @ shift(*-THUMB_ROOT)).astype(np.float64)
    share = np.clip((points - THUMB_ROOT) @ np.array([0.8, 0.6, 0.0]) / 2.5, 0, 1)[:, None] * is_thumb[:, None]
    moved += share * (moved @ swing[:3, :3].T + swing[:3, 3] - moved)
    return Mesh(
        points=moved.astype(np.float32),
        triangles=mesh.triangles,
        normals=shone.astype(np.float32),
        colours=mesh.colours,
    )


def _forearm(look: HandLook, noise: Noise) -> Mesh:
    """From the wrist (origin) along -x, 30 cm: skin or cuff, then a sleeve with folds."""
    bare = 17.0 if look.short_sleeve else 4.5
    along = np.linspace(1.0, -bare - 2, 10)
    arm = swept(np.stack([along, 0 * along, 0 * along], 1), np.linspace(2.25, 3.6, 10), 14)
    colours = (
        shades(look.colour, 0.06 * noise.at(arm.points, 1.0)) if look.gloved else skin(arm.points, look.forearm, noise)
    )
    if look.gloved:  # to the rim of the glove
        cut = (arm.points[:, 0] < -6.0)[:, None]
        colours = np.where(cut, skin(arm.points, look.forearm, noise), colours)
    along = np.linspace(-bare, -32, 26)
    cloth = swept(np.stack([along, 0 * along, 0 * along], 1), np.linspace(3.9, 5.6, 26), 20)
    folds = noise.at(cloth.points * np.array([1.0, 0.45, 0.45], np.float32), 3.2, 3)
    cloth_points = cloth.points + cloth.normals * 0.55 * folds[:, None]
    sleeve = Mesh(
        points=cloth_points,
        triangles=cloth.triangles,
        normals=cloth.normals,
        colours=shades(look.sleeve, 0.22 * folds + 0.05 * noise.at(cloth.points, 0.8)),
    )
    return merged(arm.coloured(colours), sleeve)


class Arm:
    """A hand, its forearm, and the upper arm towards a shoulder."""

    def __init__(self, stage: Stage, straight: Mesh, look: HandLook, noise: Noise, *, left: bool) -> None:
        tone = shades(look.colour, 0.05 * noise.at(straight.points, 1.2)) if look.gloved else None
        colours = tone if tone is not None else skin(straight.points, look.colour, noise, blotches=0.5)
        crease = np.clip((straight.points[:, 0] - KNUCKLES) / 2, 0, 1) * np.sin(straight.points[:, 0] * 2.4) ** 8
        self._straight = straight.coloured(np.asarray(colours * (1 - 0.2 * crease[:, None]), np.uint8))
        self._hand = stage.add(mirrored(self._straight) if left else self._straight, _GLOVE if look.gloved else _SKIN)
        self._forearm = stage.add(_forearm(look, noise), _SLEEVE)
        along = np.linspace(0, 30, 16)
        upper = swept(np.stack([along, 0 * along, 0 * along], 1), np.linspace(5.6, 7.5, 16), 16)
        folds = noise.at(upper.points * np.array([1.0, 0.4, 0.4], np.float32), 4.0, 3)
        self._upper = stage.add(upper.coloured(shades(look.sleeve, 0.2 * folds)), _SLEEVE)
        self._look, self._left = look, left
        self._bend: tuple[float, float] | None = None

    def show(self, visible: bool) -> None:
        """Whether it is there."""
        for piece in (self._hand, self._forearm, self._upper):
            piece.show(visible)

    def reach(
        self,
        palm: ArrayLike,
        fingers: ArrayLike,
        back: ArrayLike,
        elbow: ArrayLike,
        shoulder: ArrayLike,
        *,
        curl: float,
        thumb: float = 0.0,
    ) -> Matrix:
        """Lay the palm at a point, fingers along a direction, its back to another; returns the hand's place."""
        self.show(True)
        if self._bend != (curl, thumb):
            shape = bent(self._straight, curl, thumb)
            shape = mirrored(shape) if self._left else shape
            self._hand.reshape(shape.points, shape.normals)
            self._bend = (curl, thumb)
        size = self._look.size
        place = aimed(palm, fingers, back) @ scale(size, size, size) @ shift(*-PALM)
        self._hand.place(place)
        wrist, elbow = place[:3, 3], np.asarray(elbow, np.float64)
        self._forearm.place(aimed(wrist, wrist - elbow, (0, 0, 1)) @ scale(size, size, size))
        behind = wrist + (elbow - wrist) * min(1.0, 27.0 / max(float(np.linalg.norm(elbow - wrist)), 1.0))
        self._upper.place(aimed(behind, np.asarray(shoulder) - behind, (0.1, 0, 1)))
        return place
