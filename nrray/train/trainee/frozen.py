"""A frozen model with a head that learns to read it (an attentive probe where the head's pooling is attention)."""

from collections.abc import Mapping
from pathlib import Path

import torch

from nrray.models.families import family_entry
from nrray.models.families.family import HiddenStates, LoadedCheckpoint
from nrray.models.head import Head, add_query, save_head
from nrray.models.metadata import Pooling
from nrray.train.trainee.trainee import HEAD_PART, Trainee, TraineeSections
from nrray.train.training_config import ResolvedTraining


class FrozenModel(Trainee):
    """The head alone learns. Its folder is an adapter without matrices: the head, for a base that it names by its digest."""

    main_part = HEAD_PART
    needs_base = True

    def __init__(self, checkpoint: LoadedCheckpoint, head: Head) -> None:
        super().__init__(checkpoint, head)
        entry = family_entry(checkpoint.model.config.model_type)
        self._title = f"frozen {'model' if entry.knows_words else 'encoder'}"
        self.model = checkpoint.model.requires_grad_(False)

    @classmethod
    def prepared(cls, checkpoint: LoadedCheckpoint, head: Head, sections: TraineeSections) -> "FrozenModel":
        """The checkpoint as it labels."""
        checkpoint.family.optimize_tower(checkpoint)
        if checkpoint.family.language_model(checkpoint.model) is not None:
            add_query(checkpoint.model, head)
        return cls(checkpoint, head)

    def train(self, mode: bool = True) -> "FrozenModel":
        """As every module, but the model stays as it labels."""
        super().train(mode)
        self.model.eval()
        return self

    def hidden_states(self, inputs: Mapping[str, torch.Tensor]) -> HiddenStates:
        """The states that the head reads, of which no activation is kept, unless the head's query is one of the inputs."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.head.pooling is Pooling.QUERY):
            return super().hidden_states(inputs)

    def part_of(self, name: str) -> str:
        return HEAD_PART

    def save(self, folder: Path) -> None:
        """Write the head."""
        save_head(self.head, folder)

    def title(self, base_path: str | None) -> str:
        return f"A classification head for the {self._title} `{base_path}`"

    def rates_text(self, config: ResolvedTraining) -> str:
        return f"{config.head_learning_rate:g} of the head"
