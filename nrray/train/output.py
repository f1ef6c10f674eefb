"""The output folder of a training: names of its files, the trained model in it and how the training went. No torch."""

from pathlib import Path

from nrray.config import Section
from nrray.documents import section_from
from nrray.storage import Folder

ADAPTER_FOLDER, MODEL_FOLDER = "adapter", "model"
METRICS_FILE, CARD_FILE = "metrics.json", "model_card.md"
VALIDATION_FILE = "validation.npz"  # logits, targets and cases of the validation windows, for those who compare
STOP_FILE, STOPPED_FILE = (
    "stop",
    "stopped.json",
)  # the request to stop a training, and the note that it has stopped on request


class TrainingMetrics(Section):
    """How a training went: steps that were made, of num_steps; best: of all validations, whose weights are kept (step 0 is
    before training)."""

    num_train_windows: int
    num_validation_windows: int
    steps: int
    num_steps: int
    best_step: int
    best_validation_macro_f1: float | None


def read_metrics(trained_model: str | Path) -> TrainingMetrics:
    """How the training of an adapter or a whole model went. Raises DataError, FileNotFoundError, StorageError."""
    data = Folder(str(trained_model)).read_json(METRICS_FILE)
    return section_from(TrainingMetrics, data, name=METRICS_FILE, folder=str(trained_model))


def trained_model_folder(output: str | Path) -> Path | None:
    """The adapter or the whole model of a finished training; None before the end."""
    folders = [Path(output) / name for name in (ADAPTER_FOLDER, MODEL_FOLDER)]
    return next((folder for folder in folders if folder.is_dir()), None)


def is_adapter_folder(trained_model: str | Path) -> bool:
    """Whether a trained model is an adapter, which needs its checkpoint to label."""
    return Path(trained_model).name == ADAPTER_FOLDER
