"""Windows of a training to the model's tensors, as they are made when it labels."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from nrray.models.families.family import WindowProcessor
from nrray.models.frame_stacking import FrameStacking, stacked
from nrray.types import Frames


@dataclass(frozen=True, kw_only=True)
class WindowInputs:
    """(B, F, H, W, 3) uint8 windows, or (B, F, H, W, K) of the channels that the model is shown alone, to tensors. Knows no
    weights, so it can go to other processes."""

    processor: WindowProcessor
    question: str
    frame_stacking: FrameStacking
    frames_per_second: float

    def __call__(self, windows: NDArray[np.uint8]) -> dict[str, torch.Tensor]:
        num_windows, num_frames = windows.shape[:2]
        times = np.zeros(num_windows, np.int64)
        frames = Frames(
            pixels=windows.reshape(-1, *windows.shape[2:]),
            pts_us=np.zeros(num_windows * num_frames, np.int64),
            window_frames=np.arange(num_windows * num_frames, dtype=np.int32).reshape(num_windows, num_frames),
            window_start_us=times,
            window_end_us=times,
            frames_per_second=self.frames_per_second,
        )
        shown = stacked(frames, self.frame_stacking)
        return self.processor.tensors(
            [shown.pixels[rows] for rows in shown.window_frames],
            question=self.question,
            frames_per_second=shown.frames_per_second,
        )
