"""How heavy and how fast a model is on this machine, on synthetic frames. torch comes in with the first model."""

import time
from dataclasses import dataclass

import numpy as np

from nrray.errors import ErrorKind, ModelError, UnitError
from nrray.labels import LabelSet
from nrray.models.config import Execution
from nrray.models.labeler import Labeler
from nrray.models.resolved import ResolvedCheckpoint
from nrray.models.strategies import Strategy, resolve_strategy
from nrray.sampling import Sampling, SamplingSection, unit_samples_us, unit_window_samples
from nrray.types import Frames

MEASURED_WINDOWS = 8


@dataclass(frozen=True, kw_only=True)
class LabelerFigures:
    """A labeler's size and speed. `windows_per_second` is that of a warm run over a unit of 8 consecutive windows, so that
    frames are shared as in a real run; `flops_per_window` counts one window alone, `flops_per_shared_window` one of the 8;
    `window` is its frames in words, `tokens_per_window` all of the longest prompt."""

    name: str
    strategy: str
    path: str
    digest: str
    device: str
    dtype: str
    load_seconds: float
    parameter_count: int
    memory_bytes: int
    windows_per_second: float
    flops_per_window: int
    flops_per_shared_window: int
    window: str
    tokens_per_window: int
    frame_tokens_per_window: int


def measure_labeler(
    checkpoint: ResolvedCheckpoint, *, label_set: LabelSet, execution: Execution, strategy: Strategy | None = None
) -> LabelerFigures:
    """Loads the model, by default as it labels by default, and labels synthetic frames. Raises ModelError, also where its scores
    of them are no numbers, and LabelMemoryError."""
    from nrray.models.window_plan import planned_window  # torch takes seconds to import

    strategy = resolve_strategy(strategy, checkpoint, label_set)
    plan = planned_window(checkpoint, SamplingSection(), questions=strategy.questions(checkpoint, label_set))
    started = time.perf_counter()
    labeler = strategy.labeler(checkpoint, label_set=label_set, execution=execution)
    load_seconds = time.perf_counter() - started
    sampling = plan.sampling
    single = synthetic_frames(sampling, num_windows=1)
    unit = synthetic_frames(sampling, num_windows=MEASURED_WINDOWS)
    info = labeler.info
    check_scores(checkpoint, labeler, single)
    flops_per_window = _label_flops(labeler, single)
    flops_per_shared_window = _label_flops(labeler, unit) // MEASURED_WINDOWS  # and warms up for the timing
    return LabelerFigures(
        name=info.name,
        strategy=strategy.kind,
        path=info.path,
        digest=info.digest,
        device=info.device,
        dtype=info.dtype,
        load_seconds=load_seconds,
        parameter_count=info.parameter_count,
        memory_bytes=info.memory_bytes,
        windows_per_second=MEASURED_WINDOWS / _label_seconds(labeler, unit),
        flops_per_window=flops_per_window,
        flops_per_shared_window=flops_per_shared_window,
        window=sampling.text(),
        tokens_per_window=plan.tokens,
        frame_tokens_per_window=plan.frame_tokens,
    )


def check_scores(checkpoint: ResolvedCheckpoint, labeler: Labeler, frames: Frames) -> None:
    """Raise ModelError where what a model makes of frames is NaN or infinite; a file of weights that is the cause is named."""
    from nrray.models.verify import check_finite_weights  # with torch

    try:
        unscored = labeler.label(frames).unscored
    except UnitError as error:
        if error.kind is not ErrorKind.NO_NUMBER:
            raise
    else:
        if unscored is None or not unscored.any():
            return
    for folder in (checkpoint.folder, checkpoint.head_folder):
        for file in sorted(folder.glob("*.safetensors")):
            check_finite_weights(file)
    raise ModelError(
        f"model {checkpoint.path}: what it makes of frames is NaN or infinite in {labeler.info.dtype}, though its weights are "
        f"numbers: no window would have a label. Set model.dtype=float32, or take another checkpoint."
    )


def synthetic_frames(sampling: Sampling, *, num_windows: int, seed: int = 0) -> Frames:
    """A unit of noise, sampled as asked."""
    pts_us = unit_samples_us(sampling, start_us=0, first_window=0, num_windows=num_windows)
    window_frames = unit_window_samples(sampling, num_windows).astype(np.int32)
    shape = (len(pts_us), sampling.frame_height_px, sampling.frame_width_px, 3)
    start_us = pts_us[window_frames[:, 0]]
    return Frames(
        pixels=np.random.default_rng(seed).integers(0, 256, size=shape, dtype=np.uint8),
        pts_us=pts_us,
        window_frames=window_frames,
        window_start_us=start_us,
        window_end_us=start_us + round(sampling.window_seconds * 1_000_000),
        frames_per_second=sampling.frames_per_second,
    )


def _label_flops(labeler: Labeler, frames: Frames) -> int:
    from torch.utils.flop_counter import FlopCounterMode  # torch takes seconds to import

    with FlopCounterMode(display=False) as counter:
        labeler.label(frames)
    return int(counter.get_total_flops())


def _label_seconds(labeler: Labeler, frames: Frames) -> float:
    started = time.perf_counter()
    labeler.label(frames)
    return time.perf_counter() - started
