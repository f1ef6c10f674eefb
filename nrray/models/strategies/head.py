"""The product: a vision-language model with a trained linear head, one score per activity and window."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nrray.errors import ModelError
from nrray.labels import LabelSet
from nrray.models.batches import micro_batched
from nrray.models.checkpoint import checkpoint_info, load_checkpoint
from nrray.models.config import ModelConfig
from nrray.models.families import family_of
from nrray.models.head import add_query, load_head
from nrray.models.labeler import ModelInfo, ModelKind
from nrray.models.metadata import Artefact, check_labels, described_folder, read_artefact
from nrray.models.pictures import pictured
from nrray.models.rules import states_from_scores
from nrray.types import Frames, WindowLabels


class HeadLabeler:
    """Scores are the sigmoid of a head's logits in float32, divided by the artefact's temperatures where it has some; states
    follow its thresholds and the rules."""

    def __init__(self, config: ModelConfig, label_set: LabelSet) -> None:
        folder = described_folder(config)
        self._artefact = _required_artefact(folder)
        check_labels(self._artefact, label_set, folder=folder)
        self._label_set = label_set
        self._micro_batch_windows = config.micro_batch_windows
        self._checkpoint = load_checkpoint(config)
        hidden_size = int(self._checkpoint.model.config.get_text_config().hidden_size)
        self._head = load_head(folder, artefact=self._artefact, hidden_size=hidden_size).to(self._checkpoint.device)
        add_query(self._checkpoint.model, self._head)
        temperatures = [self._artefact.temperatures.get(name, 1.0) for name in label_set.names]
        self._temperatures = torch.tensor(temperatures, device=self._checkpoint.device)
        self._thresholds = np.array([self._artefact.thresholds[name] for name in label_set.names], dtype=np.float32)
        self._info = checkpoint_info(
            self._checkpoint,
            name=self._artefact.name,
            activities=label_set.names,
            sampling=self._artefact.sampling,
            kind=ModelKind.HEAD,
        )
        self._family = family_of(self._checkpoint)  # last: it may lay weights out anew

    @property
    def info(self) -> ModelInfo:
        return self._info

    def label(self, frames: Frames) -> WindowLabels:
        """Scores and PRESENT or ABSENT of all windows. Raises ModelError, LabelMemoryError."""
        check_frames(self._artefact, frames)
        scores = self._scores(pictured(frames, self._artefact.pictures))
        states = states_from_scores(scores, thresholds=self._thresholds, label_set=self._label_set)
        return WindowLabels(scores=scores, states=states, answers=None)

    def _scores(self, frames: Frames) -> NDArray[np.float32]:
        if len(frames.window_frames) == 0:
            return np.zeros((0, len(self._label_set.names)), dtype=np.float32)
        with torch.inference_mode():
            forward = self._family.unit_forward(
                frames,
                question=self._artefact.prompt,
                frames_per_second=frames.frames_per_second,
                micro_batch_windows=self._micro_batch_windows,
            )
            batches = micro_batched(
                lambda rows: torch.sigmoid(self._head(forward(rows)) / self._temperatures).cpu(),
                num_rows=len(frames.window_frames),
                rows_per_batch=self._micro_batch_windows,
            )
        scores: NDArray[np.float32] = torch.cat(batches).numpy()
        return scores


def check_frames(artefact: Artefact, frames: Frames) -> None:
    """Raise ModelError where a unit was not sampled as the head was trained."""
    sampling = artefact.sampling
    expected = (sampling.frames_per_window, sampling.frame_height_px, sampling.frame_width_px)
    found = (frames.window_frames.shape[1], *frames.pixels.shape[1:3])
    if found != expected:
        raise ModelError(
            f"model {artefact.name}: found windows of {found[0]} frames of {found[2]}x{found[1]} px, expected "
            f"{expected[0]} of {expected[2]}x{expected[1]} px as in its training. Set the sampling section to the "
            f"model's."
        )


def _required_artefact(folder: Path) -> Artefact:
    artefact = read_artefact(folder)
    if artefact is None:
        raise ModelError(f"model {folder}: found no nrray.json, expected the description of a trained head.")
    return artefact
