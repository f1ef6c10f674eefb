"""How a family of checkpoints takes frames: small classes with declared capabilities, chosen by what they can do.

A family turns a unit's windows into model inputs (for questions in words) or into hidden states (for a head).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from nrray.errors import ModelError
from nrray.models.batches import micro_batched
from nrray.models.checkpoint import LoadedCheckpoint
from nrray.models.folding import folded
from nrray.models.window_processor import processing_device, prompt_processor, window_processor
from nrray.types import Frames

# Activations of 16 frames of 128 px still fit a CPU's cache: 1.4 times the frames/s of 128 at once.
CPU_FRAMES_PER_FORWARD = 16


@dataclass(frozen=True, kw_only=True)
class HiddenStates:
    """Of B windows: hidden (B, L, D) of the last layer; attended, frame_tokens (B, L) bool."""

    hidden: torch.Tensor
    attended: torch.Tensor
    frame_tokens: torch.Tensor


UnitForward = Callable[[slice], HiddenStates]


class Family(Protocol):
    """One way of giving frames to a model."""

    def window_inputs(
        self, frames: Frames, rows: slice, *, question: str, frames_per_second: float
    ) -> dict[str, torch.Tensor]:
        """The processor's tensors for windows `rows` of a unit, on the model's device."""
        ...

    def unit_forward(
        self, frames: Frames, *, question: str, frames_per_second: float, micro_batch_windows: int
    ) -> UnitForward:
        """A function from rows to hidden states; what windows share is computed once, here."""
        ...


def family_of(checkpoint: LoadedCheckpoint) -> Family:
    """The first family that fits the checkpoint. Raises ModelError where its processor takes no frames."""
    for family in (FrameWiseFamily, PlainFamily):
        if family.fits(checkpoint):
            return family(checkpoint)
    raise ModelError(
        f"model {checkpoint.name}: found a {type(checkpoint.processor).__name__} without image or video processor, "
        f"expected one of the two. Add the checkpoint's preprocessor_config.json."
    )


class PlainFamily:
    """Every window goes through the whole model: as one video where the processor knows videos, else as images in order; a
    TimeSformer's without a question."""

    def __init__(self, checkpoint: LoadedCheckpoint) -> None:
        self._checkpoint = checkpoint
        self._processor = window_processor(checkpoint)
        self._processing_device: torch.device | None = None

    @staticmethod
    def fits(checkpoint: LoadedCheckpoint) -> bool:
        if checkpoint.is_classifier:
            return True
        processor = prompt_processor(checkpoint)
        return processor.takes_video or processor.takes_images

    def window_inputs(
        self, frames: Frames, rows: slice, *, question: str, frames_per_second: float
    ) -> dict[str, torch.Tensor]:
        windows = [frames.pixels[used] for used in frames.window_frames[rows]]
        if self._processing_device is None:
            self._processing_device = processing_device(
                self._processor, windows[0].shape, device=self._checkpoint.device, frames_per_second=frames_per_second
            )
        inputs = self._processor.tensors(
            windows, question=question, frames_per_second=frames_per_second, device=self._processing_device
        )
        return {name: tensor.to(self._checkpoint.device) for name, tensor in inputs.items()}

    def unit_forward(
        self, frames: Frames, *, question: str, frames_per_second: float, micro_batch_windows: int
    ) -> UnitForward:
        def forward(rows: slice) -> HiddenStates:
            inputs = self.window_inputs(frames, rows, question=question, frames_per_second=frames_per_second)
            return hidden_states(self._checkpoint, inputs)

        return forward


class FrameWiseFamily(PlainFamily):
    """Frames are images, and the tower sees each alone: a frame shared by windows is encoded once.

    Holds for classes whose `get_image_features` maps (N, 3, H, W) to N equal blocks of embeddings that replace the
    image tokens in order, with plain 1-D positions.
    """

    model_types = frozenset({"fast_vlm", "llava"})

    def __init__(self, checkpoint: LoadedCheckpoint) -> None:
        super().__init__(checkpoint)
        quicken_tower(checkpoint)

    @staticmethod
    def fits(checkpoint: LoadedCheckpoint) -> bool:
        if checkpoint.model.config.model_type not in FrameWiseFamily.model_types:
            return False
        processor = prompt_processor(checkpoint)
        return processor.takes_images and not processor.takes_video

    def unit_forward(
        self, frames: Frames, *, question: str, frames_per_second: float, micro_batch_windows: int
    ) -> UnitForward:
        used, positions = np.unique(frames.window_frames, return_inverse=True)
        window_frames = torch.from_numpy(positions.reshape(frames.window_frames.shape))
        blocks = micro_batched(
            lambda rows: self.frame_embeddings(frames.pixels[used[rows]]),
            num_rows=len(used),
            rows_per_batch=self._frames_per_forward(micro_batch_windows * frames.window_frames.shape[1]),
        )
        embeddings = torch.cat(blocks)  # (N, tokens a frame, D)
        inputs = self.window_inputs(frames, slice(0, 1), question=question, frames_per_second=frames_per_second)
        checkpoint, input_ids = self._checkpoint, inputs["input_ids"]
        text = checkpoint.model.get_input_embeddings()(input_ids)  # (1, L, D)
        is_frame = _frame_tokens(checkpoint, input_ids)

        def forward(rows: slice) -> HiddenStates:
            picked = embeddings[window_frames[rows].to(embeddings.device)]  # (B, F, tokens a frame, D)
            batch = picked.shape[0]
            mask = is_frame.expand(batch, -1)
            embeds = text.expand(batch, -1, -1).masked_scatter(mask.unsqueeze(-1), picked.to(text.dtype))
            attended = torch.ones_like(mask)
            hidden = _last_hidden(checkpoint, {"inputs_embeds": embeds, "attention_mask": attended.long()})
            return HiddenStates(hidden=hidden, attended=attended, frame_tokens=mask)

        return forward

    def frame_embeddings(self, pixels: NDArray[np.uint8]) -> torch.Tensor:
        """(N, tokens a frame, D) embeddings of (N, H, W, 3) uint8 frames."""
        prepared = self._checkpoint.processor.image_processor(images=list(pixels), return_tensors="pt")
        return _image_features(self._checkpoint, prepared["pixel_values"].to(self._checkpoint.device))

    def _frames_per_forward(self, most: int) -> int:
        return min(CPU_FRAMES_PER_FORWARD, most) if self._checkpoint.device.type == "cpu" else most


def is_frame_wise(checkpoint: LoadedCheckpoint) -> bool:
    """Whether the tower sees each frame alone, as an image."""
    return not checkpoint.is_classifier and FrameWiseFamily.fits(checkpoint)


def quicken_tower(checkpoint: LoadedCheckpoint) -> None:
    """Lay out the tower of a frame-wise checkpoint for speed; what it returns stays, but it can be trained no more."""
    model = checkpoint.model
    tower = model.get_encoder(modality="image")
    tower.to(memory_format=torch.channels_last)  # convolutions run 1.5 to 2 times faster so on a CPU
    if checkpoint.device.type != "cpu":
        return
    size = checkpoint.processor.image_processor.size
    height, width = (size.get(side) or size["shortest_edge"] for side in ("height", "width"))
    example = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0)).to(checkpoint.dtype)
    quick = folded(tower, lambda module: module(pixel_values=example).last_hidden_state)
    for parent in model.modules():
        for name, child in list(parent.named_children()):
            if child is tower:
                setattr(parent, name, quick)


def hidden_states(checkpoint: LoadedCheckpoint, inputs: Mapping[str, torch.Tensor]) -> HiddenStates:
    """What the whole model makes of the processor's tensors; the frames of a frame-wise one pass its tower in parts that fit
    a CPU's cache."""
    if is_frame_wise(checkpoint):
        input_ids, attended = inputs["input_ids"], inputs["attention_mask"]
        values = inputs["pixel_values"]
        chunk = CPU_FRAMES_PER_FORWARD if checkpoint.device.type == "cpu" else len(values)
        features = torch.cat([_image_features(checkpoint, part) for part in values.split(chunk)])
        text = checkpoint.model.get_input_embeddings()(input_ids)
        is_frame = _frame_tokens(checkpoint, input_ids)
        embeds = text.masked_scatter(is_frame.unsqueeze(-1), features.to(text.dtype))
        hidden = _last_hidden(checkpoint, {"inputs_embeds": embeds, "attention_mask": attended})
        return HiddenStates(hidden=hidden, attended=attended.bool(), frame_tokens=is_frame)
    if checkpoint.is_classifier:
        hidden = checkpoint.model(**inputs).last_hidden_state
        attended = torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device)
        patches = attended.clone()
        patches[:, 0] = False  # the token that stands for all
        return HiddenStates(hidden=hidden, attended=attended, frame_tokens=patches)
    return HiddenStates(
        hidden=_last_hidden(checkpoint, inputs),
        attended=inputs["attention_mask"].bool(),
        frame_tokens=_frame_tokens(checkpoint, inputs["input_ids"]),
    )


def _last_hidden(checkpoint: LoadedCheckpoint, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    # The class without its vocabulary head: logits over 100,000 words would cost more than the hidden states.
    hidden: torch.Tensor = checkpoint.model.base_model(**inputs, use_cache=False).last_hidden_state
    return hidden


def _image_features(checkpoint: LoadedCheckpoint, pixel_values: torch.Tensor) -> torch.Tensor:
    """(N, tokens a frame, D) of (N, 3, H, W) values."""
    values = pixel_values.to(checkpoint.dtype).contiguous(memory_format=torch.channels_last)
    features = checkpoint.model.get_image_features(pixel_values=values, return_dict=True).pooler_output
    return features if isinstance(features, torch.Tensor) else torch.stack(list(features))


def _frame_tokens(checkpoint: LoadedCheckpoint, input_ids: torch.Tensor) -> torch.Tensor:
    return torch.isin(input_ids, torch.tensor(checkpoint.frame_token_ids, device=input_ids.device))
