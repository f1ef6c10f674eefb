"""Chance baselines: presence claimed always, never, and at random as often as the activity is there.

In: an alignment and its measures. Out: every metric of each baseline. A baseline is another set of sums, so each metric is
computed by the function that computes the model's.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum

import numpy as np

from nrray.evaluate.alignment import Alignment
from nrray.evaluate.average_precision import IOUS, segment_average_precision
from nrray.evaluate.measures import Measures, metrics_of, timeline_sums
from nrray.metrics.calibration import NUM_BINS, FloatArray, bins_of
from nrray.metrics.counts import defined, divided
from nrray.metrics.jackknife import Sums
from nrray.metrics.spans import Spans, spans_of
from nrray.metrics.timelines import Timelines, detections, timelines_of


class Baseline(str, Enum):
    """A rule that claims presence without looking at a video."""

    ALWAYS_YES = "always yes"
    ALWAYS_NO = "always no"
    AT_RANDOM = "at random by prevalence"


ChanceBaselines = Mapping[str, Mapping[Baseline, Mapping[str, float | None]]]
"""Activity to baseline to metric."""


def chance_baselines(alignment: Alignment, measures: Measures, *, seed: int = 0) -> ChanceBaselines:
    """Every metric of every baseline.

    On windows and time `AT_RANDOM` has the expected counts. Its segments are one draw: evaluated time in pieces as long as
    the reference's mean segment, each present with the probability of the share of time.
    """
    total = {name: part.sum(axis=0) for name, part in measures.sums.items()}
    time_share = _share(total["time"]).tolist()
    by_activity = alignment.timelines.items()
    timelines = {
        Baseline.ALWAYS_YES: {name: _all_of(part) for name, part in by_activity},
        Baseline.ALWAYS_NO: {name: _none_of(part) for name, part in by_activity},
        Baseline.AT_RANDOM: {
            name: _drawn(part, share, np.random.default_rng([seed, i]))
            for i, ((name, part), share) in enumerate(zip(by_activity, time_share, strict=True))
        },
    }
    share_of: dict[Baseline, Callable[[FloatArray], FloatArray]] = {
        Baseline.ALWAYS_YES: np.ones_like,
        Baseline.ALWAYS_NO: np.zeros_like,
        Baseline.AT_RANDOM: np.copy,
    }
    metrics = {each: _baseline_metrics(alignment, total, timelines[each], share_of=share_of[each]) for each in Baseline}
    return {
        name: {each: {metric: defined(values[i]) for metric, values in metrics[each].items()} for each in Baseline}
        for i, name in enumerate(alignment.activities)
    }


def _baseline_metrics(
    alignment: Alignment,
    total: Sums,
    timelines: Mapping[str, Timelines],
    *,
    share_of: Callable[[FloatArray], FloatArray],
) -> dict[str, FloatArray]:
    """Metric to (A,)."""
    metrics = metrics_of(_baseline_sums(alignment, total, timelines, share_of=share_of))
    # A score that is the same everywhere ranks nothing: its average precision is the share of positives.
    bins = total["bins"].reshape(len(alignment.activities), NUM_BINS, 3).sum(axis=1)
    metrics["windows average precision"] = np.where(bins[:, 2] > 0, divided(bins[:, 2], bins[:, 0]), np.nan)
    for iou in IOUS:
        metrics[f"segments average precision at tIoU {float(iou):g}"] = np.array(
            [segment_average_precision(detections(part, iou)) for part in timelines.values()]
        )
    return metrics


def _baseline_sums(
    alignment: Alignment,
    total: Sums,
    timelines: Mapping[str, Timelines],
    *,
    share_of: Callable[[FloatArray], FloatArray],
) -> Sums:
    """(A, k) sums over all cases of a baseline that claims a share of all windows and time."""
    sums = {name: part.sum(axis=0) for name, part in timeline_sums(timelines).items()}
    for level in ("windows", "time"):
        sums[level] = _expected(total[level], share_of(_share(total[level])))
    bins = total["bins"].reshape(len(alignment.activities), NUM_BINS, 3).sum(axis=1)
    scored, positives = bins[:, 0], bins[:, 2]
    score = share_of(np.nan_to_num(divided(positives, scored)))
    errors = positives * (1 - score) ** 2 + (scored - positives) * score**2
    sums["brier"] = np.stack([errors, scored], axis=-1)
    constant = np.zeros((len(scored), NUM_BINS, 3))
    constant[np.arange(len(scored)), bins_of(score)] = np.stack([scored, scored * score, positives], axis=-1)
    sums["bins"] = constant.reshape(len(scored), -1)
    return sums


def _share(counts: FloatArray) -> FloatArray:
    """(A,) share of the reference that has the activity, of (A, 4) counts."""
    return np.nan_to_num(divided(counts[:, 0] + counts[:, 2], counts.sum(axis=1)))


def _expected(counts: FloatArray, share: FloatArray) -> FloatArray:
    """(A, 4) expected counts of presence claimed with probability `share`, independently of the reference."""
    positive, negative = counts[:, 0] + counts[:, 2], counts[:, 1] + counts[:, 3]
    return np.stack([share * positive, share * negative, (1 - share) * positive, (1 - share) * negative], axis=-1)


def _all_of(timelines: Timelines) -> Timelines:
    return replace(timelines, candidate=timelines.evaluated, candidate_span=np.arange(len(timelines.evaluated)))


def _none_of(timelines: Timelines) -> Timelines:
    nothing = np.zeros(0, np.int64)
    return replace(timelines, candidate=spans_of(nothing, nothing, nothing), candidate_span=nothing)


def _drawn(timelines: Timelines, share: float, random: np.random.Generator) -> Timelines:
    if len(timelines.reference) == 0:
        return _none_of(timelines)
    piece_us = max(1, round(float(timelines.reference.length_us.mean())))
    evaluated = timelines.evaluated
    count = -(-evaluated.length_us // piece_us)
    span = np.repeat(np.arange(len(evaluated)), count)
    number = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    start_us = evaluated.start_us[span] + number * piece_us
    pieces = spans_of(evaluated.video[span], start_us, np.minimum(start_us + piece_us, evaluated.end_us[span]))
    is_claimed = random.random(len(pieces)) < share
    candidate = Spans(
        video=pieces.video[is_claimed],
        start_us=pieces.start_us[is_claimed],
        end_us=pieces.end_us[is_claimed],
        score=pieces.score[is_claimed],
    )
    return timelines_of(timelines.reference, candidate, evaluated, num_videos=timelines.num_videos)
