"""The strategy of a trained head: one score per activity and window, present from a threshold on, as the rules allow."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, JsonValue

from nrray.config import Section
from nrray.errors import ModelError
from nrray.labels import LabelSet
from nrray.models.config import Execution
from nrray.models.labeler import ModelInfo, check_frames
from nrray.models.metadata import CheckpointMetadata, check_labels
from nrray.models.resolved import ResolvedCheckpoint, ResolvedModel, local_checkpoint
from nrray.models.rules import states_from_scores
from nrray.types import Frames, WindowLabels


class HeadStrategy(Section):
    """A trained head scores every activity at once; states follow its thresholds and the label set's rules."""

    kind: Literal["head"] = Field("head", description="the checkpoint's trained head")

    def check(self, checkpoint: ResolvedModel, label_set: LabelSet) -> None:
        """Raise ModelError where the checkpoint has no head, or one for another label set or another kind of model."""
        metadata = head_metadata(checkpoint)
        checkpoint = local_checkpoint(checkpoint)
        check_labels(metadata, label_set, folder=checkpoint.head_folder)
        if metadata.pooling not in checkpoint.family.poolings:
            expected = ", ".join(pooling.value for pooling in checkpoint.family.poolings)
            raise ModelError(
                f"model {checkpoint.head_folder}: found a head of pooling {metadata.pooling.value} on a "
                f"'{checkpoint.model_type}' checkpoint, expected one of {expected}. Restore nrray.json, or train again."
            )

    def reworded(self, checkpoint: ResolvedModel, label_set: LabelSet) -> None:
        """None: a head is not asked in words."""

    def questions(self, checkpoint: ResolvedModel, label_set: LabelSet) -> tuple[str, ...]:
        """Texts of the user's turn that the model is given."""
        return (head_metadata(checkpoint).prompt,) if checkpoint.knows_words else ()

    def identity(self, checkpoint: ResolvedModel, label_set: LabelSet) -> dict[str, JsonValue]:
        """Everything that decides a label beside the digests of checkpoint and label set."""
        prompt = head_metadata(checkpoint).prompt if checkpoint.knows_words else None
        return {"kind": self.kind, "prompt": prompt, "thresholds": "checkpoint", "applies_rules": True}

    def thresholds(self, checkpoint: ResolvedModel) -> dict[str, float]:
        """The score from which each activity is present, as the training chose it."""
        return head_metadata(checkpoint).thresholds

    def rethresholded(
        self,
        scores: NDArray[np.float32],
        states: NDArray[np.uint8],
        *,
        thresholds: Mapping[str, float],
        label_set: LabelSet,
    ) -> NDArray[np.uint8]:
        """(W, A) states of (W, A) scores under other thresholds, one for each activity, with the rules."""
        in_order = np.array([thresholds[name] for name in label_set.names], np.float32)
        return states_from_scores(scores, thresholds=in_order, label_set=label_set)

    def labeler(self, checkpoint: ResolvedModel, *, label_set: LabelSet, execution: Execution) -> "HeadLabeler":
        """The checkpoint, loaded. Raises ModelError."""
        self.check(checkpoint, label_set)
        return HeadLabeler(local_checkpoint(checkpoint), label_set=label_set, execution=execution)


class HeadLabeler:
    """Scores of the head; states are PRESENT or ABSENT."""

    def __init__(self, checkpoint: ResolvedCheckpoint, *, label_set: LabelSet, execution: Execution) -> None:
        from nrray.models.head_scores import HeadScores  # torch takes seconds to import

        self._metadata = head_metadata(checkpoint)
        self._label_set = label_set
        self._thresholds = np.array([self._metadata.thresholds[name] for name in label_set.names], dtype=np.float32)
        self._scores: HeadScores = HeadScores(checkpoint, self._metadata, execution=execution)

    @property
    def info(self) -> ModelInfo:
        return self._scores.info

    def label(self, frames: Frames) -> WindowLabels:
        """As `Labeler` says."""
        check_frames(frames, trained=self._metadata.sampling, name=self._metadata.name)
        found = self._scores.of(frames)
        states = states_from_scores(found.scores, thresholds=self._thresholds, label_set=self._label_set)
        return WindowLabels(
            scores=found.scores,
            states=states,
            answers=None,
            looks_distances=found.distances,
            unscored=np.asarray(~np.isfinite(found.scores).all(axis=1)),
        )


def head_metadata(checkpoint: ResolvedModel) -> CheckpointMetadata:
    """The description of the checkpoint's head. Raises ModelError where it has none."""
    if checkpoint.metadata is None:
        raise ModelError(
            f"strategy.kind: found head, but model {checkpoint.path} has no nrray.json that describes one. Train a head with "
            f"`nrray finetune`, or set strategy.kind=yes_no."
        )
    return checkpoint.metadata
