"""Strokes and filled shapes on masks, with smooth edges, and the types of pictures."""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[Any]  # (H, W, 3) float32, 0 to 255
Mask = NDArray[Any]  # (H, W) uint8, 0 to 255
Field = NDArray[Any]  # (H, W) float32
Point = NDArray[np.float64]  # (2,) x and y on the canvas, px
Colour = NDArray[Any]  # (3,) float32, 0 to 255
_SHIFT = 4  # of cv2's fixed-point coordinates


def paint(canvas: Image, mask: Mask, colour: Colour) -> None:
    """Lay a colour, or an image of colours, over the canvas where the mask is."""
    canvas += (colour - canvas) * (mask[..., None] / np.float32(255))


def fill(mask: Mask, points: NDArray[np.float64], value: int) -> None:
    """A polygon of (N, 2) points."""
    cv2.fillPoly(mask, [np.rint(points * (1 << _SHIFT)).astype(np.int32)], value, cv2.LINE_AA, _SHIFT)


def capsule(mask: Mask, start: Point, end: Point, width_px: float) -> None:
    """A stroke with round ends."""
    taper(mask, start, end, width_px, width_px)
    for place in (start, end):
        centre = np.rint(place * (1 << _SHIFT)).astype(int).tolist()
        cv2.circle(mask, centre, round(width_px / 2 * (1 << _SHIFT)), 255, -1, cv2.LINE_AA, _SHIFT)


def taper(mask: Mask, start: Point, end: Point, start_width: float, end_width: float) -> None:
    """A stroke with flat ends of two widths."""
    along = end - start
    normal = np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1e-6) / 2
    corners = [start + start_width * normal, end + end_width * normal, end - end_width * normal]
    fill(mask, np.stack([*corners, start - start_width * normal]), 255)


def direction(angle: float) -> Point:
    """A step of length 1."""
    return np.array([math.cos(angle), math.sin(angle)])
