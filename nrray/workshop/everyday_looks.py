"""Looks of the everyday world, drawn at random from a wide range: colours, textures, table tops, light and shadow."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from nrray.models.frame_stacking import LUMA
from nrray.workshop.everyday import CANVAS_PX
from nrray.workshop.everyday_pen import Colour, Field, Image, Mask, capsule, fill, paint

_LUMA = np.array(LUMA, np.float32) / 256
_CANVAS_X: Field = np.tile(np.arange(CANVAS_PX, dtype=np.float32), (CANVAS_PX, 1))
_CANVAS_Y: Field = _CANVAS_X.T


@dataclass(frozen=True, kw_only=True)
class Light:
    """From where it comes, how much surfaces are shaded by it, and how dark and long shadows are."""

    x: float
    y: float
    shading: float
    shadow: float
    shadow_px: float


def drawn_light(random: np.random.Generator) -> Light:
    turn = random.uniform(0, 2 * math.pi)
    return Light(
        x=math.cos(turn),
        y=math.sin(turn),
        shading=float(random.choice((0.0, random.uniform(0.2, 1.2), random.uniform(0.5, 1.5)))),
        shadow=float(random.choice((0.0, random.uniform(0.1, 0.6)))),
        shadow_px=float(random.uniform(1, 7)),
    )


def any_colour(random: np.random.Generator) -> Colour:
    """Any colour, pale ones more often than pure ones."""
    gray = random.uniform(10, 245)
    rgb = gray + random.uniform(-1, 1, 3) * random.choice((10.0, 40.0, 90.0))
    clipped: Colour = np.clip(rgb, 0, 255).astype(np.float32)
    return clipped


def skin_colour(random: np.random.Generator) -> Colour:
    skin = np.array([235, 190, 160]) * random.uniform(0.25, 1.0) + random.normal(0, 10, 3)
    return np.clip(skin, 5, 250).astype(np.float32)


def colour_apart(
    random: np.random.Generator,
    others: Sequence[Colour],
    *,
    draw: Callable[[np.random.Generator], Colour] = any_colour,
) -> Colour:
    """A colour that can be told from the others in a gray picture: of six, the one that is farthest from the nearest, or the
    first that is far enough."""
    drawn = [draw(random) for _ in range(6)]
    distances = [min(abs(float(colour @ _LUMA - other @ _LUMA)) for other in others) for colour in drawn]
    return drawn[int(np.argmax(np.minimum(distances, 30)))]


def drawn_table(random: np.random.Generator) -> Image:
    """A background: some of colour, gradient, noise, stripes, tiles and blobs, and clutter that is none of the things."""
    size = CANVAS_PX
    table = np.broadcast_to(any_colour(random), (size, size, 3)).astype(np.float32)
    layers = [_gradient, _rough, _striped, _tiled, _blobs]
    for number in random.permutation(len(layers))[: int(random.integers(0, 4))]:
        pattern = layers[number](random)[..., None]
        other = any_colour(random)
        table = table + (other - table) * pattern * float(random.uniform(0.1, 0.8))
    for _ in range(int(random.choice((0, 0, 0, 1, 2)))):  # clutter
        mask = np.zeros((size, size), np.uint8)
        start, end = random.uniform(0, size, (2, 2))
        capsule(mask, start, end, float(random.uniform(2, 14)))
        paint(table, mask, any_colour(random))
    if random.random() < 0.5:  # the table's edge
        mask = np.zeros((size, size), np.uint8)
        corners = np.array([(-40, -40), (200, -40), (200, 0), (-40, 0)]) + random.uniform(-15, 15, (4, 2))
        turn, middle = random.uniform(0, 2 * math.pi), size / 2
        cosine, sine = math.cos(turn), math.sin(turn)
        points = (corners - middle) @ np.array([[cosine, sine], [-sine, cosine]]) + middle
        fill(mask, points, 255)
        paint(table, mask, any_colour(random))
    return np.ascontiguousarray(np.clip(table, 0, 255), dtype=np.float32)


def surface(random: np.random.Generator, mask: Mask, light: Light, *, colour: Colour) -> Image:
    """Colours of a sprite: one or two, a texture, and shade by the light."""
    size = mask.shape[0]
    colours = np.broadcast_to(colour, (size, size, 3)).astype(np.float32)
    choice = random.random()
    if choice < 0.45:
        field = _striped(random) if choice < 0.2 else _blobs(random)
        pattern = cv2.resize(field, (size, size), interpolation=cv2.INTER_LINEAR)[..., None]
        colours = colours + (any_colour(random) - colours) * pattern * float(random.uniform(0.2, 1.0))
    colours = colours * (1 + noise_field(random, size, amount=float(random.uniform(0, 0.3))))[..., None]
    return np.asarray(colours * relief(mask, light)[..., None], dtype=np.float32)


def relief(mask: Mask, light: Light) -> Field:
    """Shade of a body whose height is the blurred mask: Lambert's law for small slopes."""
    if not light.shading:
        return np.ones(mask.shape, np.float32)
    height = cv2.blur(cv2.blur(mask, (9, 9)), (9, 9)).astype(np.float32)
    slope_x, slope_y = cv2.Sobel(height, cv2.CV_32F, 1, 0), cv2.Sobel(height, cv2.CV_32F, 0, 1)
    shade: Field = 1 - light.shading / 140 * (light.x * slope_x + light.y * slope_y)
    return np.clip(shade, 0.3, 1.7)


def cast_shadow(canvas: Image, mask: Mask, light: Light) -> None:
    if light.shadow:
        moved = np.array([[1, 0, -light.x * light.shadow_px], [0, 1, -light.y * light.shadow_px]])
        soft = cv2.blur(cv2.warpAffine(mask, moved, mask.shape[::-1]), (7, 7))
        canvas *= 1 - light.shadow * (soft[..., None] / np.float32(255))


def noise_field(random: np.random.Generator, size: int, *, amount: float) -> Field:
    """(S, S) noise of several scales, of standard deviation of about `amount`."""
    field = np.zeros((size, size), np.float32)
    for cells in random.choice((3, 6, 12, 25, 50, size), 2, replace=False):
        coarse = random.normal(0, 0.7 * amount, (int(cells), int(cells))).astype(np.float32)
        field += cv2.resize(coarse, (size, size), interpolation=cv2.INTER_LINEAR)
    return field


def _gradient(random: np.random.Generator) -> Field:
    turn = random.uniform(0, 2 * math.pi)
    field = (math.cos(turn) * (_CANVAS_X - 80) + math.sin(turn) * (_CANVAS_Y - 80)) / 220 + 0.5
    return np.clip(field, 0, 1)


def _rough(random: np.random.Generator) -> Field:
    return np.clip(0.5 + noise_field(random, CANVAS_PX, amount=0.35), 0, 1)


def _striped(random: np.random.Generator) -> Field:
    turn, period = random.uniform(0, math.pi), random.uniform(5, 40)
    wave = np.sin((math.cos(turn) * _CANVAS_X + math.sin(turn) * _CANVAS_Y) * np.float32(2 * math.pi / period))
    return np.asarray(np.clip(0.5 + wave * random.choice((0.5, 4.0)), 0, 1), np.float32)


def _tiled(random: np.random.Generator) -> Field:
    period = random.uniform(10, 45)
    tiles = np.floor(_CANVAS_X / period) + np.floor(_CANVAS_Y / period)
    field: Field = (tiles % 2).astype(np.float32)
    return field


def _blobs(random: np.random.Generator) -> Field:
    field = noise_field(random, CANVAS_PX, amount=1.0)
    return np.clip(0.5 + 4 * (field - float(np.median(field))), 0, 1)
