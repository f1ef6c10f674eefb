"""From a decoded picture to small RGB: one filter for all backends."""

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

# ffmpeg's default filter, with chroma at full width: without it swscale halves chroma on its way to RGB and darkens by
# two levels (24 to 32 dB from a floating-point reference; with it 37 to 57 dB). Rounding is accurate: no level on average.
_FILTER = int(Interpolation.BICUBIC) | 0x2000 | 0x40000  # SWS_FULL_CHR_H_INT, SWS_ACCURATE_RND
# Chroma at full width is slow where swscale makes RGB of large pictures at once: these are first made small.
_SHRUNK_FIRST = frozenset({"yuv420p", "yuv422p"})
_THREADS = 1  # PyAV would take one per core


class Scaler:
    """Pictures of any size and pixel format to (H, W, 3) uint8 RGB.

    Matrix and range are taken from the picture's tags; untagged is BT.601 limited, as in ffmpeg.
    """

    def __init__(self) -> None:
        self._shrinker = VideoReformatter()
        self._reformatter = VideoReformatter()

    def scaled_rgb(self, frame: VideoFrame, *, width_px: int, height_px: int) -> NDArray[np.uint8]:
        """`frame` in the size asked for; a view that lives as long as it is referred to."""
        if frame.format.name in _SHRUNK_FIRST:
            frame = self._shrinker.reformat(
                frame, width=width_px, height=height_px, format="yuv444p", interpolation=_FILTER, threads=_THREADS
            )
        small = self._reformatter.reformat(
            frame, width=width_px, height=height_px, format="rgb24", interpolation=_FILTER, threads=_THREADS
        )
        plane = small.planes[0]
        rows: NDArray[np.uint8] = np.frombuffer(memoryview(plane), np.uint8).reshape(height_px, plane.line_size)
        return rows[:, : width_px * 3].reshape(height_px, width_px, 3)
