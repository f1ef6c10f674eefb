"""Draws scenes of the everyday world: sprites of things, hands of capsules, and a camera with its faults.

In: a scene and times. Out: frames. Looks are drawn from a wide range, so that no colour, texture or light tells a deed.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from nrray.models.frame_stacking import LUMA
from nrray.workshop.everyday import CANVAS_PX, Deed, Hand, Kind, Passer, Scene, Stick, Thing

Image = NDArray[np.float32]  # (H, W, 3), 0 to 255
Mask = NDArray[np.uint8]  # (H, W), 0 to 255
Point = NDArray[np.float64]  # (2,) x and y on the canvas, px

_SPRITE_PX = 112
_SHIFT = 4  # of cv2's fixed-point coordinates
_CACHED_NOISE = 8


@dataclass(frozen=True, kw_only=True)
class Camera:
    """matrix: (3, 3) canvas to frame; shake_px; the faults of the sensor. tone: (256, 3) by which bytes are looked up."""

    matrix: NDArray[np.float64]
    shake_px: float
    blur_px: float
    noise: float
    jpeg_quality: int
    small_px: int  # the frame is shrunk to this side and enlarged again
    flicker: float
    tone: NDArray[np.uint8]
    gray: bool


@dataclass(frozen=True, kw_only=True)
class Light:
    """From where it comes, how much surfaces are shaded by it, and how dark and long shadows are."""

    x: float
    y: float
    shading: float
    shadow: float
    shadow_px: float


@dataclass(frozen=True, kw_only=True)
class HandLook:
    """Colours and build of an arm. fingers: 4, or 1 in a mitten; outline: darkness of its edges."""

    skin: NDArray[np.float32]
    sleeve: NDArray[np.float32]
    sleeve_from: float  # palms from the wrist
    fingers: int
    finger_width: float  # palms
    finger_length: float  # palms
    spread: float  # radians
    thickness: float  # of the forearm, palms
    bend: float  # radians at the wrist
    outline: float
    texture: NDArray[np.float32]
    grip_is_around: bool


class SceneDrawer:
    """Frames of one scene. Things at rest are drawn once."""

    def __init__(self, scene: Scene, *, size_px: int) -> None:
        self._scene = scene
        self._size_px = size_px
        self._random = np.random.default_rng((*scene.seed, 1))
        random = self._random
        self._light = _drawn_light(random)
        self._camera = _drawn_camera(random, size_px)
        table = _drawn_table(random)
        shown = [table.mean(axis=(0, 1))]
        self._sprites = []
        for thing in scene.things:
            colour = _colour_apart(random, shown)
            self._sprites.append(thing_sprite(thing, random, self._light, colour=colour))
            shown.append(colour)
        self._looks = _hand_looks(random, len(scene.hands), apart_from=shown)
        self._stick_colours = [_colour_apart(random, shown[:1]) for _ in scene.hands]
        self._passer_colour, self._passer_texture = _colour(random), _noise_field(random, CANVAS_PX, amount=0.25)
        moved = {hand.thing for hand in scene.hands if _deforms(hand)}
        for number, thing in enumerate(scene.things):
            if number not in moved:
                self._stamp(table, number, np.array([thing.x, thing.y]))
        self._table = table
        self._moved = moved
        self._noise = [
            random.normal(0, max(self._camera.noise, 1e-3), (size_px, size_px, 1 if random.random() < 0.5 else 3))
            for _ in range(_CACHED_NOISE)
        ]

    def frame(self, t: float) -> NDArray[np.uint8]:
        """(size_px, size_px, 3) uint8 at `t` seconds."""
        canvas = self._table.copy()
        for hand, look, colour in zip(self._scene.hands, self._looks, self._stick_colours, strict=True):
            self._draw_hand(canvas, hand, look, colour, t)
        if self._scene.passer is not None:
            _draw_passer(canvas, self._scene.passer, self._passer_colour, self._passer_texture, t)
        return self._filmed(canvas, t)

    def _draw_hand(self, canvas: Image, hand: Hand, look: HandLook, colour: NDArray[np.float32], t: float) -> None:
        thing = self._scene.things[hand.thing]
        first, second = hand.place(t)
        swing = hand.swing
        tremor = np.array(hand.tremor(t))
        middle = np.array([thing.x, thing.y])
        ahead = _direction(hand.angle)
        stroke = first * _direction(swing.direction) + swing.roundness * second * _direction(
            swing.direction + math.pi / 2
        )
        pose = HandPose(look=look, palm_px=hand.palm_px, side=hand.side)
        if hand.deed in (Deed.SQUEEZE, Deed.HOLD, Deed.WAVE):
            squeezed = swing.reach * (0.5 + 0.5 * first) if hand.deed is not Deed.WAVE else 0.35 * swing.reach
            waved = (0.35 + 0.75 * swing.reach) * thing.radius_px * stroke if hand.deed is Deed.WAVE else 0.0
            middle = middle + tremor + waved
            self._stamp(canvas, hand.thing, middle, squeezed=squeezed, along=hand.angle)
            if look.grip_is_around:
                strokes = pose.around(middle, ahead, thing.radius_px, squeezed)
            else:
                strokes = pose.flat(middle - 0.35 * thing.radius_px * ahead, ahead, curl=0.15 + 0.55 * squeezed)
        elif hand.deed in (Deed.RUB, Deed.REST):
            contact = middle - 0.2 * thing.radius_px * ahead + tremor
            contact = contact + (0.25 + 0.55 * swing.reach) * thing.radius_px * stroke
            strokes = pose.flat(contact, ahead, curl=0.1)
        elif hand.deed in (Deed.ROAM, Deed.WAIT):
            reach = (0.25 + 0.55 * swing.reach) * thing.radius_px
            finger_px = hand.palm_px * (0.6 + look.finger_length)
            contact = middle - ((1.0 + 0.6 * hand.gap) * thing.radius_px + reach + 0.8 * finger_px) * ahead
            strokes = pose.flat(contact + tremor + reach * stroke, ahead, curl=0.1)
        else:
            strokes = self._stick_strokes(canvas, hand, thing, pose, colour, first, second, tremor)
        _draw_arm(canvas, strokes, look, self._light)

    def _stick_strokes(
        self,
        canvas: Image,
        hand: Hand,
        thing: Thing,
        pose: "HandPose",
        colour: NDArray[np.float32],
        first: float,
        second: float,
        tremor: Point,
    ) -> "Strokes":
        """Draws the stick; strokes of the hand that holds it."""
        assert hand.stick is not None
        ahead = _direction(hand.angle)
        opening = opening_of(thing)
        across = np.array([-ahead[1], ahead[0]])
        stroke_px = (0.4 + 0.7 * hand.swing.reach) * max(12.0, 0.8 * thing.radius_px)
        length = 1.2 * stroke_px + 0.9 * thing.radius_px
        is_in = hand.deed in (Deed.STIR, Deed.DIP)
        depth = stroke_px * (0.6 + 0.5 * first)  # of the tip beyond the opening
        if is_in:
            tip = opening + depth * ahead + tremor + 0.12 * hand.swing.roundness * second * thing.radius_px * across
        else:
            beside = (
                opening
                - (1.1 + 0.6 * hand.gap) * thing.radius_px * ahead
                + hand.side * 0.7 * hand.gap * (thing.radius_px * across)
            )
            tip = beside - stroke_px * ahead + depth * ahead + tremor
            tip = tip + 0.4 * hand.swing.roundness * second * thing.radius_px * across
        grip = tip - length * ahead
        _draw_stick(
            canvas,
            hand.stick,
            grip - 0.7 * hand.palm_px * ahead,
            opening - 0.1 * thing.radius_px * ahead if is_in else tip,
            colour=colour,
            width_px=max(1.6, 0.13 * thing.radius_px),
            shows_tip=not is_in,
            band_from=tip,
        )
        return pose.pinch(grip, ahead)

    def _stamp(self, canvas: Image, number: int, middle: Point, *, squeezed: float = 0.0, along: float = 0.0) -> None:
        thing = self._scene.things[number]
        placed = placed_sprite(self._sprites[number], middle, thing, squeezed=squeezed, along=along)
        _blend(canvas, placed, middle, light=self._light)

    def _filmed(self, canvas: Image, t: float) -> NDArray[np.uint8]:
        camera, random, size = self._camera, self._random, self._size_px
        matrix = camera.matrix
        if camera.shake_px:
            moved = np.eye(3)
            moved[:2, 2] = camera.shake_px * np.array([math.sin(3.1 * t + 1), math.cos(4.3 * t)])
            matrix = moved @ matrix
        image = cv2.warpPerspective(canvas, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        if camera.blur_px > 0.3:
            image = cv2.GaussianBlur(image, (0, 0), camera.blur_px)
        if camera.flicker:
            image = image * (1 + camera.flicker * math.sin(5.7 * t))
        pixels = np.clip(image, 0, 255).astype(np.uint8)
        if camera.gray:
            pixels = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        pixels = cv2.LUT(pixels, camera.tone[None])
        noise = self._noise[int(random.integers(_CACHED_NOISE))]
        rolled = np.roll(noise, int(random.integers(noise.shape[0])), axis=0)
        pixels = np.clip(pixels + rolled, 0, 255).astype(np.uint8)
        if camera.small_px < size:
            small = cv2.resize(pixels, (camera.small_px, camera.small_px), interpolation=cv2.INTER_AREA)
            pixels = cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR)
        _, coded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, camera.jpeg_quality])
        decoded: NDArray[np.uint8] = cv2.imdecode(coded, cv2.IMREAD_COLOR)
        return decoded


# --- things


def thing_sprite(
    thing: Thing, random: np.random.Generator, light: Light, *, colour: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(S, S, 4) colours and opacity of a thing, upright, around its middle."""
    mask = np.zeros((_SPRITE_PX, _SPRITE_PX), np.uint8)
    shape = _Shape(mask, thing.radius_px, random)
    _OUTLINES[thing.kind](shape)
    if random.random() < 0.8:
        mask = cv2.GaussianBlur(mask, (0, 0), 0.7)
    colours = _surface(random, mask, light, colour=colour)
    details = _DETAILS.get(thing.kind)
    if details is not None:
        details(shape, colours)
    if random.random() < 0.35:
        edge = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
        colours *= 1 - random.uniform(0.3, 0.9) * (edge[..., None] / np.float32(255))
    sprite: NDArray[np.float32] = np.concatenate([colours, mask[..., None]], axis=2).astype(np.float32)
    return sprite


def placed_sprite(
    sprite: NDArray[np.float32], middle: Point, thing: Thing, *, squeezed: float, along: float
) -> NDArray[np.float32]:
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
        turned: NDArray[np.float32] = cv2.warpAffine(sprite, to_frame, (_SPRITE_PX, _SPRITE_PX), flags=cv2.INTER_LINEAR)
        return turned
    x, y = _GRID_X - np.float32(half + fraction[0]), _GRID_Y - np.float32(half + fraction[1])
    cosine, sine = np.float32(math.cos(along)), np.float32(math.sin(along))
    u, v = cosine * x + sine * y, cosine * y - sine * x  # along and across the hand's reach
    u = u / np.float32(1 + 0.2 * squeezed)
    waist = np.exp(-np.square(u / np.float32(1.1 * thing.radius_px)))
    v = v / (1 - np.float32(0.55 * squeezed) * waist)
    turn = along - thing.angle
    cosine, sine = np.float32(math.cos(turn)), np.float32(math.sin(turn))
    squashed: NDArray[np.float32] = cv2.remap(
        sprite, cosine * u - sine * v + np.float32(half), sine * u + cosine * v + np.float32(half), cv2.INTER_LINEAR
    )
    return squashed


def opening_of(thing: Thing) -> Point:
    """Where a stick goes in."""
    middle = np.array([thing.x, thing.y])
    if thing.kind is Kind.BOTTLE:
        return middle - 1.45 * thing.radius_px * _direction(thing.angle + math.pi / 2)
    return middle


class _Shape:
    """A mask to draw on, in units of the thing's radius around its middle."""

    def __init__(self, mask: Mask, radius_px: float, random: np.random.Generator) -> None:
        self.mask, self.radius_px, self.random = mask, radius_px, random
        self.flatness = float(random.uniform(0.75, 1.0))

    def fill(self, points: Sequence[tuple[float, float]] | NDArray[np.float64], value: int = 255) -> None:
        _fill(self.mask, _SPRITE_PX / 2 + self.radius_px * np.asarray(points), value)

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
    _fill(part, _SPRITE_PX / 2 + shape.radius_px * points, 255)
    colours *= 1 + (factor - 1) * (part[..., None] / np.float32(255))


def _line(shape: _Shape, colours: Image, start: Sequence[float], end: Sequence[float], factor: float) -> None:
    part = np.zeros((_SPRITE_PX, _SPRITE_PX), np.uint8)
    _capsule(part, *(_SPRITE_PX / 2 + shape.radius_px * np.asarray(point) for point in (start, end)), 1.6)
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


def _draw_stick(
    canvas: Image,
    stick: Stick,
    tail: Point,
    tip: Point,
    *,
    colour: NDArray[np.float32],
    width_px: float,
    shows_tip: bool,
    band_from: Point,
) -> None:
    """A stick from its tail to where it ends or disappears; its bands stand at fixed distances from `band_from`, its tip."""
    mask = np.zeros(canvas.shape[:2], np.uint8)
    length = float(np.linalg.norm(tip - tail))
    ahead = (tip - tail) / max(length, 1e-6)
    thickness = {Stick.STRAW: 1.1, Stick.BRUSH: 1.2, Stick.PENCIL: 1.3, Stick.SPOON: 0.9}[stick] * width_px
    _capsule(mask, tail, tip, thickness)
    if shows_tip and stick in (Stick.SPOON, Stick.BRUSH):
        _capsule(mask, tip - 3 * width_px * ahead, tip, (3.2 if stick is Stick.SPOON else 2.2) * width_px)
    if stick in (Stick.SPOON, Stick.BRUSH):  # the end that the hand leaves free tells them apart when the tip is hidden
        _capsule(mask, tail, tail + 2 * width_px * ahead, 1.8 * width_px)
    _paint(canvas, mask, colour)
    if stick in (Stick.STRAW, Stick.PENCIL):
        bands = np.zeros(canvas.shape[:2], np.uint8)
        period = (5 if stick is Stick.STRAW else 14) * width_px
        whole = float(np.dot(band_from - tail, ahead))
        for distance in np.arange(whole % period, length, period):
            place = tail + distance * ahead
            _capsule(bands, place, place + 1.2 * width_px * ahead, thickness)
        _paint(canvas, cv2.min(bands, mask), colour * 0.45 if colour.mean() > 110 else colour * 0.4 + 150)


# --- hands


@dataclass(frozen=True, kw_only=True)
class Strokes:
    """Capsules of a hand on the canvas: (start, end, width) of fingers in order, of the palm, and the wrist with the direction
    of the arm."""

    fingers: tuple[tuple[Point, Point, float], ...]
    palm: tuple[Point, Point, float]
    wrist: Point
    arm: Point
    palm_px: float


@dataclass(frozen=True, kw_only=True)
class HandPose:
    """Poses of a hand of a given build."""

    look: HandLook
    palm_px: float
    side: int

    def flat(self, contact: Point, ahead: Point, *, curl: float) -> Strokes:
        """Palm over `contact`, fingers ahead, shortened by `curl` in [0, 1]."""
        palm, across = self.palm_px, self._across(ahead)
        knuckles = contact + 0.35 * palm * ahead
        fingers = []
        for offset, length in self._fingers():
            base = knuckles + 0.42 * palm * offset * across
            towards = ahead + math.tan(self.look.spread * (1 - 0.6 * curl)) * offset * across
            end = base + self.look.finger_length * palm * length * (1 - 0.75 * curl) * towards
            fingers.append((base, end, self.look.finger_width * palm))
        thumb = contact - 0.5 * palm * across
        reach = 0.55 * palm * (ahead - (0.7 - 0.5 * curl) * across)
        fingers.append((thumb, thumb + reach, self.look.finger_width * palm * 1.1))
        return self._strokes(tuple(fingers), contact, ahead)

    def around(self, middle: Point, ahead: Point, radius_px: float, squeezed: float) -> Strokes:
        """Thumb at one side of a thing and fingers at its other, as far apart as the thing is wide where it is squeezed."""
        palm, across = self.palm_px, self._across(ahead)
        apart = radius_px * (1 - 0.5 * squeezed)
        contact = middle - (1.05 + 0.1 * squeezed) * radius_px * ahead - 0.3 * palm * ahead
        fingers = []
        for number, (offset, length) in enumerate(self._fingers()):
            base = contact + 0.3 * palm * (ahead + 1.2 * offset * across)
            end = middle + apart * across + (0.1 + 0.33 * number - 0.5 + 0.2 * length) * radius_px * ahead
            fingers.append((base, end, self.look.finger_width * palm))
        thumb = contact - 0.45 * palm * across
        fingers.append((thumb, middle - apart * across - 0.1 * radius_px * ahead, self.look.finger_width * palm * 1.15))
        return self._strokes(tuple(fingers), contact, ahead)

    def pinch(self, grip: Point, ahead: Point) -> Strokes:
        """Thumb and first finger meet at `grip`, the others are curled."""
        palm, across = self.palm_px, self._across(ahead)
        contact = grip - 0.95 * palm * ahead + 0.15 * palm * across
        width = self.look.finger_width * palm
        curled = [
            (contact + 0.3 * palm * ahead + 0.4 * palm * offset * across, 0.45 * palm * length)
            for offset, length in self._fingers()
        ]
        fingers = [(base, base + reach * ahead, width) for base, reach in curled]
        fingers[0] = (fingers[0][0], grip + 0.05 * palm * ahead, width)
        thumb = contact - 0.5 * palm * across
        fingers.append((thumb, grip, 1.1 * width))
        return self._strokes(tuple(fingers), contact, ahead)

    def _across(self, ahead: Point) -> Point:
        return self.side * np.array([-ahead[1], ahead[0]])

    def _fingers(self) -> list[tuple[float, float]]:
        """Offset across the palm, -1 at the thumb, and relative length of each."""
        if self.look.fingers == 1:
            return [(0.0, 0.9)]
        return [(-0.95, 0.92), (-0.32, 1.0), (0.32, 0.95), (0.95, 0.75)]

    def _strokes(self, fingers: tuple[tuple[Point, Point, float], ...], contact: Point, ahead: Point) -> Strokes:
        palm = self.palm_px
        wrist = contact - 0.75 * palm * ahead
        cosine, sine = math.cos(self.look.bend), math.sin(self.look.bend)
        arm = -np.array([cosine * ahead[0] - sine * ahead[1], sine * ahead[0] + cosine * ahead[1]])
        if self.look.fingers == 1 and len(fingers) == 2:
            start, end, _ = fingers[0]
            fingers = ((start, end, 0.85 * palm), fingers[1])
        return Strokes(
            fingers=fingers,
            palm=(contact - 0.35 * palm * ahead, contact + 0.25 * palm * ahead, 1.05 * palm),
            wrist=wrist,
            arm=arm,
            palm_px=palm,
        )


def _draw_arm(canvas: Image, strokes: Strokes, look: HandLook, light: Light) -> None:
    hand = np.zeros(canvas.shape[:2], np.uint8)
    palm = strokes.palm_px
    elbow = strokes.wrist + 260 * strokes.arm
    _taper(hand, strokes.wrist, elbow, look.thickness * palm, 1.5 * look.thickness * palm)
    _capsule(hand, *strokes.palm)
    creases = np.zeros_like(hand)
    for start, end, width in strokes.fingers:
        one = np.zeros_like(hand)
        _capsule(one, start, end, width)
        if look.outline:
            _capsule(creases, start, end, width + 2.4)
            creases = cv2.subtract(creases, one)
        hand = cv2.max(hand, one)
    sleeve = np.zeros_like(hand)
    begin = strokes.wrist + look.sleeve_from * palm * strokes.arm
    _taper(sleeve, begin, elbow, 1.3 * look.thickness * palm, 1.9 * look.thickness * palm)
    whole = cv2.max(hand, sleeve)
    _cast_shadow(canvas, whole, light)
    colours = look.skin + (look.sleeve - look.skin) * (sleeve[..., None] / np.float32(255))
    colours = colours * look.texture[..., None] * _relief(whole, light)[..., None]
    if look.outline:
        edges = cv2.morphologyEx(whole, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
        lines = cv2.max(edges, cv2.min(creases, hand))
        colours = colours * (1 - look.outline * (lines[..., None] / np.float32(255)))
    alpha = whole[..., None] / np.float32(255)
    canvas += (colours - canvas) * alpha


def _hand_looks(random: np.random.Generator, count: int, *, apart_from: Sequence[Image]) -> list[HandLook]:
    """Hands of one person, or of two."""
    first = _drawn_hand_look(random, apart_from)
    return [
        first if number == 0 or random.random() < 0.6 else _drawn_hand_look(random, apart_from)
        for number in range(count)
    ]


def _drawn_hand_look(random: np.random.Generator, apart_from: Sequence[Image]) -> HandLook:
    draw = _colour if random.random() < 0.45 else _skin_colour  # the one of gloves
    return HandLook(
        skin=_colour_apart(random, apart_from, draw=draw),
        sleeve=_colour(random),
        sleeve_from=float(random.uniform(0.3, 4.0)),
        fingers=1 if random.random() < 0.2 else 4,
        finger_width=float(random.uniform(0.2, 0.34)),
        finger_length=float(random.uniform(0.7, 1.1)),
        spread=float(random.uniform(0.0, 0.35)),
        thickness=float(random.uniform(0.6, 0.95)),
        bend=float(random.uniform(-0.6, 0.6)),
        outline=float(random.choice((0.0, random.uniform(0.2, 0.8)))),
        texture=1 + _noise_field(random, CANVAS_PX, amount=float(random.uniform(0, 0.2))),
        grip_is_around=bool(random.random() < 0.5),
    )


def _draw_passer(canvas: Image, passer: Passer, colour: NDArray[np.float32], texture: Image, t: float) -> None:
    """A body that goes along an edge, with its head towards the table."""
    along = (passer.start + passer.speed * t) * CANVAS_PX
    bob = 2 * math.sin(4 * t)
    points = [(along, -8.0 + bob), (along, passer.reach_px - 14 + bob)]
    mask = np.zeros(canvas.shape[:2], np.uint8)
    for (x, y), width in zip(points, (58.0, 22.0), strict=True):
        place = _TURNED[passer.edge](x, y)
        _capsule(mask, place, place + 0.01, width)
    inner = _TURNED[passer.edge](*points[0])
    _capsule(mask, inner, _TURNED[passer.edge](*points[1]), 12)
    _paint(canvas, mask, colour * (1 + texture[..., None]))


_TURNED: tuple[Callable[[float, float], Point], ...] = (
    lambda x, y: np.array([x, y]),
    lambda x, y: np.array([x, CANVAS_PX - y]),
    lambda x, y: np.array([y, x]),
    lambda x, y: np.array([CANVAS_PX - y, x]),
)


# --- surfaces, light, camera


def _drawn_table(random: np.random.Generator) -> Image:
    """A background: some of colour, gradient, noise, stripes, tiles and blobs, and clutter that is none of the things."""
    size = CANVAS_PX
    table = np.broadcast_to(_colour(random), (size, size, 3)).astype(np.float32)
    layers = [_gradient, _rough, _striped, _tiled, _blobs]
    for number in random.permutation(len(layers))[: int(random.integers(0, 4))]:
        pattern = layers[number](random)[..., None]
        other = _colour(random)
        table = table + (other - table) * pattern * float(random.uniform(0.1, 0.8))
    for _ in range(int(random.choice((0, 0, 0, 1, 2)))):  # clutter
        mask = np.zeros((size, size), np.uint8)
        start, end = random.uniform(0, size, (2, 2))
        _capsule(mask, start, end, float(random.uniform(2, 14)))
        _paint(table, mask, _colour(random))
    if random.random() < 0.5:  # the table's edge
        mask = np.zeros((size, size), np.uint8)
        corners = np.array([(-40, -40), (200, -40), (200, 0), (-40, 0)]) + random.uniform(-15, 15, (4, 2))
        turn, middle = random.uniform(0, 2 * math.pi), size / 2
        cosine, sine = math.cos(turn), math.sin(turn)
        points = (corners - middle) @ np.array([[cosine, sine], [-sine, cosine]]) + middle
        _fill(mask, points, 255)
        _paint(table, mask, _colour(random))
    return np.ascontiguousarray(np.clip(table, 0, 255), dtype=np.float32)


def _surface(random: np.random.Generator, mask: Mask, light: Light, *, colour: NDArray[np.float32]) -> Image:
    """Colours of a sprite: one or two, a texture, and shade by the light."""
    size = mask.shape[0]
    colours = np.broadcast_to(colour, (size, size, 3)).astype(np.float32)
    choice = random.random()
    if choice < 0.45:
        field = _striped(random) if choice < 0.2 else _blobs(random)
        pattern = cv2.resize(field, (size, size), interpolation=cv2.INTER_LINEAR)[..., None]
        colours = colours + (_colour(random) - colours) * pattern * float(random.uniform(0.2, 1.0))
    colours = colours * (1 + _noise_field(random, size, amount=float(random.uniform(0, 0.3))))[..., None]
    return np.asarray(colours * _relief(mask, light)[..., None], dtype=np.float32)


def _relief(mask: Mask, light: Light) -> NDArray[np.float32]:
    """Shade of a body whose height is the blurred mask: Lambert's law for small slopes."""
    if not light.shading:
        return np.ones(mask.shape, np.float32)
    height = cv2.blur(cv2.blur(mask, (9, 9)), (9, 9)).astype(np.float32)
    slope_x, slope_y = cv2.Sobel(height, cv2.CV_32F, 1, 0), cv2.Sobel(height, cv2.CV_32F, 0, 1)
    shade: NDArray[np.float32] = 1 - light.shading / 140 * (light.x * slope_x + light.y * slope_y)
    return np.clip(shade, 0.3, 1.7)


def _cast_shadow(canvas: Image, mask: Mask, light: Light) -> None:
    if light.shadow:
        moved = np.array([[1, 0, -light.x * light.shadow_px], [0, 1, -light.y * light.shadow_px]])
        soft = cv2.blur(cv2.warpAffine(mask, moved, mask.shape[::-1]), (7, 7))
        canvas *= 1 - light.shadow * (soft[..., None] / np.float32(255))


def _drawn_light(random: np.random.Generator) -> Light:
    turn = random.uniform(0, 2 * math.pi)
    return Light(
        x=math.cos(turn),
        y=math.sin(turn),
        shading=float(random.choice((0.0, random.uniform(0.2, 1.2), random.uniform(0.5, 1.5)))),
        shadow=float(random.choice((0.0, random.uniform(0.1, 0.6)))),
        shadow_px=float(random.uniform(1, 7)),
    )


def _drawn_camera(random: np.random.Generator, size_px: int) -> Camera:
    side = CANVAS_PX
    zoom = random.uniform(0.92, 1.22)
    half = side / 2 / zoom * np.array([1.0, random.uniform(0.8, 1.0)])[random.permutation(2)]
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half + side / 2
    corners = corners + random.uniform(-8, 8, (4, 2))
    target = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], np.float32) * size_px
    return Camera(
        matrix=cv2.getPerspectiveTransform(corners.astype(np.float32), target),
        shake_px=float(random.choice((0.0, 0.0, random.uniform(0.2, 1.2)))),
        blur_px=float(random.uniform(0, 1.1)),
        noise=float(random.choice((random.uniform(0, 4), random.uniform(2, 10)))),
        jpeg_quality=int(random.integers(25, 96)),
        small_px=int(size_px * random.choice((1.0, 1.0, 1.0, random.uniform(0.5, 0.9)))),
        flicker=float(random.choice((0.0, 0.0, random.uniform(0, 0.05)))),
        tone=_drawn_tone(random),
        gray=bool(random.random() < 0.25),
    )


def _drawn_tone(random: np.random.Generator) -> NDArray[np.uint8]:
    """(256, 3) a curve of contrast and light, at times inverted, at times with the palette of a thermal camera."""
    values = np.linspace(0, 1, 256) ** math.exp(random.uniform(-0.6, 0.6))
    low, high = random.uniform(0, 0.25), random.uniform(0.7, 1.0)
    values = low + (high - low) * values
    if random.random() < 0.15:
        values = 1 - values
    curves = np.repeat(values[:, None], 3, axis=1)
    if random.random() < 0.15:
        stops = np.sort(random.uniform(0, 1, (3, 3)), axis=0)
        stops[0] *= 0.4
        stops[2] = 1 - 0.4 * (1 - stops[2])
        curves = np.stack([np.interp(values, (0, 0.5, 1), stops[:, i]) for i in range(3)], axis=1)
    return np.clip(255 * curves, 0, 255).astype(np.uint8)


def _colour(random: np.random.Generator) -> NDArray[np.float32]:
    """Any colour, pale ones more often than pure ones."""
    gray = random.uniform(10, 245)
    colour = gray + random.uniform(-1, 1, 3) * random.choice((10.0, 40.0, 90.0))
    return np.clip(colour, 0, 255).astype(np.float32)


def _skin_colour(random: np.random.Generator) -> NDArray[np.float32]:
    skin = np.array([235, 190, 160]) * random.uniform(0.25, 1.0) + random.normal(0, 10, 3)
    return np.clip(skin, 5, 250).astype(np.float32)


def _colour_apart(
    random: np.random.Generator,
    others: Sequence[NDArray[np.float32]],
    *,
    draw: Callable[[np.random.Generator], NDArray[np.float32]] = _colour,
) -> NDArray[np.float32]:
    """A colour that can be told from the others in a gray picture: of six, the one that is farthest from the nearest, or the
    first that is far enough."""
    drawn = [draw(random) for _ in range(6)]
    distances = [min(abs(float(colour @ _LUMA - other @ _LUMA)) for other in others) for colour in drawn]
    return drawn[int(np.argmax(np.minimum(distances, 30)))]


def _noise_field(random: np.random.Generator, size: int, *, amount: float) -> NDArray[np.float32]:
    """(S, S) noise of several scales, of standard deviation of about `amount`."""
    field = np.zeros((size, size), np.float32)
    for cells in random.choice((3, 6, 12, 25, 50, size), 2, replace=False):
        coarse = random.normal(0, 0.7 * amount, (int(cells), int(cells))).astype(np.float32)
        field += cv2.resize(coarse, (size, size), interpolation=cv2.INTER_LINEAR)
    return field


def _gradient(random: np.random.Generator) -> NDArray[np.float32]:
    turn = random.uniform(0, 2 * math.pi)
    field = (math.cos(turn) * (_CANVAS_X - 80) + math.sin(turn) * (_CANVAS_Y - 80)) / 220 + 0.5
    return np.clip(field, 0, 1)


def _rough(random: np.random.Generator) -> NDArray[np.float32]:
    return np.clip(0.5 + _noise_field(random, CANVAS_PX, amount=0.35), 0, 1)


def _striped(random: np.random.Generator) -> NDArray[np.float32]:
    turn, period = random.uniform(0, math.pi), random.uniform(5, 40)
    wave = np.sin((math.cos(turn) * _CANVAS_X + math.sin(turn) * _CANVAS_Y) * np.float32(2 * math.pi / period))
    return np.clip(0.5 + wave * random.choice((0.5, 4.0)), 0, 1).astype(np.float32)


def _tiled(random: np.random.Generator) -> NDArray[np.float32]:
    period = random.uniform(10, 45)
    tiles = np.floor(_CANVAS_X / period) + np.floor(_CANVAS_Y / period)
    return (tiles % 2).astype(np.float32)


def _blobs(random: np.random.Generator) -> NDArray[np.float32]:
    field = _noise_field(random, CANVAS_PX, amount=1.0)
    return np.clip(0.5 + 4 * (field - np.median(field)), 0, 1)


def _blend(canvas: Image, sprite: NDArray[np.float32], middle: Point, *, light: Light) -> None:
    """Put a sprite and its shadow on the canvas around `middle`."""
    left, top = (np.floor(middle) - _SPRITE_PX // 2).astype(int)
    x0, y0 = max(0, left), max(0, top)
    x1, y1 = min(CANVAS_PX, left + _SPRITE_PX), min(CANVAS_PX, top + _SPRITE_PX)
    if x0 >= x1 or y0 >= y1:
        return
    part = sprite[y0 - top : y1 - top, x0 - left : x1 - left]
    region = canvas[y0:y1, x0:x1]
    _cast_shadow(region, np.ascontiguousarray(part[..., 3]).astype(np.uint8), light)
    region += (part[..., :3] - region) * (part[..., 3:] / np.float32(255))


def _paint(canvas: Image, mask: Mask, colour: NDArray[np.float32]) -> None:
    canvas += (colour - canvas) * (mask[..., None] / np.float32(255))


def _fill(mask: Mask, points: NDArray[np.float64], value: int) -> None:
    cv2.fillPoly(mask, [np.rint(points * (1 << _SHIFT)).astype(np.int32)], value, cv2.LINE_AA, _SHIFT)


def _capsule(mask: Mask, start: Point, end: Point, width_px: float) -> None:
    """A stroke with round ends."""
    _taper(mask, start, end, width_px, width_px)
    for place in (start, end):
        centre = np.rint(place * (1 << _SHIFT)).astype(int).tolist()
        cv2.circle(mask, centre, round(width_px / 2 * (1 << _SHIFT)), 255, -1, cv2.LINE_AA, _SHIFT)


def _taper(mask: Mask, start: Point, end: Point, start_width: float, end_width: float) -> None:
    """A stroke with flat ends of two widths."""
    along = end - start
    normal = np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1e-6) / 2
    corners = [start + start_width * normal, end + end_width * normal, end - end_width * normal]
    _fill(mask, np.stack([*corners, start - start_width * normal]), 255)


def _direction(angle: float) -> Point:
    return np.array([math.cos(angle), math.sin(angle)])


def _deforms(hand: Hand) -> bool:
    """Whether the hand's thing is drawn with it."""
    return hand.deed in (Deed.SQUEEZE, Deed.HOLD, Deed.WAVE)


_LUMA = np.array(LUMA, np.float32) / 256
_TURNS = np.linspace(0, 2 * math.pi, 48, endpoint=False)
_GRID_Y, _GRID_X = np.mgrid[:_SPRITE_PX, :_SPRITE_PX].astype(np.float32)
_CANVAS_Y, _CANVAS_X = np.mgrid[:CANVAS_PX, :CANVAS_PX].astype(np.float32)
