"""A vision-language model with an adapter beside its linears and a head behind it."""

from pathlib import Path
from typing import Any

from nrray.models.adapters import add_adapter
from nrray.models.families.family import LoadedCheckpoint
from nrray.models.head import Head, add_query, save_head
from nrray.train.trainee.trainee import HEAD_PART, Trainee, TraineeSections
from nrray.train.training_config import ResolvedTraining


class LoraVlm(Trainee):
    """Small matrices learn beside frozen linears; tower and projector where the config says so."""

    main_part = "adapter"
    needs_base = True

    def __init__(self, checkpoint: LoadedCheckpoint, adapted: Any, head: Head) -> None:
        super().__init__(checkpoint, head)
        self.adapted = adapted

    @classmethod
    def prepared(cls, checkpoint: LoadedCheckpoint, head: Head, sections: TraineeSections) -> "LoraVlm":
        """The checkpoint with a fresh adapter, which changes nothing yet. Raises ModelError where none fits."""
        adapted = add_adapter(checkpoint.model, sections.adapter)
        if not sections.adapter.adapt_tower:
            checkpoint.family.optimize_tower(checkpoint)
        add_query(checkpoint.model, head)
        return cls(checkpoint, adapted, head)

    def train(self, mode: bool = True) -> "LoraVlm":
        """As every module, but a tower stays as it labels: its statistics are not of these few videos."""
        super().train(mode)
        self._checkpoint.model.get_encoder(modality="image").eval()
        return self

    def part_of(self, name: str) -> str:
        """Head, tower, projector or adapter."""
        if name.startswith("head."):
            return HEAD_PART
        if "modules_to_save" in name:
            return "projector"
        tower = {id(parameter) for parameter in self._checkpoint.model.get_encoder(modality="image").parameters()}
        return "tower" if id(self.get_parameter(name)) in tower else "adapter"

    def save(self, folder: Path) -> None:
        """Write adapter and head."""
        self.adapted.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)  # peft's form, not filled in
        save_head(self.head, folder)

    def title(self, base_path: str | None) -> str:
        return f"An adapter (LoRA) and a classification head for the checkpoint `{base_path}`"

    def rates_text(self, config: ResolvedTraining) -> str:
        return f"{config.learning_rate:g} of the adapter and {config.head_learning_rate:g} of the head"
