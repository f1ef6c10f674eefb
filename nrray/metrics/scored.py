"""What scores say beyond a threshold: average precision, Brier score, reliability. Weights are how often a row counts, so
that a resample of cases is a row of weights."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NUM_BINS = 10

FloatArray = NDArray[np.float64]


def average_precision(scores: FloatArray, targets: NDArray[np.bool_]) -> float:
    """Sum of precision times the gain of recall over the distinct scores, from high to low, without interpolation
    (scikit-learn's definition). (N,) each; NaN without positives."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True) if len(order) else np.zeros(0, bool)
    hits = np.cumsum(targets[order])[last].astype(np.float64)
    claims = (np.flatnonzero(last) + 1).astype(np.float64)
    return float(precision_gain(hits[None], claims[None])[0])


def precision_gain(hits: FloatArray, claims: FloatArray) -> FloatArray:
    """(B,) average precision of (B, N) cumulative hits and claims, from the highest threshold down."""
    if hits.shape[1] == 0:
        return np.full(len(hits), np.nan)
    gained = np.diff(hits, axis=1, prepend=0.0)
    positives = hits[:, -1]
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(claims > 0, hits / claims, 0.0)
        result: FloatArray = np.where(positives > 0, (gained * precision).sum(axis=1) / positives, np.nan)
    return result


def interpolated_precision(hits: FloatArray, claims: FloatArray, positives: FloatArray) -> FloatArray:
    """(B,) ActivityNet's average precision of (B, N) cumulative hits and claims of detections from the highest score
    down and (B,) reference segments: precision is the highest at this recall or above. NaN without reference."""
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(claims > 0, hits / claims, 0.0)
        highest = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        gained = np.diff(hits, axis=1, prepend=0.0)
        result: FloatArray = np.where(positives > 0, (gained * highest).sum(axis=1) / positives, np.nan)
    return result


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """Of NUM_BINS equal bins of the score: count, mean score and observed share, NaN where a bin is empty."""

    count: NDArray[np.int64]
    mean_score: FloatArray
    observed: FloatArray


def reliability_sums(
    scores: FloatArray, targets: NDArray[np.bool_], groups: NDArray[np.int64], num_groups: int
) -> FloatArray:
    """(G, bins, 3) count, sum of scores, positives by group and bin: what reliability and ECE of any groups come from."""
    bins = bins_of(scores)
    sums = np.zeros((num_groups, NUM_BINS, 3))
    for i, values in enumerate((np.ones(len(scores)), scores, targets.astype(np.float64))):
        np.add.at(sums[:, :, i], (groups, bins), values)
    return sums


def bins_of(scores: FloatArray) -> NDArray[np.int64]:
    """(N,) which of the bins each score is in."""
    return np.minimum((scores * NUM_BINS).astype(np.int64), NUM_BINS - 1)


def reliability_of(sums: FloatArray) -> Reliability:
    """Of (bins, 3) sums."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return Reliability(
            count=sums[:, 0].astype(np.int64), mean_score=sums[:, 1] / sums[:, 0], observed=sums[:, 2] / sums[:, 0]
        )


def expected_calibration_error(sums: FloatArray) -> FloatArray:
    """(...,) sum over bins of |mean score - observed share|, weighted by count, of (..., bins, 3) sums."""
    total = sums[..., 0].sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        error: FloatArray = np.abs(sums[..., 1] - sums[..., 2]).sum(axis=-1) / total
    return error
