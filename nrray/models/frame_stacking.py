"""How the frames of a window become the images that a model is shown: each as it is, or three at a time as the colours of one.

In an image of three frames things at rest are grey and moving ones have coloured edges, so that a tower that encodes every image
alone sees motion (stacked grayscale 3-channel images: Kim and Won 2020).
"""

from dataclasses import replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from nrray.types import Frames

LUMA = (77, 150, 29)  # of 256: BT.601
_TRIPLET_STEP = 2  # neighbours share a frame: no change between frames is missed


class FrameStacking(str, Enum):
    """How the frames of a window become images."""

    FRAMES = "frames"  # each is one
    LUMA_TRIPLETS = "luma_triplets"  # luma of frames 0, 1, 2 as red, green and blue, then of 2, 3, 4, and so on

    @property
    def channels(self) -> NDArray[np.float32]:
        """(K, 3) weights of a frame's red, green and blue in the K channels that are kept of it."""
        kept = np.eye(3) if self is FrameStacking.FRAMES else np.array([LUMA]) / 256
        return kept.astype(np.float32)

    def rows(self, num_frames: int) -> NDArray[np.int64]:
        """(P, 1) or (P, 3) which of a window's frames each image shows. A window of one or two frames shows its last
        one again."""
        if self is FrameStacking.FRAMES:
            return np.arange(num_frames)[:, None]
        firsts = np.arange(0, max(1, num_frames - 2), _TRIPLET_STEP)
        rows: NDArray[np.int64] = np.minimum(firsts[:, None] + np.arange(3), num_frames - 1)
        return rows


def stacked(frames: Frames, stacking: FrameStacking) -> Frames:
    """The same windows with images for frames; an image that windows share is there once. Frames of one channel, (N, H, W, 1),
    are those that `stacking` keeps already."""
    if stacking is FrameStacking.FRAMES:
        return frames
    num_windows, num_frames = frames.window_frames.shape
    wanted = frames.window_frames[:, stacking.rows(num_frames)]  # (W, P, 3)
    used, positions = np.unique(wanted.reshape(-1, 3), axis=0, return_inverse=True)
    luma = frames.pixels[..., 0] if frames.pixels.shape[-1] == 1 else _luma(frames.pixels)
    return replace(
        frames,
        pixels=np.stack([luma[used[:, i]] for i in range(3)], axis=-1),
        pts_us=frames.pts_us[used[:, 1]],
        window_frames=positions.reshape(num_windows, -1).astype(np.int32),
        frames_per_second=frames.frames_per_second / _TRIPLET_STEP,
    )


def _luma(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N, H, W) of (N, H, W, 3) colours."""
    red, green, blue = (pixels[..., i].astype(np.uint16) * LUMA[i] for i in range(3))
    luma: NDArray[np.uint8] = ((red + green + blue) >> 8).astype(np.uint8)
    return luma
