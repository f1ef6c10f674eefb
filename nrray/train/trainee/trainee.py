"""The module that the loop trains: a model with a head, which knows the parts of it that learn, how fast and from when."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from nrray.errors import ModelError
from nrray.models.config import LoraSection, ResolvedParts
from nrray.models.families.family import HiddenStates, LoadedCheckpoint
from nrray.models.head import Head
from nrray.train.training_config import ResolvedTraining, TrainingConfig

HEAD_PART = "head"


@dataclass(frozen=True, kw_only=True)
class TraineeSections:
    """The config sections that say how a checkpoint becomes a trainee."""

    parts: ResolvedParts
    adapter: LoraSection
    training: TrainingConfig


class Trainee(torch.nn.Module):  # type: ignore[misc]
    """From the processor's tensors to (B, A) float32 logits."""

    main_part: str  # the part whose learning rate is reported for all
    needs_base: ClassVar[bool]  # whether the saved folder is an adapter, of no use without its checkpoint

    def __init__(self, checkpoint: LoadedCheckpoint, head: Head) -> None:
        super().__init__()
        self.head = head
        self._checkpoint = checkpoint

    def forward(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        states = self.hidden_states(inputs)
        with torch.autocast(states.hidden.device.type, enabled=False):  # the head is float32, whatever runs before it
            logits: torch.Tensor = self.head(states)
        return logits

    def hidden_states(self, inputs: Mapping[str, torch.Tensor]) -> HiddenStates:
        """The states that the head reads."""
        return self._checkpoint.family.hidden_states(self._checkpoint, inputs)

    def tower(self) -> torch.nn.Module:
        """The part that sees frames."""
        return self._checkpoint.family.tower(self._checkpoint.model)

    def trained(self) -> dict[str, torch.nn.Parameter]:
        """Trained tensors by name."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}

    @abstractmethod
    def part_of(self, name: str) -> str:
        """Of a trained tensor: head, language_model, tower, projector or whole, each with a learning rate of its own."""

    def start_of(self, name: str) -> float:
        """Share of the training after which a tensor begins to learn: all do at once."""
        return 0.0

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the trained tensors as they are loaded for labelling."""

    @abstractmethod
    def title(self, base_path: str | None) -> str:
        """The trained model in words, for its card; base_path: of the checkpoint that an adapter needs."""

    @abstractmethod
    def rates_text(self, config: ResolvedTraining) -> str:
        """The learning rates in words, for its card."""


def check_gradients(trainee: Trainee) -> None:
    """Raise ModelError where something that is to be trained had no part in the loss."""
    without = [name for name, parameter in trainee.trained().items() if parameter.grad is None]
    if without:
        raise ModelError(
            f"{len(without)} tensors that are to be trained got no gradient, such as {without[0]}: they have no part in the "
            f"scores. Let other parts learn (the section parts), or by other means (adapter.targets)."
        )
