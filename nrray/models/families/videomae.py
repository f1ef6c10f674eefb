"""VideoMAE (Tong et al. 2022): positions are a table, so that every window has the frames of the pretraining."""

from typing import Any

import torch

from nrray.models.families.family import FrameCount
from nrray.models.families.video_encoder import VideoEncoder


class VideoMae(VideoEncoder):
    """Tubes of some frames each, all visible."""

    def num_frames(self, config: Any) -> FrameCount:
        return FrameCount(count=int(config.num_frames), is_fixed=True)

    def embedded(self, model: Any, frames: torch.Tensor) -> torch.Tensor:
        tokens: torch.Tensor = self.stem(model)(frames, None)  # nothing is masked
        return tokens
