"""Simple bodies in canvas pixels, put one after another into MuJoCo's list of shapes.

World: x right and y up on the canvas (so canvas y is turned over), z above the table; MuJoCo gets hundredths.
"""

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrray.simulate.renderers.solid.gl import loaded_mujoco

Vector = NDArray[np.float64]
Tint = Sequence[float] | NDArray[np.float64]
"""RGB, 0 to 255."""

UNIT = 0.01  # of MuJoCo's lengths, per pixel
MAX_BODIES = 600
PASSER = 0xFFFFFE  # number of a passer's bodies, one below white: MuJoCo paints the number after it

_SHINE: Mapping[str, tuple[float, float]] = {  # specular, shininess
    "rubber": (0.35, 0.5),
    "bag": (0.6, 0.7),
    "plain": (0.4, 0.6),
    "clear": (0.9, 0.9),
    "newborn": (0.18, 0.3),
    "adult": (0.15, 0.3),
    "screen": (0.2, 0.5),
}
_DULL = (0.03, 0.1)


def world(x: float, y: float, z: float = 0.0) -> Vector:
    """(3,) of a place on the canvas, `z` above the table."""
    return np.array([x - 160, 120 - y, z], np.float64)


def unit(vector: Vector) -> Vector:
    """Length one, same direction."""
    x, y, z = vector.tolist()
    return vector / (sqrt(x * x + y * y + z * z) or 1.0)


class Stage:
    """Bodies of one picture. `rewind` forgets those that were put after `keep`."""

    def __init__(self, scene: Any, materials: Mapping[str, int]) -> None:
        mujoco = loaded_mujoco()
        kinds = mujoco.mjtGeom
        self._init = mujoco.mjv_initGeom
        self._ellipsoid, self._capsule = kinds.mjGEOM_ELLIPSOID.value, kinds.mjGEOM_CAPSULE.value
        self._box, self._cylinder = kinds.mjGEOM_BOX.value, kinds.mjGEOM_CYLINDER.value
        self._scene, self._materials = scene, materials
        self._geoms = list(scene.geoms)
        for geom in self._geoms:  # mjv_initGeom leaves these as the memory was
            geom.category = mujoco.mjtCatBit.mjCAT_DYNAMIC.value
            geom.objtype, geom.objid = mujoco.mjtObj.mjOBJ_UNKNOWN.value, -1
            geom.camdist = geom.modelrbound = 0.0
        self._kept = 0
        self._used = 0
        self.number = 0  # of the bodies that follow, in pictures of numbers

    def keep(self) -> None:
        """All bodies so far stay for every picture."""
        self._kept = self._used

    def rewind(self) -> None:
        """Begin the next picture."""
        self._used = self._kept

    def finish(self) -> None:
        """Show what was put."""
        self._scene.ngeom = self._used

    def ball(
        self,
        at: Vector,
        radii: Sequence[float],
        tint: Tint,
        material: str = "plain",
        *,
        axis: Vector | None = None,
        up: Vector | None = None,
        alpha: float = 1.0,
    ) -> None:
        """An ellipsoid with `radii` along `axis`, across it, and up."""
        self._put(self._ellipsoid, radii, at, _turned(axis, up), tint, material, alpha)

    def box(
        self,
        at: Vector,
        halves: Sequence[float],
        tint: Tint,
        material: str = "plain",
        *,
        axis: Vector | None = None,
        up: Vector | None = None,
        emission: float = 0.0,
    ) -> None:
        """A box of half its lengths along `axis`, across it, and up; `emission` is its own light, 0 to 1."""
        self._put(self._box, halves, at, _turned(axis, up), tint, material, 1.0, emission)

    def disc(
        self, at: Vector, radius: float, half: float, tint: Tint, material: str = "plain", *, axis: Vector | None = None
    ) -> None:
        """A cylinder of half its length along `axis` (upright by default)."""
        turn = _IDENTITY if axis is None else _along_z(axis)
        self._put(self._cylinder, (radius, half, 0.0), at, turn, tint, material, 1.0)

    def limb(
        self, start: Vector, end: Vector, radius: float, tint: Tint, material: str = "plain", *, alpha: float = 1.0
    ) -> None:
        """A rod with round ends."""
        way = end - start
        length = float(np.sqrt(way @ way))
        self._put(
            self._capsule,
            (radius, length / 2, 0.0),
            (start + end) / 2,
            _along_z(way) if length > 1e-6 else _IDENTITY,
            tint,
            material,
            alpha,
        )

    def chain(self, points: Sequence[Vector], radii: Sequence[float], tint: Tint, material: str = "plain") -> None:
        """Rods from point to point."""
        for start, end, radius in zip(points, points[1:], radii, strict=False):
            self.limb(start, end, radius, tint, material)

    def _put(
        self,
        kind: int,
        size: Sequence[float],
        at: Vector,
        turn: Vector,
        tint: Tint,
        material: str,
        alpha: float,
        emission: float = 0.0,
    ) -> None:
        geom = self._geoms[self._used]
        red, green, blue = tint
        rgba = np.array([min(red / 255, 1.0), min(green / 255, 1.0), min(blue / 255, 1.0), alpha], np.float32)
        self._init(geom, kind, np.array([part * UNIT for part in size]), at * UNIT, turn, rgba)
        geom.matid = self._materials[material]
        geom.specular, geom.shininess = _SHINE.get(material, _DULL)
        geom.emission = emission
        geom.segid = self.number
        geom.transparent = alpha < 1
        self._used += 1


_IDENTITY: Vector = np.eye(3).ravel()


def _turned(axis: Vector | None, up: Vector | None) -> Vector:
    """(9,) rows of a rotation: x to `axis`, z near `up`."""
    if axis is None:
        return _IDENTITY
    a, b, c = unit(axis).tolist()
    p, q, r = (0.0, 0.0, 1.0) if up is None else up.tolist()
    d, e, f = q * c - r * b, r * a - p * c, p * b - q * a  # up x axis
    length = sqrt(d * d + e * e + f * f) or 1.0
    d, e, f = d / length, e / length, f / length
    return np.array([a, d, b * f - c * e, b, e, c * d - a * f, c, f, a * e - b * d])


def _along_z(axis: Vector) -> Vector:
    """(9,) rows of a rotation: z to `axis`."""
    a, b, c = unit(axis).tolist()
    if abs(b) < 0.9:
        d, e, f = c, 0.0, -a  # (0, 1, 0) x axis
    else:
        d, e, f = 0.0, -c, b  # (1, 0, 0) x axis
    length = sqrt(d * d + e * e + f * f)
    d, e, f = d / length, e / length, f / length
    return np.array([d, b * f - c * e, a, e, c * d - a * f, b, f, a * e - b * d, c])
