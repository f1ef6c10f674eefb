"""A fine-tuning as it is sent to the processes that train: examples, checkpoint and settings. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from nrray.archive.splits import TrainedSplit
from nrray.labels import LabelSet
from nrray.models.config import Execution, LoraSection, ResolvedParts
from nrray.models.resolved import ResolvedCheckpoint
from nrray.sampling import Sampling
from nrray.train.examples import Chunk
from nrray.train.trackers import TrackerKind
from nrray.train.training_config import HeadSection, ResolvedTraining, TimesformerSection
from nrray.train.training_plan import TrainingFacts

TRAINED_PARTS = ("train", "validation")  # the test part is for `nrray evaluate`, once
FREE_SETTINGS = frozenset({"micro_batch_windows", "loader_processes", "checkpoint_every_steps", "min_positive_windows"})
"""Of the training section: these change no result."""

FRAMES = "frames"
UNDECIDED = frozenset({"dropped", FRAMES})
"""Of the identity: what is known only once frames are on disk."""


@dataclass(frozen=True, kw_only=True)
class InputDigests:
    """The examples of a training by their digests. chunks: of the names of all of them; dropped: names of the chunks that could
    not be decoded; frames: of the pixels of each video, by its path. The last two are None before frames are on disk."""

    annotations: str
    chunks: str
    dropped: tuple[str, ...] | None = None
    frames: Mapping[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class FinetuneJob:
    """Everything that a process needs; can be sent to it. start: the checkpoint that is trained further, or the size of a
    TimeSformer that is trained from scratch."""

    name: str
    output: str
    store: str
    chunks: list[Chunk]
    label_set: LabelSet
    sampling: Sampling
    split: TrainedSplit
    decoder: str  # all that decides which frames are served
    start: ResolvedCheckpoint | TimesformerSection
    execution: Execution
    parts: ResolvedParts
    adapter: LoraSection
    head: HeadSection
    training: ResolvedTraining
    facts: TrainingFacts  # that `parts` and `training` were planned from
    inputs: InputDigests
    trackers: tuple[TrackerKind, ...] = ()

    def settings(self) -> dict[str, JsonValue]:
        """The sections that decide how a model is trained, by name."""
        size = self.start if isinstance(self.start, TimesformerSection) else None
        return {
            "timesformer": size.model_dump(mode="json") if size is not None else None,
            "parts": self.parts.document(),
            "adapter": self.adapter.model_dump(mode="json"),
            "head": self.head.model_dump(mode="json"),
            "training": self.training.model_dump(mode="json", exclude=set(FREE_SETTINGS)),
        }

    def identity(self) -> dict[str, JsonValue]:
        """Everything that decides the result: a training goes on from states of the same identity alone."""
        dropped, frames = self.inputs.dropped, self.inputs.frames
        return {
            "model": self.start.digest if isinstance(self.start, ResolvedCheckpoint) else "timesformer",
            "label_set": self.label_set.digest,
            "sampling": self.sampling.model_dump(mode="json"),
            "annotations": self.inputs.annotations,
            "split": {part: list(self.split.parts[part]) for part in TRAINED_PARTS},
            "videos": self.inputs.chunks,
            "decoder": self.decoder,
            **({} if dropped is None else {"dropped": list(dropped)}),
            **({} if frames is None else {FRAMES: dict(frames)}),
            **self.settings(),
        }
