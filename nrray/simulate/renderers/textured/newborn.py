"""The newborn: head, trunk and limbs blended out of ellipsoids and capsules, a hat and a wrap in some cases."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from nrray.simulate.appearance import Colour
from nrray.simulate.renderers.textured.choreography import NewbornMoment, Vector
from nrray.simulate.renderers.textured.geometry import (
    Image,
    Matrix,
    Mesh,
    Points,
    Values,
    applied,
    blend,
    capsule,
    ellipsoid,
    mirrored,
    scale,
    shift,
    solid,
    surface,
    turn,
)
from nrray.simulate.renderers.textured.stage import Finish, Stage
from nrray.simulate.renderers.textured.textures import Noise, mixed, shades, skin

HEAD = np.array([15.2, 0.0, 6.0])
MOUTH = np.array([11.3, 0.0, 10.7])
SHOULDER, HIP = np.array([6.6, 5.3, 5.4]), np.array([-8.6, 3.4, 4.6])
NAVEL = (-4.6, 0.0, 9.6)
_LIVING = Finish(ambient=0.3, diffuse=0.75, gloss=0.14, polish=18)
_CLOTH = Finish(ambient=0.3, diffuse=0.75, gloss=0.0)


@dataclass(frozen=True, kw_only=True)
class NewbornLook:
    """How this newborn looks."""

    skin: Colour
    size: float
    head_yaw: float  # radians, to one side
    hat: Colour | None
    hair: Colour
    wrap: Image | None
    wrap_high: float  # where the wrap ends, along the trunk
    legs_apart: float  # 0 to 1
    arms_up: float  # 0 to 1


def head_matrix(look: NewbornLook) -> Matrix:
    """From the head's own coordinates (those of a head that looks up) to the newborn's."""
    return shift(*HEAD) @ turn((1, 0, 0), look.head_yaw) @ shift(*-HEAD)


def mouth_of(look: NewbornLook) -> tuple[Vector, Vector]:
    """Position of the lying newborn's mouth and the direction that its face looks in."""
    matrix = head_matrix(look)
    return applied(matrix, MOUTH) * look.size, matrix[:3, 2].copy()


def _head(p: Points) -> Values:
    other = p * np.array([1, -1, 1], np.float32)
    skull = blend(
        [
            ellipsoid(p, (16.3, 0, 5.6), (5.9, 4.9, 5.1)),
            ellipsoid(p, (13.2, 0, 6.6), (3.6, 3.9, 4.1)),
            ellipsoid(p, (10.4, 0, 8.4), (1.5, 1.6, 1.7)),
        ],
        0.35,
    )
    features = [skull, capsule(p, (14.3, 0, 10.5), (13.0, 0, 11.4), 0.45, 0.62)]
    for side in (p, other):
        features += [
            ellipsoid(side, (12.3, 2.2, 8.6), (1.9, 1.6, 1.8)),  # cheek
            ellipsoid(side, (14.9, 1.85, 10.0), (0.75, 0.95, 0.7)),  # lids
            ellipsoid(side, (14.2, 4.8, 5.6), (1.7, 0.6, 1.2)),  # ear
        ]
    features += [capsule(p, (11.6, -0.8, 10.2), (11.6, 0.8, 10.2), 0.45, 0.45)]
    mouth = ellipsoid(p, (11.3, 0, 10.85), (0.55, 1.15, 0.6))
    carved: Values = np.maximum(blend(features, 0.2), -mouth)
    return carved


def _trunk(p: Points) -> Values:
    parts = [
        ellipsoid(p, (3.2, 0, 4.9), (6.2, 5.7, 4.7)),
        ellipsoid(p, (-3.8, 0, 5.0), (5.6, 5.5, 4.9)),
        ellipsoid(p, (-8.6, 0, 4.2), (3.6, 4.8, 3.7)),
        capsule(p, (6.6, -4.9, 5.4), (6.6, 4.9, 5.4), 2.4, 2.4),
        capsule(p, (8, 0, 5.3), (12.5, 0, 5.4), 2.8, 2.8),
    ]
    return blend(parts, 0.55)


def _arm(p: Points) -> Values:
    parts = [
        capsule(p, (0, 0, 0), (-2.2, 4.6, -1.0), 2.0, 1.55),
        capsule(p, (-2.2, 4.6, -1.0), (4.0, 6.8, -0.6), 1.65, 1.05),
        ellipsoid(p, (5.4, 6.9, -0.4), (1.6, 1.5, 1.25)),
        capsule(p, (5.9, 6.0, 0.4), (6.3, 7.6, 0.5), 0.5, 0.5),
        capsule(p, (6.4, 6.2, -0.2), (6.6, 7.7, -0.2), 0.5, 0.5),
    ]
    return blend(parts, 0.3)


def _leg(p: Points) -> Values:
    parts = [
        capsule(p, (0, 0, 0), (-5.6, 4.2, 2.4), 2.9, 2.0),
        capsule(p, (-5.6, 4.2, 2.4), (-12.0, 2.6, -2.0), 1.95, 1.25),
        capsule(p, (-12.0, 2.6, -2.4), (-13.6, 2.9, 0.9), 1.15, 0.95),
        capsule(p, (-13.4, 2.3, 1.0), (-13.5, 3.7, 1.0), 0.6, 0.45),
    ]
    return blend(parts, 0.4)


@cache
def shapes() -> tuple[Mesh, Mesh, Mesh, Mesh]:
    """Head, trunk, arm and leg."""
    return (
        solid(_head, (8, -6, 0), (23, 6, 12.6), 0.45),
        solid(_trunk, (-13, -8, 0), (14, 8, 10.4), 0.8),
        solid(_arm, (-5, -2.6, -3.2), (8, 9, 2.6), 0.5),
        solid(_leg, (-15.6, -3.2, -4.2), (3.4, 7, 5.2), 0.62),
    )


class NewbornBody:
    """The newborn on a stage."""

    def __init__(self, stage: Stage, look: NewbornLook, noise: Noise) -> None:
        self._look = look
        head, self._trunk_mesh, arm, leg = shapes()
        self._head = stage.add(head.coloured(self._face(head.points, noise)), _LIVING)
        self._trunk = stage.add(self._trunk_mesh.coloured(self._belly(self._trunk_mesh.points, noise)), _LIVING)
        self._limbs = [
            stage.add(side(mesh.coloured(_flushed(mesh.points, look.skin, noise, end=end))), _LIVING)
            for mesh, end in ((arm, (6.0, 6.9, 0.0)), (leg, (-13.4, 2.9, 0.0)))
            for side in (_as_it_is, mirrored)
        ]
        self._wrap = stage.add(_wrap(look, noise), _CLOTH, look.wrap) if look.wrap is not None else None
        points = self._trunk_mesh.points
        self._swell = np.exp(-(((points[:, 0] - 1.5) / 5.5) ** 2) - (points[:, 1] / 5.5) ** 2) * np.clip(
            (points[:, 2] - 3) / 4, 0, 1
        )
        self._belly_swell = np.exp(-(((points[:, 0] + 4.5) / 3.5) ** 2)) * np.clip((points[:, 2] - 3) / 4, 0, 1)

    def _face(self, p: Points, noise: Noise) -> NDArray[np.uint8]:
        look = self._look
        colours = _flushed(p, look.skin, noise, end=(12.3, 0.0, 9.0))
        dark = np.asarray(look.skin, np.float32) * 0.45
        for side in (-1, 1):  # closed lids: a line of lashes; brows
            eye = np.exp(-(((p[:, 0] - 14.45) / 0.28) ** 2) - ((p[:, 1] - 1.85 * side) / 0.85) ** 4) * (p[:, 2] > 8)
            brow = np.exp(-(((p[:, 0] - 16.2) / 0.3) ** 2) - ((p[:, 1] - 1.9 * side) / 1.1) ** 4) * (p[:, 2] > 8)
            nostril = np.exp(-(((p[:, 0] - 12.6) / 0.22) ** 2) - ((p[:, 1] - 0.35 * side) / 0.2) ** 2) * (p[:, 2] > 10)
            colours = mixed(mixed(mixed(colours, dark, 0.9 * eye), dark, 0.35 * brow), dark, 0.8 * nostril)
        lips = np.exp(-(((p[:, 0] - 11.3) / 0.75) ** 2) - (p[:, 1] / 1.35) ** 4) * (p[:, 2] > 9)
        colours = mixed(colours, np.asarray(look.skin, np.float32) * (0.88, 0.58, 0.58), 0.7 * lips)
        inside = np.exp(-(((p[:, 0] - 11.3) / 0.34) ** 2) - (p[:, 1] / 0.8) ** 4) * (p[:, 2] > 9)
        colours = mixed(colours, (70, 16, 22), inside)
        crown = p[:, 0] - 0.55 * (p[:, 2] - 6)
        if look.hat is not None:
            knit = shades(look.hat, 0.12 * np.sin(9 * p[:, 0]) + 0.1 * noise.at(p, 1.5))
            return mixed(colours, knit, (crown > 15.4).astype(np.float32))
        strands = 0.5 + 0.35 * noise.at(p * np.array([0.3, 1.0, 0.5], np.float32), 0.8)
        return mixed(colours, look.hair, np.clip((crown - 16.0) / 1.2, 0, 1) * strands)

    def _belly(self, p: Points, noise: Noise) -> NDArray[np.uint8]:
        colours = _flushed(p, self._look.skin, noise, end=(-40.0, 0.0, 0.0))
        dark = np.asarray(self._look.skin, np.float32) * (0.72, 0.5, 0.5)
        for side in (-1, 1):
            nipple = np.exp(-(((p[:, 0] - 4.4) ** 2 + (p[:, 1] - 2.9 * side) ** 2) / 0.35)) * (p[:, 2] > 6)
            colours = mixed(colours, dark, nipple)
        cord = np.exp(-(((p[:, 0] - NAVEL[0]) ** 2 + p[:, 1] ** 2) / 0.8)) * (p[:, 2] > 6)
        nappy = (p[:, 0] < -7.4).astype(np.float32)
        return mixed(mixed(colours, (96, 60, 60), cord), shades((236, 236, 232), 0.05 * noise.at(p, 1.0)), nappy)

    def pose(self, moment: NewbornMoment | None) -> Matrix | None:
        """Move it; returns where its lying coordinates went, none where it is not there."""
        there = moment is not None
        for piece in (self._head, self._trunk, *self._limbs, *([self._wrap] if self._wrap else [])):
            piece.show(there)
        if moment is None:
            return None
        look = self._look
        place = shift(*moment.shift) @ scale(look.size, look.size, look.size)
        self._head.place(place @ head_matrix(look) @ shift(0.0, 0.0, 0.0))
        mesh = self._trunk_mesh
        rise = (2.3 * moment.lift + 0.16 * moment.breath) * self._swell
        belly = (0.9 * moment.lift + 0.22 * moment.breath) * self._belly_swell
        self._trunk.reshape(_swollen(mesh, rise + belly), mesh.normals)
        self._trunk.place(place)
        for index, (piece, stir) in enumerate(zip(self._limbs, moment.stir, strict=True)):
            mirror = scale(1, 1 if index % 2 == 0 else -1, 1)
            if index < 2:
                joint = shift(*SHOULDER) @ turn((0, 0, 1), -0.5 + 0.9 * look.arms_up + 0.08 * stir)
            else:
                rub = 0.14 * moment.leg_rub
                joint = shift(*HIP) @ turn((0, 0, 1), _leg_angle(look) + 0.05 * stir + rub)
                joint = joint @ turn((0, 1, 0), 0.07 * stir + rub)
            piece.place(place @ mirror @ joint @ mirror)
        if self._wrap:
            self._wrap.place(place)
        return place


def _leg_angle(look: NewbornLook) -> float:
    return 0.1 - 0.5 * look.legs_apart


def _as_it_is(mesh: Mesh) -> Mesh:
    return mesh


def _swollen(mesh: Mesh, rise: NDArray[np.floating]) -> Points:
    return (mesh.points + mesh.normals * rise[:, None] * (0.5, 0.7, 1.0)).astype(np.float32)


def _flushed(p: Points, colour: Colour, noise: Noise, *, end: tuple[float, float, float]) -> NDArray[np.uint8]:
    """Skin that is redder towards hands, feet or cheeks, and darker where it lies on the cloth."""
    colours = skin(p, colour, noise)
    near = np.exp(-((p - np.asarray(end, np.float32)) ** 2).sum(axis=1) / 14)
    return mixed(colours, np.asarray(colour, np.float32) * (1.05, 0.68, 0.66), 0.5 * near)


def _wrap(look: NewbornLook, noise: Noise) -> Mesh:
    """A towel over belly or legs: what lies below, from above, smoothed and folded."""
    along, across = np.linspace(-26, look.wrap_high, 34), np.linspace(-15, 15, 36)
    x, y = np.meshgrid(along, across)
    below = np.zeros_like(x)
    lumps = [((-3.8, 0.0), 6.4, 6.5, 10.4), ((-9.0, 0.0), 6.0, 7.0, 9.0), ((3.0, 0.0), 7.0, 7.0, 10.2)]
    for mirror in (-1, 1):  # the legs: knee, shin, foot
        for at, radius, height in (((-3.0, 2.2, 0), 5.0, 9.0), ((-5.6, 4.2, 0), 4.6, 10.8), ((-9, 3.4, 0), 4.4, 8.0),
                                   ((-13.2, 2.9, 0), 4.4, 6.6)):  # fmt: skip
            place = shift(*HIP) @ turn((0, 0, 1), _leg_angle(look))
            leg = applied(place, at)
            lumps.append(((float(leg[0]), mirror * float(leg[1])), radius, radius, height))
    for (cx, cy), rx, ry, height in lumps:
        round_ = np.clip(1 - ((x - cx) / (1.35 * rx)) ** 2 - ((y - cy) / (1.35 * ry)) ** 2, 0, 1)
        below = np.maximum(below, height * np.sqrt(round_))
    folds = noise.at(np.stack([x, y * 0.5, 0 * x], -1).reshape(-1, 3).astype(np.float32), 5.0, 3).reshape(x.shape)
    z = below + 0.55 + 0.5 * folds
    wavy = 0.8 * noise.at(np.stack([y, 0 * y, 0 * y], -1).reshape(-1, 3).astype(np.float32), 6.0, 2).reshape(x.shape)
    return surface(x + wavy, y, z, repeat=(2, 1.5))
