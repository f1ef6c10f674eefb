"""The output folder of a training: names of its files, the trained model in it and how the training went. No torch."""

from pathlib import Path

from nrray.config import Section
from nrray.documents import section_from
from nrray.storage import Folder

ADAPTER_FOLDER, MODEL_FOLDER = "adapter", "model"
NOTHING_LEARNED_FOLDER = "nothing-learned"
"""Holds the adapter or model of a training in which no step was better than none: a record, to be measured and not to be used."""
METRICS_FILE, CARD_FILE = "metrics.json", "model_card.md"
VALIDATION_FILE = "validation.npz"
"""For those who compare: targets, cases and logits of the validation windows; steps and step_logits, the same of every
validation."""
STOP_FILE, STOPPED_FILE = (
    "stop",
    "stopped.json",
)  # the request to stop a training, and the note that it has stopped on request


class Estimate(Section):
    """A figure with its 95 % interval over cases; None where it is not defined."""

    estimate: float | None
    low: float | None
    high: float | None

    def __str__(self) -> str:
        """0.53 (0.44 to 0.61)."""
        if self.estimate is None:
            return "-"
        interval = f" ({self.low:.2f} to {self.high:.2f})" if self.low is not None and self.high is not None else ""
        return f"{self.estimate:.2f}{interval}"


class CrossFitted(Section):
    """F1 on the validation windows, where step, thresholds and temperatures for each case are chosen by other cases. None where
    there is a single case."""

    num_cases: int
    macro_f1: Estimate | None
    f1: dict[str, Estimate]


class TrainingMetrics(Section):
    """How a training went: steps that were made, of at most num_steps; best: of all validations, whose weights are kept (step 0
    is before training). chosen_macro_f1: of the best validation, at thresholds that are best on its windows, which is too
    high for others; validation: the honest figure; always_yes_macro_f1: of answering yes to every window. None in files of a
    release that had none."""

    num_train_windows: int
    num_validation_windows: int
    steps: int
    num_steps: int
    best_step: int
    chosen_macro_f1: float | None
    validation: CrossFitted | None
    always_yes_macro_f1: float | None = None

    @property
    def has_learned(self) -> bool:
        """Whether some step was better than none."""
        return self.best_step > 0


def read_metrics(trained_model: str | Path) -> TrainingMetrics:
    """How the training of an adapter or a whole model went. Raises DataError, FileNotFoundError, StorageError."""
    data = Folder(str(trained_model)).read_json(METRICS_FILE)
    if isinstance(data, dict) and "best_validation_macro_f1" in data:  # of the release before
        data = {**data, "chosen_macro_f1": data["best_validation_macro_f1"], "validation": None}
        del data["best_validation_macro_f1"]
    return section_from(TrainingMetrics, data, name=METRICS_FILE, folder=str(trained_model))


def trained_model_folder(output: str | Path) -> Path | None:
    """The adapter or the whole model that a finished training has left for use; None before the end, and where nothing was
    learned."""
    folders = [Path(output) / name for name in (ADAPTER_FOLDER, MODEL_FOLDER)]
    return next((folder for folder in folders if folder.is_dir()), None)


def finished_model_folder(output: str | Path) -> Path | None:
    """As `trained_model_folder`, or the record of a training that has learned nothing; None before the end."""
    return trained_model_folder(output) or trained_model_folder(Path(output) / NOTHING_LEARNED_FOLDER)


def is_adapter_folder(trained_model: str | Path) -> bool:
    """Whether a trained model is an adapter, which needs its checkpoint to label."""
    return Path(trained_model).name == ADAPTER_FOLDER
