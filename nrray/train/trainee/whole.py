"""A video encoder that is trained whole, with a head behind it."""

from pathlib import Path

from nrray.errors import ModelError
from nrray.models.families import family_entry
from nrray.models.families.family import LoadedCheckpoint
from nrray.models.families.video_encoder import VideoEncoder
from nrray.models.head import Head, save_head
from nrray.train.trainee.trainee import HEAD_PART, Trainee, TraineeSections
from nrray.train.training_config import ResolvedTraining


class WholeEncoder(Trainee):
    """All weights learn. `unfreezing` is the share of the training over which layers begin to, the last ones first
    (Howard and Ruder 2018); 0: all at once."""

    main_part = "whole"
    needs_base = False

    def __init__(self, checkpoint: LoadedCheckpoint, head: Head, *, unfreezing: float) -> None:
        """Raises ModelError where the checkpoint is no video encoder."""
        super().__init__(checkpoint, head)
        self.model, family = checkpoint.model.requires_grad_(False), checkpoint.family
        if not isinstance(family, VideoEncoder):
            raise ModelError(f"model {checkpoint.name}: found no video encoder, expected one to train whole.")
        family.tower(self.model).requires_grad_(True)  # a part that only pretraining runs would get no gradient
        self._title = family_entry(self.model.config.model_type).title
        layers = [family.stem(self.model), *family.layers(self.model)]
        self._starts = {
            id(parameter): unfreezing * (len(layers) - 1 - number) / (len(layers) - 1)
            for number, layer in enumerate(layers)
            for parameter in layer.parameters()
        }

    @classmethod
    def prepared(cls, checkpoint: LoadedCheckpoint, head: Head, sections: TraineeSections) -> "WholeEncoder":
        return cls(checkpoint, head, unfreezing=sections.training.unfreezing_fraction)

    def part_of(self, name: str) -> str:
        """Head, or the rest."""
        return HEAD_PART if name.startswith("head.") else "whole"

    def start_of(self, name: str) -> float:
        """Share of the training after which a tensor begins to learn."""
        return self._starts.get(id(self.get_parameter(name)), 0.0)  # head and norm stand behind the last layer

    def save(self, folder: Path) -> None:
        """Write model, processor and head."""
        self.model.save_pretrained(folder)
        self._checkpoint.processor.save_pretrained(folder)
        save_head(self.head, folder)

    def title(self, base_path: str | None) -> str:
        return f"A {self._title} with a classification head"

    def rates_text(self, config: ResolvedTraining) -> str:
        return f"{config.full_learning_rate:g} of the model and {config.head_learning_rate:g} of the head"
