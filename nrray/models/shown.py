"""What a model is shown of a window: its frames, or others in their place, to learn what it claims all the same. Pure numpy."""

from dataclasses import replace
from enum import Enum

import numpy as np

from nrray.types import Frames

GREY = 128
NOISE_CELL_PX = 16


class Shown(str, Enum):
    """Frames as they were filmed, or what stands in their place."""

    FILMED = "filmed"
    BLANK = "blank"  # grey all over: what is claimed comes from the words alone
    FROZEN = "frozen"  # the window's middle frame, repeated: what is there, without motion
    SHUFFLED = "shuffled"  # the window's frames in a random order: motion that has no direction and no rhythm
    FOREIGN = "foreign"  # coloured squares that change at random: something that is none of the activities


def as_shown(frames: Frames, shown: Shown, *, seed: int = 0) -> Frames:
    """The same windows at the same times, as they are shown. Of a window that is shuffled the order depends on `seed` and its
    start alone."""
    if shown is Shown.FROZEN:
        middle = frames.window_frames[:, frames.window_frames.shape[1] // 2]
        return replace(frames, window_frames=np.repeat(middle[:, None], frames.window_frames.shape[1], axis=1))
    if shown is Shown.SHUFFLED:
        orders = [
            np.random.default_rng([seed, start]).permutation(frames.window_frames.shape[1])
            for start in frames.window_start_us.tolist()
        ]
        order = np.array(orders, np.int64).reshape(frames.window_frames.shape)
        return replace(frames, window_frames=np.take_along_axis(frames.window_frames, order, axis=1))
    if shown is Shown.BLANK:
        return replace(frames, pixels=np.full_like(frames.pixels, GREY))
    if shown is Shown.FOREIGN:
        return replace(frames, pixels=_squares(frames, seed))
    return frames


def _squares(frames: Frames, seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """(N, H, W, 3) squares of NOISE_CELL_PX, each frame's by its time."""
    _, height, width, _ = frames.pixels.shape
    rows, columns = -(-height // NOISE_CELL_PX), -(-width // NOISE_CELL_PX)
    drawn = [
        np.random.default_rng([seed, abs(time)]).integers(0, 256, (rows, columns, 3), np.uint8)
        for time in frames.pts_us.tolist()
    ]
    cells = np.array(drawn, np.uint8).reshape(len(frames.pixels), rows, columns, 3)
    large = cells.repeat(NOISE_CELL_PX, axis=1).repeat(NOISE_CELL_PX, axis=2)
    return np.ascontiguousarray(large[:, :height, :width])
