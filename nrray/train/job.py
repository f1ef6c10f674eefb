"""What a fine-tuning is given and what it leaves, for those who start it and those who read it. No torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nrray.labels import LabelSet
from nrray.models.config import Execution, LoraSection
from nrray.models.resolved import ResolvedCheckpoint
from nrray.sampling import Sampling
from nrray.train.examples import Chunk
from nrray.train.trackers import TrackerKind
from nrray.train.training_config import HeadSection, TimesformerSection, TrainingConfig

ADAPTER_FOLDER, MODEL_FOLDER = "adapter", "model"
METRICS_FILE, CARD_FILE = "metrics.json", "model_card.md"
VALIDATION_FILE = (
    "validation.npz"  # logits, targets and cases of the windows that were chosen on, for those who compare
)


@dataclass(frozen=True, kw_only=True)
class FinetuneJob:
    """Everything that a process needs; can be sent to it. start: the checkpoint that is trained further, or the size of a
    TimeSformer that is trained from scratch; identity: settings that decide the result, for resuming."""

    name: str
    output: str
    store: str
    chunks: list[Chunk]
    label_set: LabelSet
    sampling: Sampling
    split: dict[str, Any]
    start: ResolvedCheckpoint | TimesformerSection
    execution: Execution
    adapter: LoraSection
    head: HeadSection
    training: TrainingConfig
    identity: dict[str, Any]
    trackers: tuple[TrackerKind, ...] = ()


def artefact_folder(output: str) -> Path | None:
    """What a finished training left in its output; None before."""
    folders = [Path(output) / name for name in (ADAPTER_FOLDER, MODEL_FOLDER)]
    return next((folder for folder in folders if folder.is_dir()), None)


def is_adapter_folder(artefact: str | Path) -> bool:
    """Whether what a training left needs its checkpoint beside it."""
    return Path(artefact).name == ADAPTER_FOLDER
