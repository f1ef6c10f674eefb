"""The product: a vision-language model with a trained linear head, one score per activity and window."""

import numpy as np
import torch
from numpy.typing import NDArray

from nrray.errors import ModelError
from nrray.labels import LabelSet
from nrray.models.batches import micro_batched
from nrray.models.checkpoint import load_checkpoint, model_info
from nrray.models.config import Execution
from nrray.models.frame_stacking import stacked
from nrray.models.head import add_query, load_head
from nrray.models.labeler import ModelInfo, ModelKind
from nrray.models.metadata import CheckpointMetadata, check_labels
from nrray.models.resolved import ResolvedCheckpoint
from nrray.models.rules import states_from_scores
from nrray.types import Frames, WindowLabels


class HeadLabeler:
    """Scores are the sigmoid of a head's logits in float32, divided by its description's temperatures where it has some; states
    follow its thresholds and the rules."""

    def __init__(self, checkpoint: ResolvedCheckpoint, *, label_set: LabelSet, execution: Execution) -> None:
        folder = checkpoint.head_folder
        self._metadata = _required_metadata(checkpoint)
        check_labels(self._metadata, label_set, folder=folder)
        self._label_set = label_set
        self._micro_batch_windows = execution.micro_batch_windows
        self._checkpoint = load_checkpoint(checkpoint, execution=execution)
        hidden_size = self._checkpoint.family.hidden_size(self._checkpoint.model)
        self._head = load_head(folder, metadata=self._metadata, hidden_size=hidden_size).to(self._checkpoint.device)
        add_query(self._checkpoint.model, self._head)
        temperatures = [self._metadata.temperatures.get(name, 1.0) for name in label_set.names]
        self._temperatures = torch.tensor(temperatures, device=self._checkpoint.device)
        self._thresholds = np.array([self._metadata.thresholds[name] for name in label_set.names], dtype=np.float32)
        self._info = model_info(self._checkpoint, checkpoint, activities=label_set.names, kind=ModelKind.HEAD)
        self._runner = self._checkpoint.family.runner(self._checkpoint)  # last: it may lay weights out anew

    @property
    def info(self) -> ModelInfo:
        return self._info

    def label(self, frames: Frames) -> WindowLabels:
        """Scores and PRESENT or ABSENT of all windows. Raises ModelError, LabelMemoryError."""
        check_frames(self._metadata, frames)
        scores = self._scores(stacked(frames, self._metadata.frame_stacking))
        states = states_from_scores(scores, thresholds=self._thresholds, label_set=self._label_set)
        return WindowLabels(scores=scores, states=states, answers=None)

    def _scores(self, frames: Frames) -> NDArray[np.float32]:
        if len(frames.window_frames) == 0:
            return np.zeros((0, len(self._label_set.names)), dtype=np.float32)
        with torch.inference_mode():
            forward = self._runner.unit_forward(
                frames, question=self._metadata.prompt, micro_batch_windows=self._micro_batch_windows
            )
            batches = micro_batched(
                lambda rows: torch.sigmoid(self._head(forward(rows)) / self._temperatures).cpu(),
                num_rows=len(frames.window_frames),
                rows_per_batch=self._micro_batch_windows,
            )
        scores: NDArray[np.float32] = torch.cat(batches).numpy()
        return scores


def check_frames(metadata: CheckpointMetadata, frames: Frames) -> None:
    """Raise ModelError where a unit was not sampled as the head was trained."""
    sampling = metadata.sampling
    expected = (sampling.frames_per_window, sampling.frame_height_px, sampling.frame_width_px)
    found = (frames.window_frames.shape[1], *frames.pixels.shape[1:3])
    if found != expected:
        raise ModelError(
            f"model {metadata.name}: found windows of {found[0]} frames of {found[2]}x{found[1]} px, expected "
            f"{expected[0]} of {expected[2]}x{expected[1]} px as in its training. Set the sampling section to the "
            f"model's."
        )


def _required_metadata(checkpoint: ResolvedCheckpoint) -> CheckpointMetadata:
    if checkpoint.metadata is None:
        raise ModelError(f"model {checkpoint.folder}: found no nrray.json, expected the description of a trained head.")
    return checkpoint.metadata
