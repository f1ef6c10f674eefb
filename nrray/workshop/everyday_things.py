"""Things of the everyday world as sprites: outlines, details, and how they are placed and squeezed."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from nrray.workshop.everyday import CANVAS_PX, Kind, Thing
from nrray.workshop.everyday_looks import Light, cast_shadow, surface
from nrray.workshop.everyday_pen import Colour, Field, Image, Mask, Point, capsule, direction, fill

_SPRITE_PX = 112
Sprite = NDArray[Any]  # (S, S, 4) float32 colours and opacity, 0 to 255


_TURNS = np.linspace(0, 2 * math.pi, 48, endpoint=False)


_GRID_X: Field = np.tile(np.arange(_SPRITE_PX, dtype=np.float32), (_SPRITE_PX, 1))
_GRID_Y: Field = _GRID_X.T


def thing_sprite(thing: Thing, random: np.random.Generator, light: Light, *, colour: Colour) -> Sprite:
    """(S, S, 4) colours and opacity of a thing, upright, around its middle."""
    mask: Mask = np.zeros((_SPRITE_PX, _SPRITE_PX), np.uint8)
    shape = _Shape(mask, thing.radius_px, random)
    _OUTLINES[thing.kind](shape)
    if random.random() < 0.8:
        mask = cv2.GaussianBlur(mask, (0, 0), 0.7)
    colours = surface(random, mask, light, colour=colour)
    details = _DETAILS.get(thing.kind)
    if details is not None:
        details(shape, colours)
    if random.random() < 0.35:
        edge = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
        colours *= 1 - random.uniform(0.3, 0.9) * (edge[..., None] / np.float32(255))
    sprite: Sprite = np.concatenate([colours, mask[..., None]], axis=2).astype(np.float32)
    return sprite


def placed_sprite(sprite: Sprite, middle: Point, thing: Thing, *, squeezed: float, along: float) -> Sprite:
    """The sprite turned by the thing's angle and, by `squeezed` in [0, 1], pressed together across direction `along`."""
    half = _SPRITE_PX / 2
    fraction = middle - np.floor(middle)
    if not squeezed:
        cosine, sine = math.cos(thing.angle), math.sin(thing.angle)
        to_frame = np.array(
            [
                [cosine, -sine, half + fraction[0] - half * (cosine - sine)],
                [sine, cosine, half + fraction[1] - half * (sine + cosine)],
            ]
        )
        turned: Sprite = cv2.warpAffine(sprite, to_frame, (_SPRITE_PX, _SPRITE_PX), flags=cv2.INTER_LINEAR)
        return turned
    x, y = _GRID_X - np.float32(half + fraction[0]), _GRID_Y - np.float32(half + fraction[1])
    cosine, sine = math.cos(along), math.sin(along)
    u, v = cosine * x + sine * y, cosine * y - sine * x  # along and across the hand's reach
    u = u / np.float32(1 + 0.2 * squeezed)
    waist = np.exp(-np.square(u / np.float32(1.1 * thing.radius_px)))
    v = v / (1 - np.float32(0.55 * squeezed) * waist)
    turn = along - thing.angle
    cosine, sine = math.cos(turn), math.sin(turn)
    squashed: Sprite = cv2.remap(
        sprite, cosine * u - sine * v + np.float32(half), sine * u + cosine * v + np.float32(half), cv2.INTER_LINEAR
    )
    return squashed


def blend(canvas: Image, sprite: Sprite, middle: Point, *, light: Light) -> None:
    """Put a sprite and its shadow on the canvas around `middle`."""
    left, top = (np.floor(middle) - _SPRITE_PX // 2).astype(int)
    x0, y0 = max(0, left), max(0, top)
    x1, y1 = min(CANVAS_PX, left + _SPRITE_PX), min(CANVAS_PX, top + _SPRITE_PX)
    if x0 >= x1 or y0 >= y1:
        return
    part = sprite[y0 - top : y1 - top, x0 - left : x1 - left]
    region = canvas[y0:y1, x0:x1]
    cast_shadow(region, np.ascontiguousarray(part[..., 3]).astype(np.uint8), light)
    region += (part[..., :3] - region) * (part[..., 3:] / np.float32(255))


def opening_of(thing: Thing) -> Point:
    """Where a stick goes in."""
    middle = np.array([thing.x, thing.y])
    if thing.kind is Kind.BOTTLE:
        return middle - 1.45 * thing.radius_px * direction(thing.angle + math.pi / 2)
    return middle


class _Shape:
    """A mask to draw on, in units of the thing's radius around its middle."""

    def __init__(self, mask: Mask, radius_px: float, random: np.random.Generator) -> None:
        self.mask, self.radius_px, self.random = mask, radius_px, random
        self.flatness = float(random.uniform(0.75, 1.0))

    def fill(self, points: Sequence[tuple[float, float]] | NDArray[np.float64], value: int = 255) -> None:
        fill(self.mask, _SPRITE_PX / 2 + self.radius_px * np.asarray(points), value)

    def ellipse(self, x: float, y: float, width: float, height: float, value: int = 255) -> None:
        self.fill(ellipse_points(x, y, width, height), value)


def ellipse_points(x: float, y: float, width: float, height: float) -> NDArray[np.float64]:
    return np.stack([x + width * np.cos(_TURNS), y + height * np.sin(_TURNS)], axis=1)


def _rounded(width: float, height: float, power: float) -> NDArray[np.float64]:
    """A superellipse: 2 is an ellipse, more is nearer to a rectangle."""
    cosine, sine = np.cos(_TURNS), np.sin(_TURNS)
    radius = (np.abs(cosine) ** power + np.abs(sine) ** power) ** (-1 / power)
    return np.stack([width * radius * cosine, height * radius * sine], axis=1)


def _outline_ball(shape: _Shape) -> None:
    shape.ellipse(0, 0, 1, shape.flatness)


def _outline_balloon(shape: _Shape) -> None:
    shape.ellipse(0, -0.1, 0.95, 1.2)
    shape.fill([(-0.15, 1.05), (0.15, 1.05), (0.22, 1.35), (-0.22, 1.35)])


def _outline_book(shape: _Shape) -> None:
    width = shape.random.uniform(0.75, 1.0)
    shape.fill([(-width, -1.1), (width, -1.1), (width, 1.1), (-width, 1.1)])


def _outline_bottle(shape: _Shape) -> None:
    width = shape.random.uniform(0.55, 0.8)
    body = _rounded(width, 1.1, 4) + np.array([0, 0.25])
    shape.fill(body)
    shape.fill([(-0.24, -1.5), (0.24, -1.5), (0.3, -0.6), (-0.3, -0.6)])


def _outline_bowl(shape: _Shape) -> None:
    shape.ellipse(0, 0, 1.15, 1.15 * shape.flatness)


def _outline_box(shape: _Shape) -> None:
    width, height = shape.random.uniform(0.8, 1.1, 2)
    shape.fill([(-width, -height), (width, -height), (width, height), (-width, height)])


def _outline_cloth(shape: _Shape) -> None:
    random = shape.random
    waves = sum(random.uniform(0.03, 0.12) * np.sin(order * _TURNS + random.uniform(0, 6)) for order in (2, 3, 4, 5, 7))
    points = _rounded(1.2, random.uniform(0.8, 1.2), 3) * (1 + np.asarray(waves)[:, None])
    shape.fill(points)


def _outline_cup(shape: _Shape) -> None:
    shape.ellipse(0.95, 0, 0.5, 0.42)
    shape.ellipse(0.95, 0, 0.26, 0.2, value=0)
    shape.ellipse(0, 0, 0.88, 0.88)


def _outline_pillow(shape: _Shape) -> None:
    corners = 1 + 0.16 * np.cos(4 * (_TURNS - math.pi / 4))
    shape.fill(_rounded(1.1, shape.random.uniform(0.8, 1.1), 3) * corners[:, None])


def _outline_ring(shape: _Shape) -> None:
    shape.ellipse(0, 0, 1.1, 1.1 * shape.flatness)
    inner = shape.random.uniform(0.45, 0.65)
    shape.ellipse(0, 0, inner, inner * shape.flatness, value=0)


def _outline_sponge(shape: _Shape) -> None:
    shape.fill(_rounded(1.15, shape.random.uniform(0.65, 0.85), 7))


def _outline_toy(shape: _Shape) -> None:
    """An animal on its back: body, head, two ears, four legs."""
    random = shape.random
    ear = random.uniform(0.2, 0.4)
    for x in (-1, 1):
        shape.ellipse(0.45 * x, -1.35 - 0.6 * ear, 0.22, ear + 0.1)
        shape.ellipse(0.85 * x, -0.15, 0.45, 0.2)
        shape.ellipse(0.5 * x, 1.05, 0.24, 0.45)
    shape.ellipse(0, 0.2, 0.72, 0.9)
    shape.ellipse(0, -0.95, 0.6, 0.55)


_OUTLINES: dict[Kind, Callable[[_Shape], None]] = {
    Kind.BALL: _outline_ball,
    Kind.BALLOON: _outline_balloon,
    Kind.BOOK: _outline_book,
    Kind.BOTTLE: _outline_bottle,
    Kind.BOWL: _outline_bowl,
    Kind.BOX: _outline_box,
    Kind.CLOTH: _outline_cloth,
    Kind.CUP: _outline_cup,
    Kind.PILLOW: _outline_pillow,
    Kind.RING: _outline_ring,
    Kind.SPONGE: _outline_sponge,
    Kind.TOY: _outline_toy,
}


def _shade(shape: _Shape, colours: Image, points: NDArray[np.float64], factor: float) -> None:
    """Make a part of a sprite darker or lighter."""
    part = np.zeros((_SPRITE_PX, _SPRITE_PX), np.uint8)
    fill(part, _SPRITE_PX / 2 + shape.radius_px * points, 255)
    colours *= 1 + (factor - 1) * (part[..., None] / np.float32(255))


def _line(shape: _Shape, colours: Image, start: Sequence[float], end: Sequence[float], factor: float) -> None:
    part = np.zeros((_SPRITE_PX, _SPRITE_PX), np.uint8)
    start_px, end_px = (_SPRITE_PX / 2 + shape.radius_px * np.asarray(point) for point in (start, end))
    capsule(part, start_px, end_px, 1.6)
    colours *= 1 + (factor - 1) * (part[..., None] / np.float32(255))


def _contrast(shape: _Shape) -> float:
    return float(shape.random.choice((shape.random.uniform(0.3, 0.65), shape.random.uniform(1.3, 1.7))))


def _detail_ball(shape: _Shape, colours: Image) -> None:
    for offset in shape.random.uniform(-0.7, 0.7, int(shape.random.integers(0, 3))):
        _line(shape, colours, (-0.9, offset), (0.9, offset), _contrast(shape))


def _detail_book(shape: _Shape, colours: Image) -> None:
    factor = _contrast(shape)
    _line(shape, colours, (-0.6, -1.0), (-0.6, 1.0), factor)
    for y in np.linspace(-0.6, 0.2, int(shape.random.integers(1, 5))):
        _line(shape, colours, (-0.35, y), (0.6, y), factor)


def _detail_bottle(shape: _Shape, colours: Image) -> None:
    _shade(shape, colours, np.array([(-0.3, -1.5), (0.3, -1.5), (0.3, -1.2), (-0.3, -1.2)]), _contrast(shape))
    _shade(shape, colours, _rounded(0.5, 0.4, 5) + np.array([0, 0.4]), _contrast(shape))


def _inside(width: float, height: float) -> Callable[[_Shape, Image], None]:
    def detail(shape: _Shape, colours: Image) -> None:
        flatness = shape.flatness if width > 0.8 else 1.0
        _shade(shape, colours, ellipse_points(0, 0, width, height * flatness), shape.random.uniform(0.25, 0.6))

    return detail


def _detail_box(shape: _Shape, colours: Image) -> None:
    _shade(shape, colours, np.array([(-0.62, -0.62), (0.62, -0.62), (0.62, 0.62), (-0.62, 0.62)]), 0.4)


def _detail_cloth(shape: _Shape, colours: Image) -> None:
    for _ in range(int(shape.random.integers(2, 6))):
        ends = shape.random.uniform(-0.9, 0.9, (2, 2))
        _line(shape, colours, ends[0], ends[1], float(shape.random.uniform(0.6, 0.85)))


def _detail_sponge(shape: _Shape, colours: Image) -> None:
    for x, y in shape.random.uniform(-0.9, 0.9, (int(shape.random.integers(8, 25)), 2)):
        _shade(shape, colours, ellipse_points(x, 0.7 * y, 0.08, 0.08), 0.5)


def _detail_toy(shape: _Shape, colours: Image) -> None:
    factor = _contrast(shape)
    _shade(shape, colours, ellipse_points(0, 0.3, 0.45, 0.55), factor)
    for x in (-0.22, 0.22):
        _shade(shape, colours, ellipse_points(x, -1.0, 0.08, 0.08), 0.1)


_DETAILS: dict[Kind, Callable[[_Shape, Image], None]] = {
    Kind.BALL: _detail_ball,
    Kind.BOOK: _detail_book,
    Kind.BOTTLE: _detail_bottle,
    Kind.BOWL: _inside(0.9, 0.9),
    Kind.BOX: _detail_box,
    Kind.CLOTH: _detail_cloth,
    Kind.CUP: _inside(0.68, 0.68),
    Kind.SPONGE: _detail_sponge,
    Kind.TOY: _detail_toy,
}
