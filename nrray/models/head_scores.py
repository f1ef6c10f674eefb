"""A loaded checkpoint with its head: windows in, scores out."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from nrray.models.batches import micro_batched
from nrray.models.checkpoint import load_checkpoint, model_info
from nrray.models.config import Execution
from nrray.models.families.family import HiddenStates
from nrray.models.frame_stacking import stacked
from nrray.models.head import add_query, load_head
from nrray.models.labeler import ModelInfo
from nrray.models.metadata import CheckpointMetadata
from nrray.models.resolved import ResolvedCheckpoint
from nrray.types import Frames


@dataclass(frozen=True, kw_only=True)
class ScoredWindows:
    """Of W windows: scores (W, A), NaN where a logit is NaN or infinite, and distances of looks (W,), None where the checkpoint
    knows none."""

    scores: NDArray[np.float32]
    distances: NDArray[np.float32] | None


class HeadScores:
    """Scores are the sigmoid of a head's logits in float32, divided by its description's temperatures where it has some."""

    def __init__(self, checkpoint: ResolvedCheckpoint, metadata: CheckpointMetadata, *, execution: Execution) -> None:
        """Raises ModelError."""
        self._metadata = metadata
        self._micro_batch_windows = execution.micro_batch_windows
        loaded = load_checkpoint(checkpoint, execution=execution)
        hidden_size = loaded.family.hidden_size(loaded.model)
        self._head = load_head(checkpoint.head_folder, metadata=metadata, hidden_size=hidden_size).to(loaded.device)
        add_query(loaded.model, self._head)
        temperatures = [metadata.temperatures.get(name, 1.0) for name in metadata.labels.activities]
        self._temperatures = torch.tensor(temperatures, device=loaded.device)
        self._info = model_info(loaded, checkpoint)
        self._runner = loaded.family.runner(loaded)  # last: it may lay weights out anew

    @property
    def info(self) -> ModelInfo:
        return self._info

    def of(self, frames: Frames) -> ScoredWindows:
        """All windows of a unit. Raises LabelMemoryError."""
        num_windows, num_activities = len(frames.window_frames), len(self._metadata.labels.activities)
        if num_windows == 0:
            return ScoredWindows(scores=np.zeros((0, num_activities), dtype=np.float32), distances=None)
        shown = stacked(frames, self._metadata.frame_stacking)
        with torch.inference_mode():
            forward = self._runner.unit_forward(
                shown, question=self._metadata.prompt, micro_batch_windows=self._micro_batch_windows
            )
            batches = micro_batched(
                lambda rows: self._scored(forward(rows)), num_rows=num_windows, rows_per_batch=self._micro_batch_windows
            )
        distances = [found for _, found in batches if found is not None]
        return ScoredWindows(
            scores=torch.cat([scores for scores, _ in batches]).numpy(),
            distances=np.concatenate(distances) if distances else None,
        )

    def _scored(self, states: HiddenStates) -> tuple[torch.Tensor, NDArray[np.float32] | None]:
        logits = self._head(states) / self._temperatures
        # An infinite one is an overflow, and its sigmoid would pass for certainty.
        scores = torch.where(torch.isfinite(logits), torch.sigmoid(logits), torch.nan)
        return scores.cpu(), states.distances
