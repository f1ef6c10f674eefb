"""Frames without anything to see."""

import numpy as np

from nrray.sampling import Sampling
from nrray.types import Frames

_STILL_FRAMES = 20  # of one colour and one noise


def blank_frames(sampling: Sampling, *, num_frames: int, seed: int) -> Frames:
    """Frames of one colour and some noise, a window at each: a model that has seen none takes them for whatever is
    frequent."""
    random = np.random.default_rng(seed)
    size = (-(-num_frames // _STILL_FRAMES), sampling.frame_height_px, sampling.frame_width_px, 3)
    noise = random.normal(0, random.uniform(0, 12, (size[0], 1, 1, 1)), size)
    colours = random.uniform(0, 255, (size[0], 1, 1, 1)) + random.uniform(-20, 20, (size[0], 1, 1, 3))
    pixels = np.repeat(np.clip(colours + noise, 0, 255).astype(np.uint8), _STILL_FRAMES, axis=0)[:num_frames]
    num_windows = len(pixels) - sampling.frames_per_window + 1
    starts = np.arange(num_windows, dtype=np.int64)
    return Frames(
        pixels=pixels,
        pts_us=np.arange(len(pixels), dtype=np.int64),
        window_frames=np.arange(num_windows)[:, None] + np.arange(sampling.frames_per_window),
        window_start_us=starts,
        window_end_us=starts + 1,
        frames_per_second=sampling.frames_per_second,
    )
