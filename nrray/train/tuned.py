"""What is fine-tuned: a checkpoint with an adapter beside its linears and a head behind it, as one module."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from nrray.config import Section
from nrray.errors import ModelError
from nrray.labels import LabelSet
from nrray.models.adapters import LoraSection, add_adapter
from nrray.models.artefact import Artefact, Pooling, read_artefact, trained_labels
from nrray.models.checkpoint import Checkpoint, load_checkpoint
from nrray.models.config import ModelConfig
from nrray.models.families import hidden_states
from nrray.models.head import Head, add_query, load_head, save_head
from nrray.models.pictures import Pictures, pictured
from nrray.models.window_processor import WindowProcessor, window_processor
from nrray.sampling import Sampling
from nrray.types import Frames

QUESTION = "Which activities are going on?"


class HeadSection(Section):
    """The classification head: what it reads and how."""

    pooling: Pooling = Field(default=Pooling.MEAN_FRAMES, description="which hidden states are read")
    hidden_units: int | None = Field(default=None, ge=1, description="of a hidden layer; None: one linear layer")


@dataclass(frozen=True, kw_only=True)
class VlmInputs:
    """(B, F, H, W, 3) uint8 windows to the model's tensors, as they are made when it labels. Knows no weights."""

    processor: WindowProcessor
    question: str
    pictures: Pictures
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
        shown = pictured(frames, self.pictures)
        return self.processor.tensors(
            [shown.pixels[rows] for rows in shown.window_frames],
            question=self.question,
            frames_per_second=shown.frames_per_second,
        )


class TunedVlm(torch.nn.Module):  # type: ignore[misc]
    """From the processor's tensors to (B, A) float32 logits; what is not trained is frozen."""

    def __init__(self, checkpoint: Checkpoint, adapted: Any, head: Head) -> None:
        super().__init__()
        self.adapted = adapted
        self.head = head
        self._checkpoint = checkpoint

    def forward(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        logits: torch.Tensor = self.head(hidden_states(self._checkpoint, inputs))
        return logits

    def train(self, mode: bool = True) -> "TunedVlm":
        """As every module, but a tower stays as it labels: its statistics are not of these few videos."""
        super().train(mode)
        self._checkpoint.model.get_encoder(modality="image").eval()
        return self

    def trained(self) -> dict[str, torch.nn.Parameter]:
        """What is trained, by name."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}

    def part_of(self, name: str) -> str:
        """Of a trained tensor: head, tower, projector or adapter, each with a learning rate of its own."""
        if name.startswith("head."):
            return "head"
        if "modules_to_save" in name:
            return "projector"
        tower = {id(parameter) for parameter in self._checkpoint.model.get_encoder(modality="image").parameters()}
        return "tower" if id(self.get_parameter(name)) in tower else "adapter"

    def save(self, folder: Path) -> None:
        """Write adapter and head as they are loaded for labelling."""
        self.adapted.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)  # peft's form, not filled in
        save_head(self.head, folder)


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """A model that is ready to be trained: its inputs, what it is, and the artefact that it becomes but for thresholds."""

    module: TunedVlm
    inputs: VlmInputs
    sampling: Sampling
    base: Artefact | None
    base_digest: str
    question: str
    device: torch.device
    dtype: torch.dtype


def tuned_vlm(
    model: ModelConfig,
    *,
    adapter: LoraSection,
    head: HeadSection,
    label_set: LabelSet,
    sampling: Sampling,
    log_odds: torch.Tensor,
    seed: int,
    gradient_checkpointing: bool,
) -> Tuning:
    """The checkpoint in `model.path` with a fresh adapter. The head is the checkpoint's own where it has one for these
    activities that reads the same, else a fresh one whose bias is the (A,) log_odds. Raises ModelError."""
    torch.manual_seed(seed)
    checkpoint = load_checkpoint(model)
    base = read_artefact(checkpoint.folder)
    adapted = add_adapter(checkpoint.model, adapter)
    hidden_size = int(checkpoint.model.config.get_text_config().hidden_size)
    if base is not None and _reads_the_same(base, head, label_set):
        placed = load_head(checkpoint.folder, artefact=base, hidden_size=hidden_size).requires_grad_(True)
    else:
        placed = Head(
            hidden_size=hidden_size,
            num_activities=len(label_set.names),
            pooling=head.pooling,
            hidden_units=head.hidden_units,
        )
        placed.start_at(log_odds)
    add_query(checkpoint.model, placed)
    if gradient_checkpointing:
        checkpoint.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    question = base.prompt if base is not None else QUESTION
    return Tuning(
        module=TunedVlm(checkpoint, adapted, placed.to(checkpoint.device)),
        inputs=VlmInputs(
            processor=window_processor(checkpoint),
            question=question,
            pictures=base.pictures if base is not None else Pictures.FRAMES,
            frames_per_second=sampling.frames_per_second,
        ),
        sampling=sampling,
        base=base,
        base_digest=checkpoint.digest,
        question=question,
        device=checkpoint.device,
        dtype=checkpoint.dtype,
    )


def check_gradients(module: TunedVlm) -> None:
    """Raise ModelError where something that is to be trained had no part in the loss."""
    without = [name for name, parameter in module.trained().items() if parameter.grad is None]
    if without:
        raise ModelError(
            f"{len(without)} tensors that are to be trained got no gradient, such as {without[0]}: they have no part in the "
            f"scores. Adapt other layers (adapter.targets, adapter.adapt_tower, adapter.train_projector)."
        )


def _reads_the_same(base: Artefact, head: HeadSection, label_set: LabelSet) -> bool:
    is_same = base.pooling is head.pooling and base.hidden_units == head.hidden_units
    return is_same and base.labels == trained_labels(label_set)
