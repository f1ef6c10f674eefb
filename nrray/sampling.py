"""The time grid: which instants of a video are sampled and which windows they form. Pure arithmetic, no pixels."""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from nrray.config import Section
from nrray.errors import ConfigError
from nrray.types import US_PER_SECOND


class Sampling(Section):
    """Frames are sampled on one grid per video, windows start on it, so overlapping windows share frames."""

    frames_per_second: float = Field(4.0, gt=0, le=120, description="grid rate")
    window_seconds: float = Field(3.0, gt=0, le=600, description="length of one window")
    stride_seconds: float = Field(1.0, gt=0, le=600, description="from one window's start to the next")
    frame_width_px: int = Field(128, ge=16, le=4096, description="frames are resized to this in the decoder")
    frame_height_px: int = Field(128, ge=16, le=4096)

    @model_validator(mode="after")
    def _on_the_grid(self) -> "Sampling":
        for name in ("window_seconds", "stride_seconds"):
            steps = getattr(self, name) * self.frames_per_second
            if round(steps) < 1 or abs(steps - round(steps)) > 1e-6:
                raise ValueError(
                    f"{name} x frames_per_second must be a whole number of frames, found {steps:g}; "
                    f"windows start on the frame grid"
                )
        if self.stride_seconds > self.window_seconds:
            raise ValueError("stride_seconds is longer than window_seconds: time between windows would not be seen")
        return self

    @property
    def frames_per_window(self) -> int:
        return round(self.window_seconds * self.frames_per_second)

    @property
    def frames_per_stride(self) -> int:
        return round(self.stride_seconds * self.frames_per_second)

    @property
    def frame_bytes(self) -> int:
        return self.frame_width_px * self.frame_height_px * 3

    def text(self) -> str:
        """In words: "12 frames of 128x128 px, 4 a second, in windows of 3 s every 1 s"."""
        return (
            f"{self.frames_per_window} frames of {self.frame_width_px}x{self.frame_height_px} px, {self.frames_per_second:g} a "
            f"second, in windows of {self.window_seconds:g} s every {self.stride_seconds:g} s"
        )


class SamplingSection(Section):
    """A sampling of which a config leaves to the model what it does not set: `auto` is as the model was trained or, where it does
    not say that, what its config and processor are made for."""

    frames_per_second: Literal["auto"] | Annotated[float, Field(gt=0, le=120)] = Field(
        "auto", description="frames sampled of a second; auto: as the model has it"
    )
    window_seconds: Literal["auto"] | Annotated[float, Field(gt=0, le=600)] = Field(
        "auto", description="length of one window; auto: as the model has it, about 3"
    )
    stride_seconds: Literal["auto"] | Annotated[float, Field(gt=0, le=600)] = Field(
        "auto", description="from one window's start to the next; auto: as the model has it, about 1"
    )
    frame_width_px: Literal["auto"] | Annotated[int, Field(ge=16, le=4096)] = Field(
        "auto", description="frames are resized to this in the decoder; auto: as the model has it"
    )
    frame_height_px: Literal["auto"] | Annotated[int, Field(ge=16, le=4096)] = Field(
        "auto", description="likewise; auto keeps the videos' aspect where the model can"
    )

    @property
    def given(self) -> dict[str, float]:
        """The settings that are not left to the model."""
        return {name: value for name, value in self.model_dump().items() if value != "auto"}

    def over(self, own: Sampling) -> Sampling:
        """The model's own sampling with the settings that are given here. Raises ConfigError where they do not go together."""
        try:
            return Sampling.model_validate({**own.model_dump(), **self.given})
        except ValidationError as error:
            reasons = "; ".join(str(problem["msg"]).removeprefix("Value error, ") for problem in error.errors())
            found = ", ".join(f"{name}={value:g}" for name, value in self.given.items())
            raise ConfigError(
                f"sampling: found {found}; the model's own are {own.frames_per_second:g} frames a second in windows of "
                f"{own.window_seconds:g} s every {own.stride_seconds:g} s. {reasons}. Set these so that they go together."
            ) from None


def sampling_section(sampling: Sampling) -> SamplingSection:
    """The section that leaves nothing of a sampling to the model."""
    return SamplingSection.model_validate(sampling.model_dump())


def grid_offsets_us(sampling: Sampling, first: int, count: int) -> NDArray[np.int64]:
    """(count,) offsets from the video's start of grid samples first, first + 1, ..."""
    steps = np.arange(first, first + count, dtype=np.int64)
    rounded: NDArray[np.int64] = np.rint(steps * (US_PER_SECOND / sampling.frames_per_second)).astype(np.int64)
    return rounded


def window_count(sampling: Sampling, duration_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many windows cover a video: the last one may reach past its end and is clipped there.

    A video shorter than one window has one window. A tail shorter than one grid step opens none, or the last frame's
    own duration would cost most videos a window: up to one step at the end is not sampled.
    """
    step_us = US_PER_SECOND / sampling.frames_per_second
    window_us = round(sampling.frames_per_window * step_us)
    stride_us = sampling.frames_per_stride * step_us  # not stride_seconds, which may be a rounded third
    beyond = np.maximum(np.asarray(duration_us, dtype=np.int64) - window_us, 0)
    counted: NDArray[np.int64] = np.ceil(np.maximum(beyond - step_us + 1, 0) / stride_us).astype(np.int64) + 1
    return counted


def window_spans_us(
    sampling: Sampling, *, start_us: int, duration_us: int, first_window: int, num_windows: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(W,) start and end of windows, half-open, the end clipped to the video's."""
    first_samples = np.arange(first_window, first_window + num_windows, dtype=np.int64) * sampling.frames_per_stride
    period = US_PER_SECOND / sampling.frames_per_second
    starts = start_us + np.rint(first_samples * period).astype(np.int64)
    ends = start_us + np.rint((first_samples + sampling.frames_per_window) * period).astype(np.int64)
    return starts, np.minimum(ends, start_us + duration_us)


def unit_samples_us(sampling: Sampling, *, start_us: int, first_window: int, num_windows: int) -> NDArray[np.int64]:
    """(S,) presentation times sampled for a unit of `num_windows` consecutive windows."""
    first = first_window * sampling.frames_per_stride
    count = (num_windows - 1) * sampling.frames_per_stride + sampling.frames_per_window
    return start_us + grid_offsets_us(sampling, first, count)


def unit_window_samples(sampling: Sampling, num_windows: int) -> NDArray[np.int64]:
    """(W, F) index of each window's samples into `unit_samples_us`."""
    starts = np.arange(num_windows, dtype=np.int64)[:, None] * sampling.frames_per_stride
    return starts + np.arange(sampling.frames_per_window, dtype=np.int64)[None, :]
