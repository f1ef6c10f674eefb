"""Average precision of windows and of segments, which needs the order of scores and not only sums."""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from nrray.evaluate.alignment import Alignment
from nrray.metrics.jackknife import Jackknifed, jackknifed_sums
from nrray.metrics.precision_recall import average_precision, average_precisions, interpolated_average_precisions
from nrray.metrics.timelines import Detections, detections

IOUS = (Fraction(1, 10), Fraction(1, 4), Fraction(1, 2))
SCORE_LEVELS = RANK_LEVELS = 256
"""Intervals of average precision take scores or ranks to this many steps; estimates take them as they are."""


def average_precision_metrics(alignment: Alignment) -> dict[str, NDArray[np.float64]]:
    """Metric to the average precision of windows or segments: (1 + 2C, A), as in `Jackknifed`."""
    windows, cases = alignment.windows, len(alignment.cases)
    values: dict[str, list[Jackknifed]] = {}
    for i, name in enumerate(alignment.activities):
        at = np.isfinite(windows.scores[:, i]) & windows.decided[:, i]
        scores, targets, case = windows.scores[at, i], windows.reference[at, i], windows.case[at]
        values.setdefault("windows average precision", []).append(
            _as_exact(average_precision(scores, targets), _window_precision(scores, targets, case, cases))
        )
        for iou in IOUS:
            found = detections(alignment.timelines[name], iou)
            positives = np.bincount(alignment.case_of_video, weights=found.num_reference, minlength=cases).astype(
                np.float64
            )
            rows = _segment_precision(found, alignment.case_of_video[found.video], positives)
            values.setdefault(f"segments average precision at tIoU {float(iou):g}", []).append(
                _as_exact(segment_average_precision(found), rows)
            )
    return {metric: np.stack(columns, axis=1) for metric, columns in values.items()}


def _as_exact(estimate: float, rows: Jackknifed) -> Jackknifed:
    """Rows over steps, moved to the estimate over all scores."""
    moved: Jackknifed = rows + (estimate - rows[0])
    return moved


def _window_precision(
    scores: NDArray[np.float64], targets: NDArray[np.bool_], case: NDArray[np.int64], num_cases: int
) -> Jackknifed:
    level = np.minimum((scores * SCORE_LEVELS).astype(np.int64), SCORE_LEVELS - 1)
    sums = np.zeros((2, num_cases, SCORE_LEVELS))
    np.add.at(sums[0], (case[targets], level[targets]), 1)
    np.add.at(sums[1], (case, level), 1)
    hits, claims = (np.cumsum(jackknifed_sums(part)[:, ::-1], axis=1) for part in sums)
    return average_precisions(hits, claims)


def _segment_precision(found: Detections, case: NDArray[np.int64], positives: NDArray[np.float64]) -> Jackknifed:
    """Average precision over at most RANK_LEVELS steps of the ranking; case: (N,) of the detections; positives: (C,)."""
    total = jackknifed_sums(positives)
    num_levels = min(len(case), RANK_LEVELS)
    if num_levels == 0:
        return np.where(total > 0, 0.0, np.nan)
    level = np.arange(len(case)) * num_levels // len(case)
    sums = np.zeros((2, len(positives), num_levels))
    np.add.at(sums[0], (case[found.is_hit], level[found.is_hit]), 1)
    np.add.at(sums[1], (case, level), 1)
    hits, claims = (np.cumsum(jackknifed_sums(part), axis=1) for part in sums)
    return interpolated_average_precisions(hits, claims, total)


def segment_average_precision(found: Detections) -> float:
    """Average precision over all distinct scores."""
    positives = np.array([float(found.num_reference.sum())])
    if len(found.is_hit) == 0:
        return 0.0 if positives[0] else float("nan")
    hits = np.cumsum(found.is_hit, dtype=np.float64)[None]
    claims = np.arange(1, len(found.is_hit) + 1, dtype=np.float64)[None]
    return float(interpolated_average_precisions(hits, claims, positives)[0])
