"""Hands of the everyday world, made of capsules: their build, their poses, the sticks that they hold, and people who pass."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from nrray.workshop.everyday import CANVAS_PX, Passer, Stick
from nrray.workshop.everyday_looks import Light, any_colour, cast_shadow, colour_apart, noise_field, relief, skin_colour
from nrray.workshop.everyday_pen import Colour, Image, Mask, Point, capsule, paint, taper


@dataclass(frozen=True, kw_only=True)
class HandLook:
    """Colours and build of an arm. fingers: 4, or 1 in a mitten; outline: darkness of its edges."""

    skin: Colour
    sleeve: Colour
    sleeve_from: float  # palms from the wrist
    fingers: int
    finger_width: float  # palms
    finger_length: float  # palms
    spread: float  # radians
    thickness: float  # of the forearm, palms
    bend: float  # radians at the wrist
    outline: float
    texture: Colour
    grip_is_around: bool


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


def draw_arm(canvas: Image, strokes: Strokes, look: HandLook, light: Light) -> None:
    hand: Mask = np.zeros(canvas.shape[:2], np.uint8)
    palm = strokes.palm_px
    elbow = strokes.wrist + 260 * strokes.arm
    taper(hand, strokes.wrist, elbow, look.thickness * palm, 1.5 * look.thickness * palm)
    capsule(hand, *strokes.palm)
    creases: Mask = np.zeros_like(hand)
    for start, end, width in strokes.fingers:
        one = np.zeros_like(hand)
        capsule(one, start, end, width)
        if look.outline:
            capsule(creases, start, end, width + 2.4)
            creases = cv2.subtract(creases, one)
        hand = cv2.max(hand, one)
    sleeve = np.zeros_like(hand)
    begin = strokes.wrist + look.sleeve_from * palm * strokes.arm
    taper(sleeve, begin, elbow, 1.3 * look.thickness * palm, 1.9 * look.thickness * palm)
    whole = cv2.max(hand, sleeve)
    cast_shadow(canvas, whole, light)
    colours = look.skin + (look.sleeve - look.skin) * (sleeve[..., None] / np.float32(255))
    colours = colours * look.texture[..., None] * relief(whole, light)[..., None]
    if look.outline:
        edges = cv2.morphologyEx(whole, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
        lines = cv2.max(edges, cv2.min(creases, hand))
        colours = colours * (1 - look.outline * (lines[..., None] / np.float32(255)))
    alpha = whole[..., None] / np.float32(255)
    canvas += (colours - canvas) * alpha


def draw_stick(
    canvas: Image,
    stick: Stick,
    tail: Point,
    tip: Point,
    *,
    colour: Colour,
    width_px: float,
    shows_tip: bool,
    band_from: Point,
) -> None:
    """A stick from its tail to where it ends or disappears; its bands stand at fixed distances from `band_from`, its tip."""
    mask = np.zeros(canvas.shape[:2], np.uint8)
    length = float(np.linalg.norm(tip - tail))
    ahead = (tip - tail) / max(length, 1e-6)
    thickness = {Stick.STRAW: 1.1, Stick.BRUSH: 1.2, Stick.PENCIL: 1.3, Stick.SPOON: 0.9}[stick] * width_px
    capsule(mask, tail, tip, thickness)
    if shows_tip and stick in (Stick.SPOON, Stick.BRUSH):
        capsule(mask, tip - 3 * width_px * ahead, tip, (3.2 if stick is Stick.SPOON else 2.2) * width_px)
    if stick in (Stick.SPOON, Stick.BRUSH):  # the end that the hand leaves free tells them apart when the tip is hidden
        capsule(mask, tail, tail + 2 * width_px * ahead, 1.8 * width_px)
    paint(canvas, mask, colour)
    if stick in (Stick.STRAW, Stick.PENCIL):
        bands = np.zeros(canvas.shape[:2], np.uint8)
        period = (5 if stick is Stick.STRAW else 14) * width_px
        whole = float(np.dot(band_from - tail, ahead))
        for distance in np.arange(whole % period, length, period):
            place = tail + distance * ahead
            capsule(bands, place, place + 1.2 * width_px * ahead, thickness)
        paint(canvas, cv2.min(bands, mask), colour * 0.45 if colour.mean() > 110 else colour * 0.4 + 150)


def hand_looks(random: np.random.Generator, count: int, *, apart_from: Sequence[Image]) -> list[HandLook]:
    """Hands of one person, or of two."""
    first = _drawn_hand_look(random, apart_from)
    return [
        first if number == 0 or random.random() < 0.6 else _drawn_hand_look(random, apart_from)
        for number in range(count)
    ]


def _drawn_hand_look(random: np.random.Generator, apart_from: Sequence[Image]) -> HandLook:
    draw = any_colour if random.random() < 0.45 else skin_colour  # the one of gloves
    return HandLook(
        skin=colour_apart(random, apart_from, draw=draw),
        sleeve=any_colour(random),
        sleeve_from=float(random.uniform(0.3, 4.0)),
        fingers=1 if random.random() < 0.2 else 4,
        finger_width=float(random.uniform(0.2, 0.34)),
        finger_length=float(random.uniform(0.7, 1.1)),
        spread=float(random.uniform(0.0, 0.35)),
        thickness=float(random.uniform(0.6, 0.95)),
        bend=float(random.uniform(-0.6, 0.6)),
        outline=float(random.choice((0.0, random.uniform(0.2, 0.8)))),
        texture=1 + noise_field(random, CANVAS_PX, amount=float(random.uniform(0, 0.2))),
        grip_is_around=bool(random.random() < 0.5),
    )


def draw_passer(canvas: Image, passer: Passer, colour: Colour, texture: Image, t: float) -> None:
    """A body that goes along an edge, with its head towards the table."""
    along = (passer.start + passer.speed * t) * CANVAS_PX
    bob = 2 * math.sin(4 * t)
    points = [(along, -8.0 + bob), (along, passer.reach_px - 14 + bob)]
    mask = np.zeros(canvas.shape[:2], np.uint8)
    for (x, y), width in zip(points, (58.0, 22.0), strict=True):
        place = _TURNED[passer.edge](x, y)
        capsule(mask, place, place + 0.01, width)
    inner = _TURNED[passer.edge](*points[0])
    capsule(mask, inner, _TURNED[passer.edge](*points[1]), 12)
    paint(canvas, mask, colour * (1 + texture[..., None]))


_TURNED: tuple[Callable[[float, float], Point], ...] = (
    lambda x, y: np.array([x, y]),
    lambda x, y: np.array([x, CANVAS_PX - y]),
    lambda x, y: np.array([y, x]),
    lambda x, y: np.array([CANVAS_PX - y, x]),
)
