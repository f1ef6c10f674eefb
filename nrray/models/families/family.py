"""A family of checkpoints: how one is loaded, how frames become its inputs, and which of its hidden states stand for frames."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from nrray.errors import ModelError
from nrray.models.families.blocks import block_to_watch
from nrray.models.families.tower_moments import Moments, moments_of, outputs_of
from nrray.models.frame_size import FrameSize
from nrray.models.looks import Looks
from nrray.types import Frames

CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class FrameCount:
    """Frames of a window that a checkpoint was made for. is_fixed: no other number will do."""

    count: int
    is_fixed: bool


@dataclass(frozen=True, kw_only=True)
class HiddenStates:
    """Of B windows: hidden (B, L, D) of the last layer; attended, frame_tokens (B, L) bool; distances: (B,) as
    `Looks` has them, None where the checkpoint knows no looks, or nobody asked."""

    hidden: torch.Tensor
    attended: torch.Tensor
    frame_tokens: torch.Tensor
    distances: NDArray[np.float32] | None = None


UnitForward = Callable[[slice], HiddenStates]


class WindowProcessor(Protocol):
    """Makes a model's inputs of windows and a question. Knows no weights, so it can go to other processes."""

    def tensors(
        self,
        windows: Sequence[NDArray[np.uint8]],
        *,
        question: str,
        frames_per_second: float,
        device: torch.device = CPU,
    ) -> dict[str, torch.Tensor]:
        """The tensors of windows of (F, H, W, 3) frames each; a video's pixels are made on `device`, all else on the CPU."""
        ...


@dataclass(frozen=True, kw_only=True)
class LoadedCheckpoint:
    """A model in eval mode, its processor, and where it runs. name: for messages; looks: of what it was trained on, None where
    it does not say."""

    name: str
    family: "Family"
    model: Any  # transformers.PreTrainedModel
    processor: Any  # transformers.ProcessorMixin or BaseVideoProcessor
    device: torch.device
    dtype: torch.dtype
    looks: Looks | None = None


class Family(ABC):
    """Checkpoints of one kind of architecture. Has no state."""

    model_class: ClassVar[Any]  # of transformers' Auto classes
    processor_class: ClassVar[Any]

    def check_config(self, config: Any, *, folder: Path) -> None:  # noqa: B027
        """Raise ModelError where no class of the family takes a checkpoint with this config."""

    def check_processor(self, processor: Any, *, folder: Path) -> None:  # noqa: B027
        """Raise ModelError where the processor lacks a part that the family needs."""

    def check_window(self, checkpoint: LoadedCheckpoint, *, num_frames: int) -> None:
        """Raise ModelError where the checkpoint takes no windows of so many frames."""
        expected = self.num_frames(checkpoint.model.config)
        if expected is not None and expected.is_fixed and num_frames != expected.count:
            raise ModelError(
                f"model {checkpoint.name}: found windows of {num_frames} frames, expected the {expected.count} that its "
                f"positions are made for. Leave sampling.frames_per_second and sampling.window_seconds to the model, or set "
                f"them so that their product is {expected.count}."
            )

    def max_tokens(self, config: Any) -> int | None:
        """The longest prompt that a checkpoint with this config was made for, None where it does not say."""
        return None

    def num_frames(self, config: Any) -> FrameCount | None:
        """The frames of a window that a checkpoint with this config was made for; None where any number will do."""
        return None

    @abstractmethod
    def frame_processor(self, processor: Any) -> Any:
        """The part of a processor that makes a model's inputs of frames: an image or a video processor of transformers."""

    @abstractmethod
    def num_tokens(self, checkpoint: LoadedCheckpoint, inputs: Mapping[str, torch.Tensor]) -> tuple[int, int]:
        """How many tokens the processor's tensors of one window are: those of frames, and all. The checkpoint may be an outline,
        whose weights are on torch's `meta` device."""

    def check_four_bit(self) -> None:
        """Raise ModelError where the family's checkpoints do not come in 4 bits, or cannot be loaded so here."""
        raise ModelError(
            "model.dtype: found nf4, expected auto, float32 or bfloat16 for this checkpoint: only language models come in 4 bits."
        )

    def four_bit_arguments(self, config: Any, device: torch.device) -> dict[str, Any]:
        """Arguments of `from_pretrained` that load a model in 4 bits."""
        return {}

    def resized(self, processor: Any, inputs: Mapping[str, torch.Tensor]) -> FrameSize | None:
        """The size to which a processor has brought the frames in its tensors; None where these do not say it."""
        return None

    def prepare(self, model: Any) -> None:  # noqa: B027
        """Settings of a model that has just been loaded, in place."""

    def prepare_processor(self, processor: Any) -> None:  # noqa: B027
        """Settings of a processor that has just been loaded, in place."""

    @abstractmethod
    def hidden_size(self, model: Any) -> int:
        """Width of the hidden states."""

    @abstractmethod
    def layers(self, model: Any) -> list[torch.nn.Module]:
        """The repeated layers, in the order in which they are computed."""

    @abstractmethod
    def tower(self, model: Any) -> torch.nn.Module:
        """The part that sees frames, as a module of the model: it may be the model itself."""

    def language_model(self, model: Any) -> torch.nn.Module | None:
        """The part that knows words, None where there is none."""
        return None

    @abstractmethod
    def window_processor(self, checkpoint: LoadedCheckpoint) -> WindowProcessor:
        """How windows become the model's inputs."""

    @abstractmethod
    def hidden_states(self, checkpoint: LoadedCheckpoint, inputs: Mapping[str, torch.Tensor]) -> HiddenStates:
        """The last layer's states of the processor's tensors."""

    def runner(self, checkpoint: LoadedCheckpoint) -> "WindowRunner":
        """A runner of windows through the model, for labelling: a `PromptRunner` where a prompt's beginning is the same whatever
        follows it. The weights may be laid out anew, so that they can be trained no more."""
        return WindowRunner(checkpoint)

    def optimize_tower(  # noqa: B027
        self, checkpoint: LoadedCheckpoint, *, learning: Sequence[torch.nn.Module] = ()
    ) -> None:
        """Lay out a tower for speed, in place: its outputs stay the same, and so do the weights in those of its modules that
        are `learning`, and the names of these. All else of it can be trained and saved no more."""


class WindowRunner:
    """Every window goes through the whole model."""

    def __init__(self, checkpoint: LoadedCheckpoint) -> None:
        self._checkpoint = checkpoint
        self._processor = checkpoint.family.window_processor(checkpoint)
        self._processing_device: torch.device | None = None

    @property
    def checkpoint(self) -> LoadedCheckpoint:
        return self._checkpoint

    def window_inputs(self, frames: Frames, rows: slice, *, question: str) -> dict[str, torch.Tensor]:
        """The processor's tensors for windows `rows` of a unit, on the model's device."""
        windows = [frames.pixels[used] for used in frames.window_frames[rows]]
        rate, device = frames.frames_per_second, self._checkpoint.device
        if self._processing_device is None:
            shape = windows[0].shape
            self._processing_device = processing_device(self._processor, shape, device=device, frames_per_second=rate)
        inputs = self._processor.tensors(
            windows, question=question, frames_per_second=rate, device=self._processing_device
        )
        return {name: tensor.to(device) for name, tensor in inputs.items()}

    def unit_forward(self, frames: Frames, *, question: str, micro_batch_windows: int) -> UnitForward:
        """A function from rows to hidden states, and distances of looks; what windows share is computed once, here."""

        def forward(rows: slice) -> HiddenStates:
            inputs = self.window_inputs(frames, rows, question=question)
            with watched(self._checkpoint) as outputs:
                states = self._checkpoint.family.hidden_states(self._checkpoint, inputs)
            moments = moments_of(outputs, count=len(states.hidden))
            return replace(states, distances=distances(self._checkpoint, moments))

        return forward


@contextmanager
def watched(checkpoint: LoadedCheckpoint) -> Iterator[list[torch.Tensor]]:
    """What the tower of a checkpoint that knows looks puts out within the block; nothing of another."""
    if checkpoint.looks is None:
        yield []
        return
    with outputs_of(block_to_watch(checkpoint.family.tower(checkpoint.model))) as outputs:
        yield outputs


def distances(checkpoint: LoadedCheckpoint, moments: Moments | None) -> NDArray[np.float32] | None:
    """(N,) distances of what was watched from what the checkpoint was trained on; None where nothing was."""
    if checkpoint.looks is None or moments is None:
        return None
    return checkpoint.looks.distances(moments.features().cpu().numpy())


def processing_device(
    processor: WindowProcessor, shape: tuple[int, ...], *, device: torch.device, frames_per_second: float
) -> torch.device:
    """Where windows of (F, H, W, 3) frames are scaled and normalized: on the model's device, which takes no time, where that
    makes the same of noise as a CPU, as in training. Frames that are resized come out otherwise on a GPU."""
    if device.type == "cpu":
        return CPU
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    there, here = (
        processor.tensors([noise], question="", frames_per_second=frames_per_second, device=place)
        for place in (device, CPU)
    )
    # A grey level is 1 / 128 of the scaled range; bfloat16 keeps three digits.
    is_same = all(
        torch.allclose(there[name].to(CPU).float(), here[name].float(), rtol=8e-3, atol=2e-3) for name in here
    )
    return device if is_same else CPU


def pixel_device(device: torch.device) -> dict[str, torch.device]:
    """The argument that makes a processor work on a device: a GPU scales and normalizes in no time, a CPU would wait for that
    longer than it computes."""
    return {} if device.type == "cpu" else {"device": device}
