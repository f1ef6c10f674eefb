"""Shapes on a picture: each is a polygon in canvas coordinates, mapped by the camera's affine matrix."""

from collections.abc import Sequence
from functools import cache
from math import atan2, cos, hypot, pi, sin, sqrt

import cv2
import numpy as np
from numpy.typing import NDArray

from nrray.simulate.appearance import Appearance, Colour
from nrray.simulate.pose import BagMask, Hand, Newborn, Passer, Point, Pose, Tube

Picture = NDArray[np.uint8]

Matrix = NDArray[np.float64]

_FAINT = 0.04  # a shadow that nobody would see
_SHIFT = 4  # fractional bits of cv2's subpixel coordinates
_CIRCLE = np.stack([np.cos(np.linspace(0, 2 * pi, 25)[:-1]), np.sin(np.linspace(0, 2 * pi, 25)[:-1])], axis=1)


_Shape = tuple[Colour, int, int]
"""Colour, number of points, 0 for an ellipse, and thickness of a stroke, 0 for a filled shape."""


class Brush:
    """Draws onto `picture` (H, W, 3) uint8 through `matrix` (2, 3), canvas to picture. Shapes wait until `flush`: numpy maps
    all of them in the time of one."""

    def __init__(self, picture: Picture, matrix: Matrix) -> None:
        self._picture = picture
        self._matrix = matrix
        (a, b, _), (c, d, _) = matrix.tolist()
        self._scale = sqrt(abs(a * d - b * c))
        self._ellipses: list[tuple[float, float, float, float, float, float]] = []  # centre, radii, cosine, sine
        self._points: list[Point] = []
        self._waiting: list[_Shape] = []

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        self._points += points
        self._waiting.append((colour, len(points), 0))

    def ellipse(self, centre: Point, radii: Point, colour: Colour, *, turn: float = 0.0) -> None:
        """`turn` in radians."""
        self._ellipses.append((*centre, *radii, cos(turn), sin(turn)))
        self._waiting.append((colour, 0, 0))

    def stroke(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        self._points += points
        self._waiting.append((colour, len(points), max(1, round(width * self._scale))))

    def flush(self) -> None:
        """Draw the waiting shapes, in order."""
        if not self._waiting:
            return
        rings = _rings(np.array(self._ellipses).reshape(-1, 6)).reshape(-1, 2)
        points = np.concatenate([np.array(self._points).reshape(-1, 2), rings])
        fixed = np.rint((points @ self._matrix[:, :2].T + self._matrix[:, 2]) * (1 << _SHIFT)).astype(np.int32)
        first, first_of_ring = 0, len(self._points)
        for colour, num_points, thickness in self._waiting:
            if num_points:
                shape = fixed[first : first + num_points]
                first += num_points
            else:
                shape = fixed[first_of_ring : first_of_ring + len(_CIRCLE)]
                first_of_ring += len(_CIRCLE)
            if thickness:
                cv2.polylines(self._picture, [shape], False, colour, thickness, cv2.LINE_AA, _SHIFT)
            else:
                cv2.fillPoly(self._picture, [shape], colour, cv2.LINE_AA, _SHIFT)
        self._ellipses, self._points, self._waiting = [], [], []

    def darken(self, bars: list[tuple[Point, Point, float]], offset: Point, factor: float) -> None:
        """A soft shadow of bars (from, to, width), thrown by `offset`."""
        if not bars:
            return
        self.flush()
        height, width = self._picture.shape[:2]
        # At half the size: a shadow has no edges to lose.
        mask = np.full((height // 2, width // 2), 255, np.uint8)
        level = round(255 * factor)
        ends = np.array([(start, end) for start, end, _ in bars]) + offset  # (N, 2, 2)
        fixed = np.rint((ends @ self._matrix[:, :2].T + self._matrix[:, 2]) / 2 * (1 << _SHIFT)).astype(np.int32)
        for bar, (_, _, bar_width) in zip(fixed, bars, strict=True):
            cv2.polylines(mask, [bar], False, level, max(1, round(bar_width * self._scale / 2)), cv2.LINE_8, _SHIFT)
        soft = cv2.resize(cv2.blur(mask, (7, 7)), (width, height), interpolation=cv2.INTER_LINEAR)
        cv2.multiply(self._picture, cv2.merge([soft, soft, soft]), dst=self._picture, scale=1 / 255)

    def capsule(self, a: Point, b: Point, width_a: float, width_b: float, colour: Colour) -> None:
        """A limb: a tapering bar with round ends."""
        length = hypot(b[0] - a[0], b[1] - a[1]) or 1.0
        nx, ny = -(b[1] - a[1]) / length, (b[0] - a[0]) / length
        half_a, half_b = width_a / 2, width_b / 2
        corners = (
            (a[0] + nx * half_a, a[1] + ny * half_a),
            (b[0] + nx * half_b, b[1] + ny * half_b),
            (b[0] - nx * half_b, b[1] - ny * half_b),
            (a[0] - nx * half_a, a[1] - ny * half_a),
        )
        self.polygon(corners, colour)
        self.ellipse(a, (half_a, half_a), colour)
        self.ellipse(b, (half_b, half_b), colour)


def _rings(ellipses: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 6) centre, radii, cosine and sine of the turn to (N, 24, 2) points."""
    x, y, radius_x, radius_y, cosine, sine = (column[:, None] for column in ellipses.T)
    along, across = _CIRCLE[:, 0] * radius_x, _CIRCLE[:, 1] * radius_y
    rings = np.empty((len(ellipses), len(_CIRCLE), 2))
    rings[..., 0] = along * cosine - across * sine + x
    rings[..., 1] = along * sine + across * cosine + y
    return rings


def draw_pose(brush: Brush, pose: Pose, appearance: Appearance) -> None:
    """All moving objects, from the table upwards."""
    if pose.newborn is not None:
        draw_newborn(brush, pose.newborn, appearance)
    if appearance.shadow > _FAINT:
        brush.darken(
            _shadow_shapes(pose, appearance), (appearance.shadow_x, appearance.shadow_y), 1 - appearance.shadow
        )
    if pose.newborn is not None or not pose.helper:
        _tube_and_hand(brush, pose.tube, appearance)
    if pose.helper is not None:
        draw_hand(brush, pose.helper, appearance.helper_glove, appearance.helper_sleeve, size=appearance.hand_size)
    draw_bag_mask(brush, pose.bag_mask, appearance)
    for passer in pose.passers:
        draw_passer(brush, passer, appearance)
    brush.flush()


def _shadow_shapes(pose: Pose, appearance: Appearance) -> list[tuple[Point, Point, float]]:
    """Bars (from, to, width) of the things above the table."""
    shapes: list[tuple[Point, Point, float]] = []
    if pose.helper is not None:
        shapes.append((pose.helper.elbow, pose.helper.at, 26 * appearance.hand_size))
    if pose.tube.held:
        shapes.append((pose.tube.grip, (pose.tube.grip[0] - 60, 270), 24 * appearance.hand_size))
    if pose.bag_mask.held:
        shapes.append((pose.bag_mask.bag, pose.bag_mask.mask, 22))
    for passer in pose.passers:
        shapes.append((passer.at, passer.at, 70))
    return shapes


def draw_passer(brush: Brush, passer: Passer, appearance: Appearance) -> None:
    """Shoulders, an arm where one reaches over the table, and a capped head on top."""
    x, y = passer.at
    c, s = cos(passer.facing + pi / 2), sin(passer.facing + pi / 2)
    if passer.arm is not None:
        brush.capsule((x + 24 * c, y + 24 * s), passer.arm, 24, 16, shaded(appearance.passer, 0.9))
        brush.ellipse(passer.arm, (9, 8), appearance.helper_glove)
    brush.capsule((x - 34 * c, y - 34 * s), (x + 34 * c, y + 34 * s), 34, 34, appearance.passer)
    brush.ellipse((x, y), (17, 20), shaded(appearance.passer, 1.25), turn=passer.facing)


def draw_newborn(brush: Brush, newborn: Newborn, appearance: Appearance) -> None:
    s, x, y = newborn.size, newborn.x, newborn.y
    skin, dark = appearance.skin, shaded(appearance.skin, 0.82)
    stir = 3.0 * newborn.stir
    chest = 1.0 + 0.10 * newborn.lift
    for side in (-1, 1):  # arms, then legs
        elbow = (x + 52 * s, y + side * (32 + 0.4 * stir) * s)
        brush.capsule((x + 36 * s, y + side * 20 * s), elbow, 11 * s, 9 * s, dark)
        brush.capsule(elbow, (x + 40 * s + stir, y + side * 42 * s), 9 * s, 7 * s, skin)
        knee = (x + 116 * s, y + side * (22 - 0.3 * stir) * s)
        brush.capsule((x + 96 * s, y + side * 11 * s), knee, 14 * s, 11 * s, dark)
        brush.capsule(knee, (x + 140 * s, y + side * (14 + 0.5 * stir) * s), 11 * s, 8 * s, skin)
    brush.ellipse((x + 62 * s, y), (42 * s, 25 * s * chest), shaded(skin, 0.94))
    brush.ellipse((x + 54 * s, y - 2 * s), (26 * s * chest, 17 * s * chest), skin)
    brush.ellipse((x + 98 * s, y), (15 * s, 21 * s), (236, 238, 240))  # nappy
    if appearance.wrapped:
        brush.polygon(
            [(x + a * s, y + b * s) for a, b in ((88, -32), (150, -27), (154, 26), (90, 33))], appearance.wrap
        )
    brush.ellipse((x, y), (25 * s, 21 * s), skin)
    brush.ellipse((x - 7 * s, y), (19 * s, 18 * s), shaded(skin, 0.97))
    for side in (-1, 1):
        brush.ellipse((x + 1 * s, y + side * 19.5 * s), (4 * s, 3.5 * s), dark)  # ears
        brush.ellipse((x - 2 * s, y + side * 8 * s), (1.6 * s, 3.2 * s), shaded(skin, 0.45))  # closed eyes
    brush.ellipse((x + 4 * s, y), (3.4 * s, 2.4 * s), dark)  # nose
    brush.ellipse((x + 11 * s, y), (2.0 * s, 4.6 * s), (150, 70, 75))  # mouth


def draw_bag_mask(brush: Brush, device: BagMask, appearance: Appearance) -> None:
    mask, bag = device.mask, device.bag
    turn = atan2(mask[1] - bag[1], mask[0] - bag[0])
    neck = (mask[0] - 12 * cos(turn), mask[1] - 12 * sin(turn))
    if device.held:
        # The hand on the bag closes as the bag gives way; the other holds the mask.
        wrist = (bag[0] - 18 * cos(turn) - 6, bag[1] - 18 * sin(turn) - 14)
        brush.capsule((bag[0] - 70, bag[1] - 70), wrist, 26, 19, appearance.sleeve)
    brush.capsule(neck, mask, 7, 9, (205, 208, 212))
    across = 19 * appearance.bag_width * (1 - 0.52 * device.squeeze)
    along = 32 * appearance.bag_length * (1 + 0.10 * device.squeeze)
    brush.ellipse(bag, (along, across), shaded(appearance.bag, 0.9), turn=turn)
    brush.ellipse(bag, (along * 0.7, across * 0.55), shaded(appearance.bag, 1.18), turn=turn)
    long = appearance.mask_length
    brush.ellipse(mask, (14 * long, 13), appearance.mask)
    brush.ellipse(mask, (10.5 * long, 9.5), shaded(appearance.mask, 0.84))
    brush.ellipse(mask, (4.5, 4.5), shaded(appearance.mask, 1.06))
    if device.held:
        _fingers(brush, bag, turn, spread=across + 3.5, colour=appearance.glove)
        thumb = (mask[0] - 15, mask[1] - 16)
        brush.capsule((mask[0] - 58, mask[1] - 14), thumb, 20, 15, appearance.glove)
        brush.capsule(thumb, (mask[0] - 2, mask[1] - 12), 7, 6, shaded(appearance.glove, 0.92))
        brush.capsule((thumb[0], thumb[1] + 8), (mask[0] - 4, mask[1] + 11), 7, 6, appearance.glove)


def _fingers(brush: Brush, bag: Point, turn: float, *, spread: float, colour: Colour) -> None:
    c, s = cos(turn), sin(turn)
    nx, ny = -s, c
    for number in range(4):
        along = -11 + 7.0 * number
        base = (bag[0] + along * c, bag[1] + along * s)
        far = (base[0] + nx * spread * 0.2, base[1] + ny * spread * 0.2)
        near = (base[0] - nx * spread, base[1] - ny * spread)
        brush.capsule(near, far, 5.2, 4.4, shaded(colour, 1.0 - 0.05 * (number % 2)))
    brush.capsule(
        (bag[0] - 12 * c - nx * (spread + 3), bag[1] - 12 * s - ny * (spread + 3)),
        (bag[0] + 12 * c - nx * (spread + 3), bag[1] + 12 * s - ny * (spread + 3)),
        10,
        9,
        colour,
    )


def _tube_and_hand(brush: Brush, tube: Tube, appearance: Appearance) -> None:
    bend = ((tube.tip[0] + tube.grip[0]) / 2 + 3, (tube.tip[1] + tube.grip[1]) / 2)
    tail = (tube.grip[0] - 40, tube.grip[1] + 46)
    brush.stroke(
        [tube.tip, bend, tube.grip, (tube.grip[0] - 12, tube.grip[1] + 22), tail],
        appearance.tube_width,
        shaded(appearance.tube, 0.8),
    )
    brush.stroke([tube.tip, bend, tube.grip], 0.6 * appearance.tube_width, appearance.tube)
    if tube.held:
        hand = Hand(at=(tube.grip[0] - 3, tube.grip[1] + 4), elbow=(tube.grip[0] - 70, 275.0), bend=-0.5)
        draw_hand(brush, hand, appearance.glove, appearance.sleeve, size=appearance.hand_size)


def draw_hand(brush: Brush, hand: Hand, glove: Colour, sleeve: Colour, *, size: float) -> None:
    """Forearm, palm, four fingers and a thumb, pointing away from the elbow."""
    x, y = hand.at
    turn = atan2(y - hand.elbow[1], x - hand.elbow[0]) + hand.bend
    wrist = (x - 19 * size * cos(turn), y - 19 * size * sin(turn))
    brush.capsule(hand.elbow, wrist, 34 * size, 21 * size, sleeve)
    brush.capsule(wrist, hand.at, 17 * size, 21 * size, glove)
    for number in range(4):
        angle = turn + (number - 1.5) * 0.22
        base = (x + 7 * size * cos(angle), y + 7 * size * sin(angle))
        tip = (x + 22 * size * cos(angle), y + 22 * size * sin(angle))
        brush.stroke([base, tip], 5.8 * size, shaded(glove, 0.93 + 0.05 * (number % 2)))
    side = turn + 1.1
    thumb = (x + 17 * size * cos(side), y + 17 * size * sin(side))
    brush.stroke([hand.at, thumb], 6.6 * size, shaded(glove, 0.9))


@cache
def shaded(colour: Colour, factor: float) -> Colour:
    """Brighter or darker."""
    red, green, blue = (min(255, max(0, round(part * factor))) for part in colour)
    return red, green, blue
