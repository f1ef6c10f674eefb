"""A video encoder: it sees the frames of a window and knows no words. Families differ in names, and in whether a token stands
for the whole window."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoVideoProcessor

from nrray.models.families.family import CPU, Family, HiddenStates, LoadedCheckpoint, WindowProcessor, pixel_device


class VideoEncoder(Family):
    """Every token but a class token stands for a patch of some frames."""

    model_class = AutoModel
    processor_class = AutoVideoProcessor
    input_name: ClassVar[str] = "pixel_values"  # of the frames, in the processor's tensors
    has_class_token: ClassVar[bool] = False

    def frame_processor(self, processor: Any) -> Any:
        return processor

    def num_tokens(self, checkpoint: LoadedCheckpoint, inputs: Mapping[str, torch.Tensor]) -> tuple[int, int]:
        frames = inputs[self.input_name].to(next(checkpoint.model.parameters()).device)
        num_tokens = int(self.embedded(checkpoint.model, frames).shape[1])
        return num_tokens, num_tokens

    def hidden_size(self, model: Any) -> int:
        return int(model.config.hidden_size)

    def layers(self, model: Any) -> list[torch.nn.Module]:
        return list(model.encoder.layer)

    def tower(self, model: Any) -> torch.nn.Module:
        tower: torch.nn.Module = model
        return tower

    def stem(self, model: Any) -> torch.nn.Module:
        """The module in front of the first layer."""
        stem: torch.nn.Module = model.embeddings
        return stem

    def embedded(self, model: Any, frames: torch.Tensor) -> torch.Tensor:
        """(B, L, D) tokens in front of the first layer of (B, F, 3, H, W) frames."""
        tokens: torch.Tensor = self.stem(model)(frames)
        return tokens

    def encoded(self, model: Any, frames: torch.Tensor) -> torch.Tensor:
        """(B, L, D) states of the last layer of (B, F, 3, H, W) frames."""
        hidden: torch.Tensor = model(**{self.input_name: frames}).last_hidden_state
        return hidden

    def window_processor(self, checkpoint: LoadedCheckpoint) -> WindowProcessor:
        return VideoProcessor(processor=checkpoint.processor, dtype=checkpoint.dtype, input_name=self.input_name)

    def hidden_states(self, checkpoint: LoadedCheckpoint, inputs: Mapping[str, torch.Tensor]) -> HiddenStates:
        hidden = self.encoded(checkpoint.model, inputs[self.input_name])
        attended = torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device)
        patches = attended.clone()
        if self.has_class_token:
            patches[:, 0] = False
        return HiddenStates(hidden=hidden, attended=attended, frame_tokens=patches)


@dataclass(frozen=True, kw_only=True)
class VideoProcessor:
    """Frames alone."""

    processor: Any  # transformers.BaseVideoProcessor
    dtype: torch.dtype
    input_name: str

    def tensors(
        self,
        windows: Sequence[NDArray[np.uint8]],
        *,
        question: str,
        frames_per_second: float,
        device: torch.device = CPU,
    ) -> dict[str, torch.Tensor]:
        """(B, F, 3, H, W) values, as the checkpoint's processor makes them; the question is not asked."""
        made = self.processor(videos=list(windows), do_sample_frames=False, return_tensors="pt", **pixel_device(device))
        return {self.input_name: made[self.input_name].to(self.dtype)}
