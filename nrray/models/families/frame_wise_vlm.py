"""A vision-language model whose tower sees each frame alone, as an image: a frame that windows share is encoded once.

Holds for classes whose `get_image_features` maps (N, 3, H, W) to N equal blocks of embeddings that replace the image tokens in
order, with plain 1-D positions.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nrray.errors import ModelError
from nrray.models.batches import micro_batched
from nrray.models.families.family import (
    HiddenStates,
    LoadedCheckpoint,
    UnitForward,
    WindowProcessor,
    distances,
    watched,
)
from nrray.models.families.prompt_runner import Prompt, PromptRunner, UnitInputs
from nrray.models.families.tower_moments import Moments, joined, moments_of
from nrray.models.families.vlm import (
    ImagePromptProcessor,
    VisionLanguageModel,
    frame_tokens,
    last_hidden,
    wants_token_types,
)
from nrray.models.fuse_conv_bn import fuse_conv_bn
from nrray.types import Frames

# Activations of 16 frames of 128 px still fit a CPU's cache: 1.4 times the frames/s of 128 at once.
CPU_FRAMES_PER_FORWARD = 16


class FrameWiseVlm(VisionLanguageModel):
    """Frames go in as images in order; the tower encodes them in parts that fit a CPU's cache."""

    def check_processor(self, processor: Any, *, folder: Path) -> None:
        super().check_processor(processor, folder=folder)
        if getattr(processor, "image_processor", None) is None:
            raise ModelError(
                f"model {folder}: found a {type(processor).__name__} without image processor, expected one: its tower sees "
                f"every frame as an image. Add the checkpoint's preprocessor_config.json."
            )

    def frame_processor(self, processor: Any) -> Any:
        return processor.image_processor

    def window_processor(self, checkpoint: LoadedCheckpoint) -> WindowProcessor:
        return ImagePromptProcessor(
            processor=checkpoint.processor,
            dtype=checkpoint.dtype,
            wants_token_types=wants_token_types(checkpoint.model),
        )

    def hidden_states(self, checkpoint: LoadedCheckpoint, inputs: Mapping[str, torch.Tensor]) -> HiddenStates:
        input_ids, attended, values = inputs["input_ids"], inputs["attention_mask"], inputs["pixel_values"]
        chunk = CPU_FRAMES_PER_FORWARD if checkpoint.device.type == "cpu" else len(values)
        features = torch.cat([_image_features(checkpoint, part) for part in values.split(chunk)])
        text = checkpoint.model.get_input_embeddings()(input_ids)
        is_frame = frame_tokens(checkpoint, input_ids)
        check_placeholders(checkpoint, is_frame, features, size=values.shape[-2:])
        embeds = text.masked_scatter(is_frame.unsqueeze(-1), features.to(text.dtype))
        hidden = last_hidden(checkpoint, {"inputs_embeds": embeds, "attention_mask": attended})
        return HiddenStates(hidden=hidden, attended=attended.bool(), frame_tokens=is_frame)

    def runner(self, checkpoint: LoadedCheckpoint) -> "FrameWiseRunner":
        self.optimize_tower(checkpoint)
        return FrameWiseRunner(checkpoint)

    def optimize_tower(self, checkpoint: LoadedCheckpoint, *, learning: Sequence[torch.nn.Module] = ()) -> None:
        """Channels last and, on a CPU, convolutions with their normalization fused in where neither is learning."""
        model = checkpoint.model
        tower = model.get_encoder(modality="image").eval()  # dropout would make every forward another
        tower.to(memory_format=torch.channels_last)  # convolutions run 1.5 to 2 times faster so on a CPU
        if checkpoint.device.type == "cpu":
            size = checkpoint.processor.image_processor.size
            height, width = (size.get(side) or size["shortest_edge"] for side in ("height", "width"))
            example = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0)).to(checkpoint.dtype)
            fused = fuse_conv_bn(tower, lambda module: module(pixel_values=example).last_hidden_state, kept=learning)
            for parent in model.modules():
                for name, child in list(parent.named_children()):
                    if child is tower:
                        setattr(parent, name, fused)


class FrameWiseRunner(PromptRunner):
    """Frames go through the tower once a unit, then windows of their embeddings through the language model."""

    def unit_inputs(self, frames: Frames, *, micro_batch_windows: int) -> "SharedFrames":
        used, positions = np.unique(frames.window_frames, return_inverse=True)
        blocks = micro_batched(
            lambda rows: self.frame_embeddings(frames.pixels[used[rows]]),
            num_rows=len(used),
            rows_per_batch=self._frames_per_forward(micro_batch_windows * frames.window_frames.shape[1]),
        )
        return SharedFrames(
            self,
            frames,
            embeddings=torch.cat([block for block, _ in blocks]),
            window_frames=torch.from_numpy(positions.reshape(frames.window_frames.shape)),
            moments=joined([moments for _, moments in blocks]),
        )

    def unit_forward(self, frames: Frames, *, question: str, micro_batch_windows: int) -> UnitForward:
        prompt = self.prompt(frames, question)
        inputs = self.unit_inputs(frames, micro_batch_windows=micro_batch_windows)
        is_frame = frame_tokens(self._checkpoint, prompt.token_ids)

        def forward(rows: slice) -> HiddenStates:
            given = inputs.of(rows, prompt)
            hidden = last_hidden(self._checkpoint, given)
            return HiddenStates(
                hidden=hidden,
                attended=given["attention_mask"].bool(),
                frame_tokens=is_frame.expand(hidden.shape[:2]),
                distances=distances(self._checkpoint, inputs.moments(rows, ())),
            )

        return forward

    def frame_embeddings(self, pixels: NDArray[np.uint8]) -> tuple[torch.Tensor, Moments | None]:
        """(N, tokens a frame, D) embeddings of (N, H, W, 3) uint8 frames, and what was watched of the tower."""
        checkpoint = self._checkpoint
        prepared = checkpoint.processor.image_processor(images=list(pixels), return_tensors="pt")
        with watched(checkpoint) as outputs:
            embeddings = _image_features(checkpoint, prepared["pixel_values"].to(checkpoint.device))
        return embeddings, moments_of(outputs, count=len(pixels))

    def _frames_per_forward(self, most: int) -> int:
        return min(CPU_FRAMES_PER_FORWARD, most) if self._checkpoint.device.type == "cpu" else most


class SharedFrames(UnitInputs):
    """Windows of frames that are embedded already. embeddings: (N, tokens a frame, D); window_frames: (W, F) rows of them;
    moments: of the N frames, where they were watched."""

    def __init__(
        self,
        runner: FrameWiseRunner,
        frames: Frames,
        *,
        embeddings: torch.Tensor,
        window_frames: torch.Tensor,
        moments: Moments | None,
    ) -> None:
        super().__init__(runner, frames)
        self._checkpoint = runner.checkpoint
        self._size = frames.pixels.shape[1:3]
        self._embeddings = embeddings
        self._window_frames = window_frames.to(embeddings.device)
        self._moments = moments

    def of(self, rows: slice, prompt: Prompt) -> dict[str, Any]:
        text = self._checkpoint.model.get_input_embeddings()(prompt.token_ids)  # (1, L, D)
        is_frame = frame_tokens(self._checkpoint, prompt.token_ids)
        picked = self._embeddings[self._window_frames[rows]]  # (B, F, tokens a frame, D)
        check_placeholders(self._checkpoint, is_frame, picked[0], size=self._size)
        mask = is_frame.expand(len(picked), -1)
        embeds = text.expand(len(picked), -1, -1).masked_scatter(mask.unsqueeze(-1), picked.to(text.dtype))
        return {"inputs_embeds": embeds, "attention_mask": torch.ones_like(mask, dtype=torch.long)}

    def moments(self, rows: slice, outputs: Sequence[torch.Tensor]) -> Moments | None:
        return None if self._moments is None else self._moments.pooled(self._window_frames[rows])


def check_placeholders(
    checkpoint: LoadedCheckpoint, is_frame: torch.Tensor, embeddings: torch.Tensor, *, size: Sequence[int]
) -> None:
    """Raise ModelError where a prompt has room for another number of embeddings than the tower makes of frames of a size: what is
    too much would be left out without a word. is_frame: which tokens of the prompts stand for frames."""
    expected, found = int(is_frame.sum()), embeddings.shape[:-1].numel()
    if expected != found:
        raise ModelError(
            f"model {checkpoint.name}: found {found} embeddings that its tower makes of frames of {size[1]}x{size[0]} px, "
            f"expected the {expected} that its processor leaves room for in the prompt. Leave the frame size to the model, or "
            f"set sampling.frame_width_px and sampling.frame_height_px to the size that it was trained on."
        )


def _image_features(checkpoint: LoadedCheckpoint, pixel_values: torch.Tensor) -> torch.Tensor:
    """(N, tokens a frame, D) of (N, 3, H, W) values."""
    values = pixel_values.to(checkpoint.dtype).contiguous(memory_format=torch.channels_last)
    features = checkpoint.model.get_image_features(pixel_values=values, return_dict=True).pooler_output
    return features if isinstance(features, torch.Tensor) else torch.stack(list(features))
