"""Analytic ray casting of capsules, ellipsoids and boxes into a picture of depths and temperatures.

All bodies of one kind are cast at once: each is tested at the pixels of its own bounding box alone, and those pixels
stand in one flat row.
"""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Vector = NDArray[np.float64]

_NEAR_CM = 1.0
_FACING_SHARE = 0.3  # of the radiation that a surface loses as it turns away: emissivity falls at grazing angles


class Bodies:
    """Bodies that are placed one by one."""

    def __init__(self) -> None:
        self.capsules: list[tuple[Vector, Vector, float, float, float]] = []
        self.ellipsoids: list[tuple[Vector, Vector, float]] = []

    def capsule(self, start: Vector, end: Vector, radius: float, heat: float, end_heat: float | None = None) -> None:
        """A cylinder of two round ends; its temperature goes from `heat` at `start` to `end_heat` at `end`."""
        self.capsules.append((start, end, radius, heat, heat if end_heat is None else end_heat))

    def chain(self, points: list[Vector], radius: float, heat: float) -> None:
        """Capsules from point to point."""
        for start, end in pairwise(points):
            self.capsule(start, end, radius, heat)

    def ellipsoid(self, centre: Vector, axes: Vector, heat: float) -> None:
        """`axes` is (3, 3): each row one semi-axis, as direction times length."""
        self.ellipsoids.append((centre, axes, heat))

    def upright(self, centre: Vector, radii: tuple[float, float, float], heat: float) -> None:
        """An ellipsoid along the world's axes."""
        self.ellipsoid(centre, np.diag(radii), heat)


@dataclass(frozen=True, kw_only=True)
class Eye:
    """A pinhole camera: rows of `axes` are right, down and forward; `focal_px` is in pixels of its grid."""

    origin: Vector
    axes: Vector
    focal_px: float
    width: int
    height: int
    rays: Array = field(init=False)  # (3, H * W): depth 1
    squares: Array = field(init=False)  # (H * W,): squared lengths of rays

    def __post_init__(self) -> None:
        y, x = np.mgrid[: self.height, : self.width].astype(np.float32)
        u = (x.ravel() + 0.5 - self.width / 2) / self.focal_px
        v = (y.ravel() + 0.5 - self.height / 2) / self.focal_px
        rays = np.stack([u, v, np.ones_like(u)]).astype(np.float32)
        object.__setattr__(self, "rays", rays)
        object.__setattr__(self, "squares", (rays * rays).sum(axis=0))

    def seen(self, points: Vector | list[Vector]) -> Vector:
        """World points (..., 3) in this camera's coordinates."""
        return (np.asarray(points, np.float64) - self.origin) @ self.axes.T

    def point(self, right: float, down: float, depth_cm: float) -> Vector:
        """The world point at a place of the picture, where -1 and 1 are its edges, at a depth."""
        ray = np.array([right * self.width / 2 / self.focal_px, down * self.height / 2 / self.focal_px, 1.0])
        return self.origin + depth_cm * (ray @ self.axes)

    def depth_at_height(self, right: float, down: float, height_cm: float) -> float:
        """Depth at which the ray through a place of the picture meets the plane z = `height_cm`; at most 400."""
        fall = float((self.point(right, down, 1.0) - self.origin)[2])
        return min((height_cm - float(self.origin[2])) / min(fall, -1e-3), 400.0)


@dataclass(kw_only=True)
class Plate:
    """What a camera has caught: depth and temperature of the nearest surface, each (H * W,)."""

    depth: Array
    heat: Array

    def copy(self) -> "Plate":
        """A plate of the same content."""
        return Plate(depth=self.depth.copy(), heat=self.heat.copy())


def cast(bodies: Bodies, eye: Eye, plate: Plate, ambient: float) -> None:
    """Draw bodies into the plate wherever they are nearer than what it holds. Surfaces that turn away from the camera
    mirror some of the `ambient` temperature."""
    if bodies.capsules:
        _cast_capsules(bodies, eye, plate, ambient)
    if bodies.ellipsoids:
        _cast_ellipsoids(bodies, eye, plate, ambient)


def _cast_capsules(bodies: Bodies, eye: Eye, plate: Plate, ambient: float) -> None:
    starts = eye.seen([start for start, *_ in bodies.capsules])
    ends = eye.seen([end for _, end, *_ in bodies.capsules])
    numbers = np.array([rest for _, _, *rest in bodies.capsules], np.float64)
    radii = numbers[:, 0]
    axes = ends - starts
    lengths = np.sqrt((axes * axes).sum(axis=1))
    axes /= np.maximum(lengths, 1e-6)[:, None]
    behind = -(starts * axes).sum(axis=1)  # the camera's place along the axis
    squares = (starts * starts).sum(axis=1)
    boxes = np.stack([_boxes(starts, radii, eye), _boxes(ends, radii, eye)])
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    pixels, owners = _pixels(low, high, eye)
    table = np.stack([*starts.T, *axes.T, behind, lengths, squares, radii]).astype(np.float32)
    x, y, z, axis_x, axis_y, axis_z, at, length, square, radius = table[:, owners]
    u, v, _ = eye.rays[:, pixels]
    ray_square = eye.squares[pixels]
    along = u * axis_x + v * axis_y + axis_z
    to_start = u * x + v * y + z
    a = np.maximum(ray_square - along * along, np.float32(1e-9))
    b = to_start + along * at
    root = b * b - a * (square - at * at - radius * radius)
    hit = root >= 0
    np.maximum(root, 0, out=root)
    depth = (b - np.sqrt(root)) / a
    facing = np.sqrt(root / a) / radius
    place = at + depth * along
    past = place > length
    to_cap = to_start + np.where(past, length * along, 0)
    cap_square = square + np.where(past, length * (length - 2 * at), 0)
    cap_root = to_cap * to_cap - ray_square * (cap_square - radius * radius)
    on_cap = past | (place < 0)
    hit &= ~on_cap | (cap_root >= 0)
    np.maximum(cap_root, 0, out=cap_root)
    depth = np.where(on_cap, (to_cap - np.sqrt(cap_root)) / ray_square, depth)
    facing = np.where(on_cap, np.sqrt(cap_root / ray_square) / radius, facing)
    share = np.clip(place / np.maximum(length, np.float32(1e-6)), 0, 1)
    warm, warm_end = numbers[:, 1].astype(np.float32)[owners], numbers[:, 2].astype(np.float32)[owners]
    heat = warm + (warm_end - warm) * share
    _keep_nearest(plate, pixels[hit], depth[hit], _apparent(heat[hit], facing[hit], ambient))


def _cast_ellipsoids(bodies: Bodies, eye: Eye, plate: Plate, ambient: float) -> None:
    centres = eye.seen([centre for centre, *_ in bodies.ellipsoids])
    frames = np.array([axes for _, axes, _ in bodies.ellipsoids], np.float64)
    heats = np.array([heat for *_, heat in bodies.ellipsoids], np.float32)
    squares = (frames * frames).sum(axis=2)
    # Where the ellipsoid is the unit ball: a row of the frame, divided by its squared length, reads its coordinate.
    to_ball = (frames / squares[:, :, None]) @ eye.axes.T
    balls = np.einsum("nij,nj->ni", to_ball, centres)
    boxes = _boxes(centres, np.sqrt(squares.max(axis=1)), eye)
    pixels, owners = _pixels(boxes[:2], boxes[2:], eye)
    table = np.concatenate([to_ball.reshape(-1, 9).T, balls.T, [(balls * balls).sum(axis=1) - 1]]).astype(np.float32)
    m = table[:, owners]
    u, v, _ = eye.rays[:, pixels]
    x, y, z = m[0] * u + m[1] * v + m[2], m[3] * u + m[4] * v + m[5], m[6] * u + m[7] * v + m[8]
    a = x * x + y * y + z * z
    b = x * m[9] + y * m[10] + z * m[11]
    root = b * b - a * m[12]
    hit = root >= 0
    root, a, b = np.sqrt(root[hit]), a[hit], b[hit]
    _keep_nearest(plate, pixels[hit], (b - root) / a, _apparent(heats[owners[hit]], root / np.sqrt(a), ambient))


def box_plate(low: Vector, high: Vector, heat: float, eye: Eye, plate: Plate) -> None:
    """Draw a box along the world's axes, from its lowest to its highest corner."""
    rays = eye.axes.T.astype(np.float32) @ eye.rays  # (3, H * W)
    safe = np.where(np.abs(rays) < 1e-6, np.float32(1e-6), rays)
    slabs = np.stack([(corner - eye.origin)[:, None] / safe for corner in (low, high)])
    enter, leave = slabs.min(axis=0).max(axis=0), slabs.max(axis=0).min(axis=0)
    hit = np.flatnonzero((enter <= leave) & (enter > _NEAR_CM)).astype(np.intp)
    _keep_nearest(plate, hit, enter[hit].astype(np.float32), np.full(len(hit), heat, np.float32))


def _apparent(heat: Array, facing: Array, ambient: float) -> Array:
    lost = _FACING_SHARE * np.square(1 - np.minimum(facing, 1))
    return np.asarray(heat - (heat - np.float32(ambient)) * lost, np.float32)


def _keep_nearest(plate: Plate, pixels: NDArray[np.intp], depth: Array, heat: Array) -> None:
    far = depth > _NEAR_CM
    pixels, depth, heat = pixels[far], depth[far], heat[far]
    np.minimum.at(plate.depth, pixels, depth)
    front = depth <= plate.depth[pixels]
    plate.heat[pixels[front]] = heat[front]


def _boxes(centres: Vector, radii: Vector, eye: Eye) -> NDArray[np.int64]:
    """(4, n): first column, first row, last column and row (exclusive) of balls in the camera's coordinates. A ball that
    reaches the camera's plane may cover all."""
    z = np.maximum(centres[:, 2], 1e-3)
    room = np.maximum(z * z - radii * radii, 1e-3)
    bounds = []
    for sign, half in ((-1, 0), (1, 1)):
        for axis, size in ((0, eye.width), (1, eye.height)):
            across = centres[:, axis]
            edge = (across * z + sign * radii * np.sqrt(np.maximum(across * across + room, 0))) / room
            pixel = np.clip(edge * eye.focal_px + size / 2 + half, 0, size)
            bounds.append(np.where(centres[:, 2] > radii + _NEAR_CM, pixel, size * half))
    return np.array(bounds).astype(np.int64)


def _pixels(low: NDArray[np.int64], high: NDArray[np.int64], eye: Eye) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The pixels of all boxes in one row, and the box that each is of."""
    widths, heights = np.maximum(high - low, 0)
    counts = widths * heights
    owners = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    rows, columns = np.divmod(within, widths[owners])
    return (low[1][owners] + rows) * eye.width + low[0][owners] + columns, owners
