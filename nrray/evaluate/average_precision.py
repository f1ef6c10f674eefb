"""Average precision of windows and of segments, which needs the order of scores and not only sums."""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from nrray.evaluate.alignment import Alignment
from nrray.evaluate.resampling import Resamples
from nrray.metrics.precision_recall import average_precision, average_precisions, interpolated_average_precisions
from nrray.metrics.timelines import Detections, detections

IOUS = (Fraction(1, 10), Fraction(1, 4), Fraction(1, 2))
SCORE_LEVELS = RANK_LEVELS = 256
"""Intervals of average precision take scores or ranks to this many steps; estimates take them as they are."""


def average_precision_metrics(
    alignment: Alignment, resamples: Resamples
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Metric to the average precision of windows or segments: (A,) estimates and (B, A) of the resamples."""
    windows, cases = alignment.windows, len(alignment.cases)
    values: dict[str, tuple[list[float], list[NDArray[np.float64]]]] = {}

    def add(metric: str, estimate: float, spread: NDArray[np.float64]) -> None:
        estimates, spreads = values.setdefault(metric, ([], []))
        estimates.append(estimate)
        spreads.append(spread)

    for i, name in enumerate(alignment.activities):
        at = np.isfinite(windows.scores[:, i]) & windows.decided[:, i]
        scores, targets, case = windows.scores[at, i], windows.reference[at, i], windows.case[at]
        add("windows average precision", *_window_precision(scores, targets, case, cases, resamples))
        for iou in IOUS:
            found = detections(alignment.timelines[name], iou)
            positives = np.bincount(alignment.case_of_video, weights=found.num_reference, minlength=cases).astype(
                np.float64
            )
            add(
                f"segments average precision at tIoU {float(iou):g}",
                segment_average_precision(found),
                _resampled_segment_precision(found, alignment.case_of_video[found.video], positives, resamples),
            )
    return {metric: (np.array(estimates), np.stack(spreads, axis=1)) for metric, (estimates, spreads) in values.items()}


def _window_precision(
    scores: NDArray[np.float64],
    targets: NDArray[np.bool_],
    case: NDArray[np.int64],
    num_cases: int,
    resamples: Resamples,
) -> tuple[float, NDArray[np.float64]]:
    level = np.minimum((scores * SCORE_LEVELS).astype(np.int64), SCORE_LEVELS - 1)
    sums = np.zeros((2, num_cases, SCORE_LEVELS), np.float32)
    np.add.at(sums[0], (case[targets], level[targets]), 1)
    np.add.at(sums[1], (case, level), 1)
    hits, claims = (np.cumsum((resamples.counts @ part)[:, ::-1], axis=1, dtype=np.float64) for part in sums)
    return average_precision(scores, targets), average_precisions(hits, claims)


def _resampled_segment_precision(
    found: Detections, case: NDArray[np.int64], positives: NDArray[np.float64], resamples: Resamples
) -> NDArray[np.float64]:
    """(B,) average precision over at most RANK_LEVELS steps of the ranking; case: (N,) of the detections."""
    total = resamples.weights @ positives
    num_levels = min(len(case), RANK_LEVELS)
    if num_levels == 0:
        return np.where(total > 0, 0.0, np.nan)
    level = np.arange(len(case)) * num_levels // len(case)
    sums = np.zeros((2, len(positives), num_levels), np.float32)
    np.add.at(sums[0], (case[found.is_hit], level[found.is_hit]), 1)
    np.add.at(sums[1], (case, level), 1)
    hits, claims = (np.cumsum(resamples.counts @ part, axis=1, dtype=np.float64) for part in sums)
    return interpolated_average_precisions(hits, claims, total)


def segment_average_precision(found: Detections) -> float:
    """Average precision over all distinct scores."""
    positives = np.array([float(found.num_reference.sum())])
    if len(found.is_hit) == 0:
        return 0.0 if positives[0] else float("nan")
    hits = np.cumsum(found.is_hit, dtype=np.float64)[None]
    claims = np.arange(1, len(found.is_hit) + 1, dtype=np.float64)[None]
    return float(interpolated_average_precisions(hits, claims, positives)[0])
