"""The labeler, whatever its model: the seam between models and everything that runs them. Knows no torch."""

from dataclasses import dataclass
from typing import Protocol

from nrray.errors import ModelError
from nrray.sampling import Sampling
from nrray.types import Frames, WindowLabels


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """A loaded model. `digest` is of everything that decides a score; `sampling` is that of its training, where it says it."""

    name: str
    path: str
    digest: str
    parameter_count: int
    sampling: Sampling | None
    device: str
    dtype: str
    memory_bytes: int  # weights and buffers on the device


class Labeler(Protocol):
    """A loaded model. Not thread-safe; one per process."""

    @property
    def info(self) -> ModelInfo: ...

    def label(self, frames: Frames) -> WindowLabels:
        """Scores and states of all W windows, activities in the label set's order.

        Raises LabelMemoryError where not even one window fits the device, ModelError where the frames are not
        sampled as the model was trained.
        """
        ...


def check_frames(frames: Frames, *, trained: Sampling, name: str) -> None:
    """Raise ModelError where a unit was not sampled as the model `name` was trained."""
    expected = (trained.frames_per_window, trained.frame_height_px, trained.frame_width_px)
    found = (frames.window_frames.shape[1], *frames.pixels.shape[1:3])
    if found != expected:
        raise ModelError(
            f"model {name}: found windows of {found[0]} frames of {found[2]}x{found[1]} px, expected "
            f"{expected[0]} of {expected[2]}x{expected[1]} px as in its training. Set the sampling section to the "
            f"model's."
        )


def check_sampling(sampling: Sampling, *, trained: Sampling, name: str) -> None:
    """Raise ModelError where a run would sample otherwise than the model `name` was trained; a stride is free."""
    fixed = ("frames_per_second", "window_seconds", "frame_width_px", "frame_height_px")
    wrong = [field for field in fixed if getattr(trained, field) != getattr(sampling, field)]
    if wrong:
        found = ", ".join(f"{field}={getattr(sampling, field):g}" for field in wrong)
        expected = ", ".join(f"{field}={getattr(trained, field):g}" for field in wrong)
        raise ModelError(
            f"model {name} was trained with {expected}; the config samples {found}. "
            f"Leave the sampling section out to take the model's, or take a model that was trained with this one."
        )
