"""The way in: a resolved checkpoint and a label set become a labeler."""

from typing import Any

from nrray.labels import LabelSet
from nrray.models.config import Execution
from nrray.models.labeler import Labeler
from nrray.models.resolved import ResolvedCheckpoint

# torch and transformers take seconds to import: they come in with the first model, not with this package.


def load_labeler(checkpoint: ResolvedCheckpoint, *, label_set: LabelSet, execution: Execution) -> Labeler:
    """A labeler: the checkpoint's head where it has one, else yes/no questions.

    Raises ModelError for a folder that is no such checkpoint or does not fit the label set.
    """
    if checkpoint.metadata is None:
        from nrray.models.strategies.yes_no import PromptLabeler

        return PromptLabeler(checkpoint, label_set=label_set, execution=execution)
    from nrray.models.strategies.head import HeadLabeler

    return HeadLabeler(checkpoint, label_set=label_set, execution=execution)


def is_device_lost(error: BaseException) -> bool:
    """Whether an accelerator is broken for the rest of this process, as after a device-side assert; running out of
    memory is no such case."""
    import torch

    return isinstance(error, torch.AcceleratorError) and not isinstance(error, torch.OutOfMemoryError)


def measure_labeler(checkpoint: ResolvedCheckpoint, *, label_set: LabelSet, execution: Execution) -> dict[str, Any]:
    """The figures of `nrray doctor --model`: load seconds, size, windows per second, FLOPs of one window."""
    from nrray.models.measure import measured_labeler

    return measured_labeler(checkpoint, label_set=label_set, execution=execution)
