"""Draws scenes of the everyday world: a table, things, hands, and a camera with its faults.

In: a scene and times. Out: frames. Looks are drawn from a wide range, so that no colour, texture or light tells a deed.
"""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from nrray.workshop.everyday import CANVAS_PX, Deed, Hand, Scene, Thing
from nrray.workshop.everyday_hands import HandLook, HandPose, Strokes, draw_arm, draw_passer, draw_stick, hand_looks
from nrray.workshop.everyday_looks import any_colour, colour_apart, drawn_light, drawn_table, noise_field
from nrray.workshop.everyday_pen import Colour, Image, Point, direction
from nrray.workshop.everyday_things import blend, opening_of, placed_sprite, thing_sprite

_CACHED_NOISE = 8


@dataclass(frozen=True, kw_only=True)
class Camera:
    """matrix: (3, 3) canvas to frame; shake_px; the faults of the sensor. tone: (256, 3) by which bytes are looked up."""

    matrix: NDArray[Any]
    shake_px: float
    blur_px: float
    noise: float
    jpeg_quality: int
    small_px: int  # the frame is shrunk to this side and enlarged again
    flicker: float
    tone: NDArray[np.uint8]
    gray: bool


class SceneDrawer:
    """Frames of one scene. Things at rest are drawn once."""

    def __init__(self, scene: Scene, *, size_px: int) -> None:
        self._scene = scene
        self._size_px = size_px
        self._random = np.random.default_rng((*scene.seed, 1))
        random = self._random
        self._light = drawn_light(random)
        self._camera = _drawn_camera(random, size_px)
        table = drawn_table(random)
        shown = [table.mean(axis=(0, 1))]
        self._sprites = []
        for thing in scene.things:
            colour = colour_apart(random, shown)
            self._sprites.append(thing_sprite(thing, random, self._light, colour=colour))
            shown.append(colour)
        self._looks = hand_looks(random, len(scene.hands), apart_from=shown)
        self._stick_colours = [colour_apart(random, shown[:1]) for _ in scene.hands]
        self._passer_colour, self._passer_texture = any_colour(random), noise_field(random, CANVAS_PX, amount=0.25)
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
            draw_passer(canvas, self._scene.passer, self._passer_colour, self._passer_texture, t)
        return self._filmed(canvas, t)

    def _draw_hand(self, canvas: Image, hand: Hand, look: HandLook, colour: Colour, t: float) -> None:
        thing = self._scene.things[hand.thing]
        first, second = hand.place(t)
        swing = hand.swing
        tremor = np.array(hand.tremor(t))
        middle = np.array([thing.x, thing.y])
        ahead = direction(hand.angle)
        stroke = first * direction(swing.direction) + swing.roundness * second * direction(
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
        draw_arm(canvas, strokes, look, self._light)

    def _stick_strokes(
        self,
        canvas: Image,
        hand: Hand,
        thing: Thing,
        pose: "HandPose",
        colour: Colour,
        first: float,
        second: float,
        tremor: Point,
    ) -> "Strokes":
        """Draws the stick; strokes of the hand that holds it."""
        assert hand.stick is not None
        ahead = direction(hand.angle)
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
        draw_stick(
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
        blend(canvas, placed, middle, light=self._light)

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
        pixels: Image = np.clip(image, 0, 255).astype(np.uint8)
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
        return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)


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


def _deforms(hand: Hand) -> bool:
    """Whether the hand's thing is drawn with it."""
    return hand.deed in (Deed.SQUEEZE, Deed.HOLD, Deed.WAVE)
