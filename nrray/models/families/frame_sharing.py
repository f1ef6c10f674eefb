"""Frames that windows of a unit share go through a tower once, for heads and prompts alike.

Holds for towers that see every frame alone (LLaVA-NeXT-Video's, SmolVLM's), or every few frames that stand behind each other in
a window (two in Qwen's): such a block is shared by windows that hold the same frames as a block. At 4 frames/s and a stride of
1 s all blocks of what two windows have in common are; at 3 frames/s a window shares them with the one after the next.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nrray.models.batches import micro_batched
from nrray.models.families.family import LoadedCheckpoint, watched
from nrray.models.families.prompt_runner import Prompt, PromptRunner, UnitInputs
from nrray.models.families.tower_moments import Moments, joined, moments_of
from nrray.types import Frames


@dataclass(frozen=True, kw_only=True)
class Embeddings:
    """Of G blocks of frames, as the language model takes them in. blocks: (G, tokens a block, D); tail: (t, D) that stand behind
    the last block of every window, whatever it shows (LLaVA-OneVision's newline); is_list: whether the class wants a list of
    windows."""

    blocks: torch.Tensor
    tail: torch.Tensor
    is_list: bool

    def of(self, window_blocks: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        """Those of (W, B) rows of blocks: W times (tokens, D)."""
        windows = self.blocks[window_blocks].flatten(1, 2)
        if len(self.tail):
            windows = torch.cat([windows, self.tail.expand(len(windows), *self.tail.shape)], dim=1)
        return list(windows) if self.is_list else windows


class SharingRunner(PromptRunner):
    """Blocks of frames that windows share go through the tower once a unit. frames_per_block: that the tower sees together, and
    apart from all others."""

    def __init__(self, checkpoint: LoadedCheckpoint, *, frames_per_block: int) -> None:
        super().__init__(checkpoint)
        self._frames_per_block = frames_per_block

    def unit_inputs(self, frames: Frames, *, micro_batch_windows: int) -> UnitInputs:
        """As `PromptRunner` says; windows as they are where they share no block, or where the class takes no encoded frames."""
        takes_encoded = "mm_encoder_outputs" in inspect.signature(self._checkpoint.model.forward).parameters
        blocks, window_blocks = distinct_blocks(frames.window_frames, self._frames_per_block)
        if not takes_encoded or len(blocks) == window_blocks.size:
            return UnitInputs(self, frames)
        return SharedBlocks(
            self, frames, blocks=blocks, window_blocks=window_blocks, micro_batch_windows=micro_batch_windows
        )


def distinct_blocks(
    window_frames: NDArray[np.int32], frames_per_block: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """(G, frames_per_block) frames of each block that any of (W, F) windows holds, and (W, B) which it holds. The last frame of a
    window is repeated where it fills no block, as processors do."""
    lacking = -window_frames.shape[1] % frames_per_block
    whole = np.concatenate([window_frames, np.repeat(window_frames[:, -1:], lacking, axis=1)], axis=1)
    blocks, rows = np.unique(whole.reshape(-1, frames_per_block), axis=0, return_inverse=True)
    return blocks, rows.reshape(len(window_frames), -1)


class SharedBlocks(UnitInputs):
    """Windows of blocks of frames that are encoded already: as many at a time as a window has, so that a processor makes of each
    what it makes of a window's."""

    def __init__(
        self,
        runner: PromptRunner,
        frames: Frames,
        *,
        blocks: NDArray[np.int32],
        window_blocks: NDArray[np.int64],
        micro_batch_windows: int,
    ) -> None:
        super().__init__(runner, frames)
        per_window = window_blocks.shape[1]
        filled = np.concatenate([blocks, np.repeat(blocks[-1:], -len(blocks) % per_window, axis=0)])
        encoded_windows = replace(frames, window_frames=filled.reshape(len(filled) // per_window, -1))
        parts = micro_batched(
            lambda rows: _encoded(runner, encoded_windows, rows, per_window=per_window),
            num_rows=len(encoded_windows.window_frames),
            rows_per_batch=micro_batch_windows,
        )
        self._made = parts[0]
        self._embeddings = {
            name: [_joined([part.embeddings[name][layer] for part in parts]) for layer in range(len(layers))]
            for name, layers in parts[0].embeddings.items()
        }
        self._moments = joined([part.moments for part in parts])
        self._window_blocks = torch.from_numpy(window_blocks).to(runner.checkpoint.device)

    def of(self, rows: slice, prompt: Prompt) -> dict[str, Any]:
        picked = self._window_blocks[rows]
        tensors = {name: tensor.repeat(len(picked), *[1] * (tensor.ndim - 1)) for name, tensor in prompt.inputs.items()}
        [pooled] = self._embeddings["pooler_output"]
        deepstack = self._embeddings.get("deepstack_features", [])
        outputs = self._made.output_class(
            pooler_output=pooled.of(picked),
            **({"deepstack_features": [layer.of(picked) for layer in deepstack]} if deepstack else {}),
        )
        return {**tensors, "mm_encoder_outputs": {self._made.modality: outputs}}

    def moments(self, rows: slice, outputs: Sequence[torch.Tensor]) -> Moments | None:
        return None if self._moments is None else self._moments.pooled(self._window_blocks[rows])


@dataclass(frozen=True, kw_only=True)
class _Encoded:
    """Of some windows: the tower's outputs by name, each of one layer or several. output_class: holds them in transformers."""

    modality: str
    output_class: Any
    embeddings: dict[str, list[Embeddings]]
    moments: Moments | None


def _encoded(runner: PromptRunner, frames: Frames, rows: slice, *, per_window: int) -> _Encoded:
    checkpoint, num_windows = runner.checkpoint, rows.stop - rows.start
    inputs = runner.window_inputs(frames, rows, question="")
    with watched(checkpoint) as watching:
        modality, outputs = _tower_outputs(checkpoint, inputs)
    layers = {"pooler_output": [outputs.pooler_output]}
    if getattr(outputs, "deepstack_features", None):
        layers["deepstack_features"] = list(outputs.deepstack_features)
    return _Encoded(
        modality=modality,
        output_class=type(outputs),
        embeddings={
            name: [_embeddings(layer, num_windows=num_windows, per_window=per_window) for layer in found]
            for name, found in layers.items()
        },
        moments=moments_of(watching, count=num_windows * per_window),
    )


def _tower_outputs(checkpoint: LoadedCheckpoint, inputs: dict[str, torch.Tensor]) -> tuple[str, Any]:
    modality, pixels = (
        ("video", "pixel_values_videos") if "pixel_values_videos" in inputs else ("image", "pixel_values")
    )
    encode = getattr(checkpoint.model.base_model, f"get_{modality}_features")
    others = [name for name in inspect.signature(encode).parameters if name in inputs and name != pixels]
    return modality, encode(inputs[pixels], **{name: inputs[name] for name in others}, return_dict=True)


def _embeddings(found: torch.Tensor | Sequence[torch.Tensor], *, num_windows: int, per_window: int) -> Embeddings:
    """Of what a class makes of windows: a tensor of all, or one for each window or image, in order."""
    is_list = not isinstance(found, torch.Tensor)
    joint = torch.cat([part.flatten(0, -2) for part in found])
    windows = joint.reshape(num_windows, -1, joint.shape[-1])
    in_blocks = windows.shape[1] // per_window * per_window
    blocks = windows[:, :in_blocks].reshape(num_windows * per_window, -1, windows.shape[-1])
    return Embeddings(blocks=blocks, tail=windows[0, in_blocks:], is_list=is_list)


def _joined(parts: Sequence[Embeddings]) -> Embeddings:
    return replace(parts[0], blocks=torch.cat([part.blocks for part in parts]))
