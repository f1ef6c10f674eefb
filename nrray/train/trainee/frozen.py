"""A frozen video encoder with a head that learns to read it (an attentive probe where the head's pooling is attention)."""

from collections.abc import Mapping
from pathlib import Path

import torch

from nrray.models.families.family import HiddenStates, LoadedCheckpoint
from nrray.models.head import Head, save_head
from nrray.train.trainee.trainee import HEAD_PART, Trainee, TraineeSections
from nrray.train.training_config import ResolvedTraining


class FrozenEncoder(Trainee):
    """The head alone learns. Its folder is an adapter without matrices: the head, for a base that it names by its digest."""

    main_part = HEAD_PART
    needs_base = True

    def __init__(self, checkpoint: LoadedCheckpoint, head: Head) -> None:
        super().__init__(checkpoint, head)
        self.encoder = checkpoint.model.requires_grad_(False)

    @classmethod
    def prepared(cls, checkpoint: LoadedCheckpoint, head: Head, sections: TraineeSections) -> "FrozenEncoder":
        return cls(checkpoint, head)

    def train(self, mode: bool = True) -> "FrozenEncoder":
        """As every module, but the encoder stays as it labels."""
        super().train(mode)
        self.encoder.eval()
        return self

    def hidden_states(self, inputs: Mapping[str, torch.Tensor]) -> HiddenStates:
        """The states that the head reads, of which no activation is kept."""
        with torch.no_grad():
            return super().hidden_states(inputs)

    def part_of(self, name: str) -> str:
        return HEAD_PART

    def save(self, folder: Path) -> None:
        """Write the head."""
        save_head(self.head, folder)

    def title(self, base_path: str | None) -> str:
        return f"A classification head for the frozen encoder `{base_path}`"

    def rates_text(self, config: ResolvedTraining) -> str:
        return f"{config.head_learning_rate:g} of the head"
