"""Colour tables of thermal cameras: 256 RGB colours from cold to hot."""

from collections.abc import Mapping
from enum import Enum

import numpy as np
from numpy.typing import NDArray


class Palette(str, Enum):
    """How temperatures are coloured."""

    WHITE_HOT = "white_hot"
    BLACK_HOT = "black_hot"
    IRON = "iron"  # black, violet, orange, yellow, white: as iron glows
    RAINBOW = "rainbow"  # blue, green, yellow, red


_ANCHORS: Mapping[Palette, tuple[tuple[int, int, int], ...]] = {
    Palette.WHITE_HOT: ((8, 8, 8), (250, 250, 250)),
    Palette.BLACK_HOT: ((245, 245, 245), (10, 10, 10)),
    Palette.IRON: (
        (4, 2, 20),
        (58, 8, 120),
        (150, 18, 138),
        (214, 64, 70),
        (246, 138, 22),
        (252, 214, 60),
        (255, 252, 226),
    ),
    Palette.RAINBOW: (
        (12, 10, 70),
        (20, 60, 200),
        (10, 170, 200),
        (40, 190, 70),
        (236, 220, 40),
        (240, 110, 20),
        (200, 20, 30),
    ),
}


def palette_table(palette: Palette) -> NDArray[np.uint8]:
    """(256, 3) uint8 RGB, index 0 the coldest."""
    anchors = np.array(_ANCHORS[palette], float)
    at = np.linspace(0, 1, len(anchors))
    channels = [np.interp(np.linspace(0, 1, 256), at, anchors[:, channel]) for channel in range(3)]
    table: NDArray[np.uint8] = np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    return table
