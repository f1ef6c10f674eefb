"""V-JEPA 2 (Assran et al. 2025): positions are rotary, so that a window may have any number of frames."""

from typing import Any

import torch

from nrray.errors import ModelError
from nrray.models.families.family import FrameCount, LoadedCheckpoint
from nrray.models.families.video_encoder import VideoEncoder


class VJepa2(VideoEncoder):
    """Tubes of two frames each. Its predictor, which fills in masked tubes in pretraining, is not run."""

    input_name = "pixel_values_videos"

    def num_frames(self, config: Any) -> FrameCount:
        return FrameCount(count=int(config.frames_per_clip), is_fixed=False)

    def check_window(self, checkpoint: LoadedCheckpoint, *, num_frames: int) -> None:
        tubelet = int(checkpoint.model.config.tubelet_size)
        if num_frames % tubelet:
            raise ModelError(
                f"model {checkpoint.name}: found windows of {num_frames} frames, expected a multiple of {tubelet}: it sees "
                f"tubes of {tubelet} frames, and none of the last {num_frames % tubelet}. Set sampling.frames_per_second and "
                f"sampling.window_seconds so that their product is one."
            )

    def tower(self, model: Any) -> torch.nn.Module:
        tower: torch.nn.Module = model.encoder
        return tower

    def stem(self, model: Any) -> torch.nn.Module:
        stem: torch.nn.Module = model.encoder.embeddings
        return stem

    def encoded(self, model: Any, frames: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = model(pixel_values_videos=frames, skip_predictor=True).last_hidden_state
        return hidden
