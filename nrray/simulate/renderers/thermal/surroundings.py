"""What does not move: floor, table with its cloth, and hot things around. Drawn once for a camera."""

from dataclasses import dataclass
from math import cos, sin

import cv2
import numpy as np

from nrray.simulate.renderers.thermal.casting import Array, Bodies, Eye, Plate, box_plate, cast
from nrray.simulate.renderers.thermal.looks import Looks

_FLOOR_CM = -85.0
_PRINT_DEGREES = 2.6


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """The plate without anybody, and where the cloth takes the newborn's warmth."""

    plate: Plate
    warmed: Array  # (H * W,) degrees at the warmest


def surroundings_of(looks: Looks, eye: Eye) -> Surroundings:
    """The surroundings of a case in one camera."""
    random = np.random.default_rng([looks.seed, 7])
    rays = eye.axes.T.astype(np.float32) @ eye.rays
    plate = Plate(
        depth=np.full(eye.width * eye.height, 1e6, np.float32),
        heat=np.full(eye.width * eye.height, looks.floor + 1.0, np.float32),
    )
    floor = _plane_depth(rays, eye, _FLOOR_CM)
    down = floor < 1e6
    plate.depth[down] = floor[down]
    folds = _folds(random, eye, _places(rays, floor, eye), scale_cm=40)
    plate.heat[down] = looks.floor + 0.4 * folds[down]
    low_x, low_y, high_x, high_y = looks.table
    low, high = np.array([low_x, low_y, -6.0]), np.array([high_x, high_y, -0.02])
    box_plate(low - np.array([2.0, 2.0, 6.0]), high + np.array([2.0, 2.0, -1.2]), looks.floor + 1.5, eye, plate)
    box_plate(low, high, looks.cloth - 0.8, eye, plate)
    depth = _plane_depth(rays, eye, 0.0)
    places = _places(rays, depth, eye)
    on_cloth = (
        (depth < 1e6)
        & (places[0] > low_x)
        & (places[0] < high_x)
        & (places[1] > low_y)
        & (places[1] < high_y)
        & (depth <= plate.depth + 0.5)
    )
    x, y = places[0][on_cloth], places[1][on_cloth]
    glow = looks.warmer * np.exp(-((x - 12) ** 2 + y**2) / (2 * 19.0**2))
    folds = _folds(random, eye, places, scale_cm=9)
    plate.heat[on_cloth] = looks.cloth + glow + looks.cloth_unrest * folds[on_cloth]
    plate.depth[on_cloth] = depth[on_cloth]
    warmed = np.zeros_like(plate.heat)
    warmed[on_cloth] = _PRINT_DEGREES * np.exp(-(((x - 13) / 16) ** 2) - (y / 8.5) ** 2)
    _hot_things(looks, eye, plate, random)
    warmed[plate.depth < depth - 0.5] = 0
    return Surroundings(plate=plate, warmed=warmed)


def _plane_depth(rays: Array, eye: Eye, height_cm: float) -> Array:
    """Depth of the plane z = height along each ray; 1e6 where a ray looks above it."""
    falls = np.minimum(rays[2], np.float32(-1e-4))
    depth = (height_cm - eye.origin[2]) / falls
    return np.where(rays[2] < -1e-3, depth, 1e6).astype(np.float32)


def _places(rays: Array, depth: Array, eye: Eye) -> Array:
    """(2, H * W): x and y of the world where each ray ends."""
    return np.asarray(eye.origin[:2, None] + rays[:2] * np.minimum(depth, 2000), np.float32)


def _folds(random: np.random.Generator, eye: Eye, places: Array, *, scale_cm: float) -> Array:
    """Smooth unevenness of a plane, about -1 to 1, fixed to the world, at `places` (2, H * W)."""
    grid = random.normal(0, 1, (48, 48)).astype(np.float32)
    grid += cv2.resize(random.normal(0, 1.5, (8, 8)).astype(np.float32), (48, 48), interpolation=cv2.INTER_CUBIC)
    columns, rows = (places / scale_cm + 24).astype(np.float32).reshape(2, eye.height, eye.width)
    read = cv2.remap(grid, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(read.ravel() / 2, np.float32)


def _hot_things(looks: Looks, eye: Eye, plate: Plate, random: np.random.Generator) -> None:
    bodies = Bodies()
    middle_x = (looks.table[0] + looks.table[2]) / 2
    for number, heat in enumerate(looks.spots):
        angle, far = random.uniform(0, 6.28), random.uniform(46, 62)
        at = np.array([middle_x + 1.15 * far * cos(angle), far * sin(angle), random.uniform(-45, -6)])
        if number % 2:
            bodies.upright(at, (random.uniform(2, 5),) * 3, heat)
            continue
        half = np.array([random.uniform(4, 10), random.uniform(4, 10), random.uniform(3, 8)])
        box_plate(at - half, at + half, looks.floor + 4.0, eye, plate)
        box_plate(at - 0.6 * half, at + 0.6 * half + np.array([0, 0, 0.5 * half[2]]), heat, eye, plate)
    cast(bodies, eye, plate, looks.floor)
