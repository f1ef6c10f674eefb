"""The way in: a config and a label set become a labeler. Decides which class fits the folder."""

from typing import Any

from nrray.labels import LabelSet
from nrray.models.config import ModelConfig
from nrray.models.labeler import Labeler
from nrray.models.metadata import described_folder, read_artefact

# torch and transformers take seconds to import: they come in with the first model, not with this package.


def load_labeler(config: ModelConfig, label_set: LabelSet) -> Labeler:
    """A labeler for the checkpoint in `config.path`: its head where it has one, else yes/no questions.

    Raises ModelError for a folder that is no such checkpoint or does not fit the label set.
    """
    if read_artefact(described_folder(config)) is None:
        from nrray.models.strategies.yes_no import PromptLabeler

        return PromptLabeler(config, label_set)
    from nrray.models.strategies.head import HeadLabeler

    return HeadLabeler(config, label_set)


def is_device_lost(error: BaseException) -> bool:
    """Whether an accelerator is broken for the rest of this process, as after a device-side assert; running out of
    memory is no such case."""
    import torch

    return isinstance(error, torch.AcceleratorError) and not isinstance(error, torch.OutOfMemoryError)


def measure_labeler(config: ModelConfig, label_set: LabelSet) -> dict[str, Any]:
    """What `nrray doctor --model` shows: load seconds, size, windows per second, FLOPs of one window."""
    from nrray.models.measure import measured_labeler

    return measured_labeler(config, label_set)
