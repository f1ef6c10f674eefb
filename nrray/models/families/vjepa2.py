"""V-JEPA 2 (Assran et al. 2025): positions are rotary, so that a window may have any number of frames."""

from typing import Any

import torch

from nrray.models.families.video_encoder import VideoEncoder


class VJepa2(VideoEncoder):
    """Tubes of two frames each. Its predictor, which fills in masked tubes in pretraining, is not run."""

    input_name = "pixel_values_videos"

    def tower(self, model: Any) -> torch.nn.Module:
        tower: torch.nn.Module = model.encoder
        return tower

    def stem(self, model: Any) -> torch.nn.Module:
        stem: torch.nn.Module = model.encoder.embeddings
        return stem

    def encoded(self, model: Any, frames: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = model(pixel_values_videos=frames, skip_predictor=True).last_hidden_state
        return hidden
