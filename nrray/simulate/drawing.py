"""Shapes on a picture: everything is a polygon in canvas coordinates, mapped by the camera's affine matrix."""

from math import atan2, cos, hypot, pi, sin

import cv2
import numpy as np
from numpy.typing import NDArray

from nrray.simulate.appearance import Appearance, Colour
from nrray.simulate.pose import BagMask, Hand, Newborn, Point, Pose, Tube

Picture = NDArray[np.uint8]

Matrix = NDArray[np.float64]

_SHIFT = 4  # fractional bits of cv2's subpixel coordinates
_CIRCLE = np.stack([np.cos(np.linspace(0, 2 * pi, 25)[:-1]), np.sin(np.linspace(0, 2 * pi, 25)[:-1])], axis=1)


class Brush:
    """Draws onto `picture` (H, W, 3) uint8 through `matrix` (2, 3), canvas to picture."""

    def __init__(self, picture: Picture, matrix: Matrix) -> None:
        self._picture = picture
        self._matrix = matrix
        self._scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))

    def polygon(self, points: NDArray[np.float64], colour: Colour) -> None:
        mapped = points @ self._matrix[:, :2].T + self._matrix[:, 2]
        fixed = np.rint(mapped * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(self._picture, [fixed], colour, cv2.LINE_AA, _SHIFT)

    def ellipse(self, centre: Point, radii: Point, colour: Colour, *, turn: float = 0.0) -> None:
        """`turn` in radians."""
        c, s = cos(turn), sin(turn)
        points = (_CIRCLE * radii) @ np.array([[c, s], [-s, c]]) + centre
        self.polygon(points, colour)

    def stroke(self, points: list[Point], width: float, colour: Colour) -> None:
        mapped = np.asarray(points) @ self._matrix[:, :2].T + self._matrix[:, 2]
        fixed = np.rint(mapped * (1 << _SHIFT)).astype(np.int32)
        thickness = max(1, round(width * self._scale))
        cv2.polylines(self._picture, [fixed], False, colour, thickness, cv2.LINE_AA, _SHIFT)

    def capsule(self, a: Point, b: Point, width_a: float, width_b: float, colour: Colour) -> None:
        """A limb: a tapering bar with round ends."""
        length = hypot(b[0] - a[0], b[1] - a[1]) or 1.0
        nx, ny = -(b[1] - a[1]) / length, (b[0] - a[0]) / length
        half_a, half_b = width_a / 2, width_b / 2
        corners = np.array(
            [
                (a[0] + nx * half_a, a[1] + ny * half_a),
                (b[0] + nx * half_b, b[1] + ny * half_b),
                (b[0] - nx * half_b, b[1] - ny * half_b),
                (a[0] - nx * half_a, a[1] - ny * half_a),
            ]
        )
        self.polygon(corners, colour)
        self.ellipse(a, (half_a, half_a), colour)
        self.ellipse(b, (half_b, half_b), colour)


def draw_pose(brush: Brush, pose: Pose, look: Appearance) -> None:
    """Everything that moves, from the table upwards."""
    if pose.newborn is not None:
        draw_newborn(brush, pose.newborn, look)
    if pose.newborn is not None or not pose.helper:
        _tube_and_hand(brush, pose.tube, look)
    if pose.helper is not None:
        draw_hand(brush, pose.helper, look.helper_glove, look.helper_sleeve)
    draw_bag_mask(brush, pose.bag_mask, look)


def draw_newborn(brush: Brush, newborn: Newborn, look: Appearance) -> None:
    s, x, y = newborn.size, newborn.x, newborn.y
    skin, dark = look.skin, shaded(look.skin, 0.82)
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
    if look.wrapped:
        cloth = shaded(look.cloth, 0.88)
        brush.polygon(np.array([(88, -32), (150, -27), (154, 26), (90, 33)]) * s + (x, y), cloth)
    brush.ellipse((x, y), (25 * s, 21 * s), skin)
    brush.ellipse((x - 7 * s, y), (19 * s, 18 * s), shaded(skin, 0.97))
    for side in (-1, 1):
        brush.ellipse((x + 1 * s, y + side * 19.5 * s), (4 * s, 3.5 * s), dark)  # ears
        brush.ellipse((x - 2 * s, y + side * 8 * s), (1.6 * s, 3.2 * s), shaded(skin, 0.45))  # closed eyes
    brush.ellipse((x + 4 * s, y), (3.4 * s, 2.4 * s), dark)  # nose
    brush.ellipse((x + 11 * s, y), (2.0 * s, 4.6 * s), (150, 70, 75))  # mouth


def draw_bag_mask(brush: Brush, device: BagMask, look: Appearance) -> None:
    mask, bag = device.mask, device.bag
    turn = atan2(mask[1] - bag[1], mask[0] - bag[0])
    neck = (mask[0] - 12 * cos(turn), mask[1] - 12 * sin(turn))
    if device.held:
        # The hand on the bag closes as the bag gives way; the other holds the mask.
        wrist = (bag[0] - 18 * cos(turn) - 6, bag[1] - 18 * sin(turn) - 14)
        brush.capsule((bag[0] - 70, bag[1] - 70), wrist, 26, 19, look.sleeve)
    brush.capsule(neck, mask, 7, 9, (205, 208, 212))
    across = 19 * (1 - 0.52 * device.squeeze)
    along = 32 * (1 + 0.10 * device.squeeze)
    brush.ellipse(bag, (along, across), shaded(look.bag, 0.9), turn=turn)
    brush.ellipse(bag, (along * 0.7, across * 0.55), shaded(look.bag, 1.18), turn=turn)
    brush.ellipse(mask, (14, 13), (222, 226, 230))
    brush.ellipse(mask, (10.5, 9.5), (188, 196, 204))
    brush.ellipse(mask, (4.5, 4.5), (235, 238, 240))
    if device.held:
        _fingers(brush, bag, turn, spread=across + 3.5, colour=look.glove)
        thumb = (mask[0] - 15, mask[1] - 16)
        brush.capsule((mask[0] - 58, mask[1] - 14), thumb, 20, 15, look.glove)
        brush.capsule(thumb, (mask[0] - 2, mask[1] - 12), 7, 6, shaded(look.glove, 0.92))
        brush.capsule((thumb[0], thumb[1] + 8), (mask[0] - 4, mask[1] + 11), 7, 6, look.glove)


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


def _tube_and_hand(brush: Brush, tube: Tube, look: Appearance) -> None:
    bend = ((tube.tip[0] + tube.grip[0]) / 2 + 3, (tube.tip[1] + tube.grip[1]) / 2)
    tail = (tube.grip[0] - 40, tube.grip[1] + 46)
    brush.stroke([tube.tip, bend, tube.grip, (tube.grip[0] - 12, tube.grip[1] + 22), tail], 3.4, shaded(look.tube, 0.8))
    brush.stroke([tube.tip, bend, tube.grip], 2.0, look.tube)
    if tube.held:
        hand = Hand(at=(tube.grip[0] - 3, tube.grip[1] + 4), elbow=(tube.grip[0] - 70, 275.0), bend=-0.5)
        draw_hand(brush, hand, look.glove, look.sleeve)


def draw_hand(brush: Brush, hand: Hand, glove: Colour, sleeve: Colour) -> None:
    """Forearm, palm, four fingers and a thumb, pointing away from the elbow."""
    turn = atan2(hand.at[1] - hand.elbow[1], hand.at[0] - hand.elbow[0]) + hand.bend
    wrist = (hand.at[0] - 19 * cos(turn), hand.at[1] - 19 * sin(turn))
    brush.capsule(hand.elbow, wrist, 34, 21, sleeve)
    brush.capsule(wrist, hand.at, 17, 21, glove)
    for number in range(4):
        angle = turn + (number - 1.5) * 0.22
        base = (hand.at[0] + 7 * cos(angle), hand.at[1] + 7 * sin(angle))
        tip = (hand.at[0] + 22 * cos(angle), hand.at[1] + 22 * sin(angle))
        brush.capsule(base, tip, 6.4, 5.2, shaded(glove, 0.93 + 0.05 * (number % 2)))
    side = turn + 1.1
    brush.capsule(hand.at, (hand.at[0] + 17 * cos(side), hand.at[1] + 17 * sin(side)), 7.5, 6, shaded(glove, 0.9))


def shaded(colour: Colour, factor: float) -> Colour:
    """Brighter or darker."""
    red, green, blue = (min(255, max(0, round(part * factor))) for part in colour)
    return red, green, blue
