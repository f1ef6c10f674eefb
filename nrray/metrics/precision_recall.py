"""Average precision of scored windows and of scored segments, from cumulative counts of hits and claims: an archive without one
of its cases is another row of counts."""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def average_precision(scores: FloatArray, targets: NDArray[np.bool_]) -> float:
    """Sum of precision times the gain of recall over the distinct scores, from high to low, without interpolation
    (scikit-learn's definition). (N,) each; NaN without positives."""
    hits, claims = hits_and_claims(scores, targets)
    return float(average_precisions(hits[None], claims[None])[0])


def hits_and_claims(scores: FloatArray, targets: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    """(K,) each: targets, and rows, at or above each of the K distinct scores, from high to low. (N,) scores and targets."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True) if len(order) else np.zeros(0, bool)
    return np.cumsum(targets[order])[last].astype(np.float64), (np.flatnonzero(last) + 1).astype(np.float64)


def average_precisions(hits: FloatArray, claims: FloatArray) -> FloatArray:
    """(B,) average precision of (B, N) cumulative hits and claims, from the highest threshold down."""
    if hits.shape[1] == 0:
        return np.full(len(hits), np.nan)
    gained = np.diff(hits, axis=1, prepend=0.0)
    positives = hits[:, -1]
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(claims > 0, hits / claims, 0.0)
        result: FloatArray = np.where(positives > 0, (gained * precision).sum(axis=1) / positives, np.nan)
    return result


def interpolated_average_precisions(hits: FloatArray, claims: FloatArray, positives: FloatArray) -> FloatArray:
    """(B,) ActivityNet's average precision of (B, N) cumulative hits and claims of detections from the highest score
    down and (B,) reference segments: precision is the highest at this recall or above. NaN without reference."""
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(claims > 0, hits / claims, 0.0)
        highest = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        gained = np.diff(hits, axis=1, prepend=0.0)
        result: FloatArray = np.where(positives > 0, (gained * highest).sum(axis=1) / positives, np.nan)
    return result
