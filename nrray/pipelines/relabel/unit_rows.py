"""What the row of a unit becomes, stage by stage: undecoded, decoded, unlabelled, labelled."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrray.decode import SampledFrames
from nrray.errors import DecodeError, ErrorKind, UnitError
from nrray.models import ModelInfo
from nrray.sampling import Sampling, unit_window_samples, window_spans_us
from nrray.types import (
    NO_STATE,
    Answers,
    CaptionedUnit,
    DecodedUnit,
    UnitRequest,
    UnitResult,
    UnitStatus,
    WindowLabels,
)
from nrray.wording import counted


def device_of(info: ModelInfo) -> str:
    """Where and in which number format a model runs, such as `cpu/float32`."""
    return f"{info.device}/{info.dtype}"


def unlabelled_unit(row: DecodedUnit | CaptionedUnit, *, num_activities: int, run_id: str, device: str) -> UnitResult:
    """The unit without a label."""
    num_windows = row.num_windows
    return UnitResult(
        unit_id=row.unit_id,
        video_id=row.video_id,
        first_window=row.first_window,
        num_windows=row.num_windows,
        status=UnitStatus.OK,
        error_kind=None,
        error=None,
        shortfall=row.shortfall,
        attempts=row.attempts,
        window_start_us=row.window_start_us,
        window_end_us=row.window_end_us,
        window_labelled=np.zeros(num_windows, bool),
        window_damage=row.window_damage,
        scores=np.full(num_windows * num_activities, np.nan, np.float32),
        states=np.zeros(num_windows * num_activities, np.uint8),
        questions=None,
        answers=None,
        answer_states=None,
        answer_tokens=None,
        answer_seconds=None,
        looks_distances=None,
        num_frames=0,
        decode_seconds=row.decode_seconds,
        label_seconds=0.0,
        finished_us=time.time_ns() // 1000,
        run_id=run_id,
        device=device,
    )


def undecoded_unit(row: UnitRequest, sampling: Sampling) -> DecodedUnit:
    """The unit without a frame, before its first try."""
    starts, ends = window_spans_us(
        sampling,
        start_us=row.start_us,
        duration_us=row.duration_us,
        first_window=row.first_window,
        num_windows=row.num_windows,
    )
    return DecodedUnit(
        unit_id=row.unit_id,
        video_id=row.video_id,
        first_window=row.first_window,
        num_windows=row.num_windows,
        earlier_attempts=row.earlier_attempts,
        attempts=row.earlier_attempts,
        status=UnitStatus.OK,
        error_kind=None,
        error=None,
        shortfall=None,
        window_start_us=starts,
        window_end_us=ends,
        window_decoded=np.zeros(row.num_windows, bool),
        window_damage=None,
        window_frames=np.zeros(0, np.int32),
        pts_us=np.zeros(0, np.int64),
        frame_height_px=sampling.frame_height_px,
        frame_width_px=sampling.frame_width_px,
        pixels=np.zeros(0, np.uint8),
        decode_seconds=0.0,
    )


def decoded_unit(
    row: UnitRequest,
    sampled: SampledFrames,
    sampling: Sampling,
    *,
    attempts: int,
    seconds: float,
    max_damaged_fraction: float,
) -> DecodedUnit:
    """The decoded unit. A window counts as decoded where all of its frames are there, and no more than `max_damaged_fraction` of
    them are damaged.

    Raises DecodeError: NO_FRAMES where that is so of none, DECODE_FAILED where damage is why.
    """
    undecoded = undecoded_unit(row, sampling)
    samples_of_window = unit_window_samples(sampling, row.num_windows)
    frame_of_window = sampled.frame_of_sample[samples_of_window]  # (W, F)
    is_there = np.asarray((frame_of_window >= 0).all(axis=1))
    is_too_damaged = is_there & ((~sampled.is_sound[samples_of_window]).mean(axis=1) > max_damaged_fraction)
    decoded = is_there & ~is_too_damaged
    reasons = [sampled.shortfall] if sampled.shortfall else []
    if is_too_damaged.any():
        reasons.append(
            f"more than {max_damaged_fraction:.0%} of the pictures are damaged in {counted(int(is_too_damaged.sum()), 'window')} "
            f"(decode.max_damaged_fraction)"
        )
    if not decoded.any():
        kind = ErrorKind.DECODE_FAILED if is_too_damaged.any() else ErrorKind.NO_FRAMES
        raise DecodeError(kind, "; ".join(reasons) or "no frame at any of the sampled times")
    return replace(
        undecoded,
        attempts=attempts,
        shortfall="; ".join(reasons) or None,
        window_decoded=decoded,
        window_damage=_window_damage(undecoded, sampled, samples_of_window),
        window_frames=frame_of_window[decoded].reshape(-1),
        pts_us=sampled.pts_us,
        pixels=np.ascontiguousarray(sampled.pixels).reshape(-1),
        decode_seconds=seconds,
    )


def _window_damage(
    unit: DecodedUnit, sampled: SampledFrames, samples_of_window: NDArray[np.int64]
) -> NDArray[np.int32] | None:
    """Pictures of each window that are concealed, dropped, repeated: (W x 3,)."""
    if sampled.is_sound[sampled.frame_of_sample >= 0].all() and not len(sampled.dropped_us):
        return None
    concealed = np.zeros(len(samples_of_window), np.int32)
    frame_of_window = sampled.frame_of_sample[samples_of_window]
    for window, frames in enumerate(frame_of_window):
        concealed[window] = sampled.is_concealed[np.unique(frames[frames >= 0])].sum()
    before, until = (np.searchsorted(sampled.dropped_us, at) for at in (unit.window_start_us, unit.window_end_us))
    repeated = sampled.is_repeated[samples_of_window].sum(axis=1)
    return np.stack([concealed, until - before, repeated], axis=1).astype(np.int32).reshape(-1)


def with_labels(result: UnitResult, labels: WindowLabels) -> UnitResult:
    """`result` with the labels of its `window_labelled`; the other windows have no score and no answer. Windows whose scores are
    no numbers are not labelled, and the shortfall says why. Raises UnitError(NO_NUMBER) where that is so of all."""
    unscored = labels.unscored
    plain = _with_scores(result, labels)
    spoken = plain if labels.answers is None else _with_answers(plain, labels.answers)
    return spoken if unscored is None or not unscored.any() else _without_unscored(spoken, unscored)


def _without_unscored(result: UnitResult, unscored: NDArray[np.bool_]) -> UnitResult:
    """unscored: of the windows that are labelled."""
    count = f"{int(unscored.sum())} of {len(unscored)} windows"
    reason = (
        f"the model's scores of {count} are NaN or infinite, which is no label: try model.dtype=float32; where it stays so, the "
        f"weights are damaged (nrray doctor --model tells)"
    )
    if unscored.all():
        raise UnitError(ErrorKind.NO_NUMBER, reason)
    labelled = result.window_labelled.copy()
    labelled[labelled] = ~unscored
    shortfall = "; ".join(text for text in (result.shortfall, reason) if text)
    return replace(result, window_labelled=labelled, shortfall=shortfall, error_kind=ErrorKind.NO_NUMBER)


def _with_scores(result: UnitResult, labels: WindowLabels) -> UnitResult:
    labelled = result.window_labelled
    num_activities = labels.scores.shape[1]
    scores = np.full((len(labelled), num_activities), np.nan, np.float32)
    states = np.zeros((len(labelled), num_activities), np.uint8)
    scores[labelled] = labels.scores
    states[labelled] = labels.states
    distances = None
    if labels.looks_distances is not None:
        distances = np.full(len(labelled), np.nan, np.float32)
        distances[labelled] = labels.looks_distances
    return replace(result, scores=scores.reshape(-1), states=states.reshape(-1), looks_distances=distances)


def _with_answers(result: UnitResult, answers: Answers) -> UnitResult:
    labelled, num_questions = result.window_labelled, len(answers.questions)

    def spread(found: NDArray[Any], empty: float) -> NDArray[Any]:
        every = np.full((len(labelled), num_questions), empty, found.dtype)
        every[labelled] = found
        return every.reshape(-1)

    return replace(
        result,
        questions=list(answers.questions),
        answers=list(_spread(answers.texts, labelled, num_questions)),
        answer_states=spread(answers.states, NO_STATE),
        answer_tokens=spread(answers.num_tokens, 0),
        answer_seconds=spread(answers.seconds, 0.0),
    )


def _spread(texts: Sequence[Sequence[str]], labelled: NDArray[np.bool_], num_questions: int) -> Iterator[str | None]:
    """One answer per window and question, None for those of a window that is not labelled."""
    given = iter(texts)
    for is_labelled in labelled:
        yield from next(given) if is_labelled else [None] * num_questions
