"""A model of which some parts learn, beside what is frozen, and a head behind it. What is saved is an adapter."""

from pathlib import Path
from typing import Any

from nrray.models.adapters import add_adapter, learning_modules
from nrray.models.config import ResolvedParts
from nrray.models.families.family import LoadedCheckpoint
from nrray.models.head import Head, add_query, save_head
from nrray.models.parts import ModelParts, Part, parts_of
from nrray.train.trainee.trainee import HEAD_PART, Trainee, TraineeSections
from nrray.train.training_config import ResolvedTraining

_MODEL = "adapted.base_model.model."
"""Where the model is in the trainee: peft keeps it so."""


class AdaptedModel(Trainee):
    """Matrices beside frozen layers, norms, or whole modules learn, as the config says of each part."""

    needs_base = True

    def __init__(
        self, checkpoint: LoadedCheckpoint, adapted: Any, head: Head, *, parts: ModelParts, learning: ResolvedParts
    ) -> None:
        super().__init__(checkpoint, head)
        self.adapted = adapted
        self._parts = parts
        self._learning = learning
        found = {self.part_of(name) for name in self.trained()}
        self._trained_parts = [part.value for part in _BY_RATE if part.value in found]
        self.main_part = self._trained_parts[0]

    @classmethod
    def prepared(cls, checkpoint: LoadedCheckpoint, head: Head, sections: TraineeSections) -> "AdaptedModel":
        """The checkpoint with a fresh adapter, which changes nothing yet. Raises ModelError where none fits."""
        parts = parts_of(checkpoint.model, checkpoint.family)  # before peft renames modules
        adapted = add_adapter(checkpoint, sections.parts, sections.adapter)
        checkpoint.family.optimize_tower(checkpoint, learning=learning_modules(adapted))
        if checkpoint.family.language_model(checkpoint.model) is not None:
            add_query(checkpoint.model, head)
        return cls(checkpoint, adapted, head, parts=parts, learning=sections.parts)

    def train(self, mode: bool = True) -> "AdaptedModel":
        """As every module, but a tower stays as it labels: its statistics are not of these few videos."""
        super().train(mode)
        self._checkpoint.family.tower(self._checkpoint.model).eval()
        return self

    def part_of(self, name: str) -> str:
        """Head, tower, projector or language model."""
        part = self._parts.part_of(name.removeprefix(_MODEL)) if name.startswith(_MODEL) else None
        return HEAD_PART if part is None else part.value

    def save(self, folder: Path) -> None:
        """Write adapter and head."""
        self.adapted.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)  # peft's form, not filled in
        save_head(self.head, folder)

    def title(self, base_path: str | None) -> str:
        return f"An adapter ({self._learning.text()}) and a classification head for the checkpoint `{base_path}`"

    def rates_text(self, config: ResolvedTraining) -> str:
        rates = {
            Part.LANGUAGE_MODEL.value: config.learning_rate,
            Part.TOWER.value: config.tower_learning_rate,
            Part.PROJECTOR.value: config.projector_learning_rate,
        }
        named = [f"{rates[part]:g} of the {part.replace('_', ' ')}" for part in self._trained_parts]
        return f"{', '.join(named)} and {config.head_learning_rate:g} of the head"


_BY_RATE = (Part.LANGUAGE_MODEL, Part.TOWER, Part.PROJECTOR)
"""The first of these that learns is the one whose rate is reported."""
