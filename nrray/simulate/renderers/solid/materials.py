"""MuJoCo's model of a case: no bodies, only materials with procedural textures, by which the bodies' colours are multiplied."""

from collections.abc import Callable
from math import cos, pi, sin
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrray.simulate.appearance import Appearance
from nrray.simulate.renderers.solid.gl import loaded_mujoco
from nrray.simulate.renderers.solid.look import Look

Factors = NDArray[np.float64]  # (H, W, 3), about 1
Grid = NDArray[np.float64]  # (H, W)

_SHEETS = {
    "cloth": (256, 384),
    "floor": (256, 256),
    "wall": (128, 128),
    "screen": (64, 96),
}  # height, width of flat textures
_CUBES = ("newborn", "adult", "rubber", "fabric", "passer", "wrap", "bag", "plain", "clear", "nappy")
_CUBE_SIDE = 48
_REPEATED = {"floor": 0.45, "wall": 0.4}  # repetitions in 100 pixels
_ROUGH = {
    "cloth": 0.05,
    "floor": 0.07,
    "wall": 0.05,
    "fabric": 0.09,
    "passer": 0.09,
    "wrap": 0.10,
    "newborn": 0.06,
    "adult": 0.06,
    "nappy": 0.04,
    "bag": 0.03,
}
_SLIGHT = 0.02
_SAMPLES, _SHADOW_PX, _SLICES, _STACKS = 0, 512, 12, 8  # chosen for speed on a CPU
MATERIALS = (*_SHEETS, *_CUBES)


def made_model(appearance: Appearance, look: Look, *, size: tuple[int, int]) -> Any:
    """An MjModel with MATERIALS by name, for pictures of `size` (width, height)."""
    sides = {**_SHEETS, **dict.fromkeys(_CUBES, (_CUBE_SIDE, _CUBE_SIDE))}
    textures = "".join(
        f'<texture name="{name}" type="{"2d" if name in _SHEETS else "cube"}" builtin="flat" height="{height}" '
        f'width="{width}" rgb1="1 1 1"/>'
        for name, (height, width) in sides.items()
    )
    materials = "".join(
        f'<material name="{name}" texture="{name}"'
        + (f' texuniform="true" texrepeat="{_REPEATED[name]} {_REPEATED[name]}"/>' if name in _REPEATED else "/>")
        for name in MATERIALS
    )
    model = loaded_mujoco().MjModel.from_xml_string(
        f'<mujoco><statistic extent="1" center="0 0 0"/><visual><global offwidth="{size[0]}" offheight="{size[1]}"/>'
        f'<map znear="0.01" zfar="30" shadowclip="2.0"/><headlight active="0"/>'
        f'<quality shadowsize="{_SHADOW_PX}" offsamples="{_SAMPLES}" numslices="{_SLICES}" numstacks="{_STACKS}"/></visual>'
        f"<asset>{textures}{materials}</asset><worldbody/></mujoco>"
    )
    random = np.random.default_rng([appearance.texture_seed, 79])
    for name in MATERIALS:
        texture = model.texture(name).id
        first = model.tex_adr[texture]
        factors = _texture(
            name, int(model.tex_height[texture]), int(model.tex_width[texture]), appearance, look, random
        )
        pixels = np.clip(255 * factors, 0, 255).astype(np.uint8)
        model.tex_data[first : first + pixels.size] = pixels.ravel()
    return model


def _texture(
    name: str, height: int, width: int, appearance: Appearance, look: Look, random: np.random.Generator
) -> Factors:
    rough = _ROUGH.get(name, _SLIGHT)
    grain = 0.93 + _cloud(random, height, width, 6, rough) + _cloud(random, height, width, 22, 0.6 * rough)
    factors = np.repeat((grain + random.normal(0, 0.4 * rough, (height, width)))[..., None], 3, axis=2)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    if name in ("newborn", "adult"):  # flushed here, sallow there
        factors[..., 0] += _cloud(random, height, width, 9, 0.03)
        factors[..., 1:] -= _cloud(random, height, width, 7, 0.05)[..., None]
    elif name in ("fabric", "passer", "wrap"):
        factors *= (0.96 + 0.04 * np.sin(x * random.uniform(0.5, 1.6)))[..., None]
    elif name == "cloth":
        mark = _PATTERNS[look.cloth_kind % len(_PATTERNS)](x, y, max(appearance.cloth_step, 8.0))
        factors[mark] *= np.array(appearance.cloth_mark) / np.maximum(appearance.cloth, 1)
        factors += _folds(x, y, random)[..., None]
    elif name == "floor":
        factors *= _floor(x, y, look.floor_kind, random)[..., None]
    elif name == "screen":
        factors[:] = _screen(x, y, random)
    return factors


def _cloud(random: np.random.Generator, height: int, width: int, cells: int, strength: float) -> Grid:
    """Smooth noise: a grid of random values, interpolated."""
    rows, columns = cells * max(1, height // width), cells * max(1, width // height)
    grid = random.normal(0, strength, (rows + 2, columns + 2))
    down, right = np.linspace(0, rows, height), np.linspace(0, columns, width)
    i, j = down.astype(int), right.astype(int)
    v, u = (down - i)[:, None], (right - j)[None]
    upper = grid[i][:, j] * (1 - u) + grid[i][:, j + 1] * u
    lower = grid[i + 1][:, j] * (1 - u) + grid[i + 1][:, j + 1] * u
    cloud: Grid = upper * (1 - v) + lower * v
    return cloud


def _dots(x: Grid, y: Grid, step: float, radius: float) -> NDArray[np.bool_]:
    return np.hypot(x % step - step / 2, (y + step / 2 * (x // step % 2)) % step - step / 2) < radius


_PATTERNS: tuple[Callable[[Grid, Grid, float], NDArray[np.bool_]], ...] = (
    lambda x, y, step: np.zeros(x.shape, bool),  # plain
    lambda x, y, step: x % step < 3,  # stripes
    lambda x, y, step: y % step < 0.4 * step,  # broad stripes across
    lambda x, y, step: (x % step < 3) | (y % step < 3),  # a grid
    lambda x, y, step: (x // step + y // step) % 2 < 1,  # a chessboard
    lambda x, y, step: _dots(x, y, step, 4.0),
    lambda x, y, step: _dots(x, y, 1.6 * step, 0.5 * step),  # big dots
    lambda x, y, step: (x + y) % step < 4,  # slanting stripes
    lambda x, y, step: (y + np.abs(x % (2 * step) - step)) % step < 4,  # zigzag
)


def _folds(x: Grid, y: Grid, random: np.random.Generator) -> Grid:
    """Each fold has a light side and a dark one."""
    total = np.zeros(x.shape)
    for _ in range(int(random.integers(4, 14))):
        angle, place, depth = random.uniform(0, pi), random.uniform(-150, 150), random.uniform(0.05, 0.16)
        middle = (x - x.shape[1] / 2) * cos(angle) + (y - x.shape[0] / 2) * sin(angle)
        across = middle - place + 6 * np.sin(0.03 * (x + y))
        total += depth * across / 4 * np.exp(-((across / 5) ** 2))
    return total


def _floor(x: Grid, y: Grid, kind: int, random: np.random.Generator) -> Grid:
    """Plain, tiles of two sizes, planks, speckles; repeats without a seam."""
    if kind == 1 or kind == 2:
        tile = 64 if kind == 1 else 32
        return np.where((x % tile < 2) | (y % tile < 2), 0.8, 1.0)
    if kind == 3:
        plank = random.uniform(0.8, 1.05, 8)[(y // 32).astype(int)]
        grain = 1 + 0.05 * np.sin(0.9 * y + 2 * np.sin(2 * pi * x / 256))
        return np.where(y % 32 < 1.5, 0.6, plank * grain)
    if kind == 4:
        return np.where(random.random(x.shape) < 0.06, random.uniform(0.6, 0.85), 1.0)
    return np.ones(x.shape)


def _screen(x: Grid, y: Grid, random: np.random.Generator) -> Factors:
    """Curves of a monitor on a dark ground."""
    picture = np.full((*x.shape, 3), 0.06)
    for row in range(3):
        middle = 12 + 18 * row
        beat = random.uniform(10, 26)
        curve = middle - 7 * np.exp(-(((x % beat) - beat / 2) ** 2) / random.uniform(2, 20))
        picture[np.abs(y - curve) < 1.2] = random.uniform(0.2, 1.0, 3)
    return picture
