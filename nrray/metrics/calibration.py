"""Calibration of scores: reliability and expected calibration error from sums by bin, so that an archive without one of its
cases is another set of sums."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NUM_BINS = 10  # of equal width over scores in [0, 1]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """By bin of the score, (NUM_BINS,) each: count, mean score and observed share, NaN where a bin is empty."""

    count: NDArray[np.int64]
    mean_score: FloatArray
    observed: FloatArray


def reliability_sums(
    scores: FloatArray, targets: NDArray[np.bool_], groups: NDArray[np.int64], num_groups: int
) -> FloatArray:
    """(G, bins, 3) count, sum of scores and positives by group and bin: they add up over groups."""
    bins = bins_of(scores)
    sums = np.zeros((num_groups, NUM_BINS, 3))
    for i, values in enumerate((np.ones(len(scores)), scores, targets.astype(np.float64))):
        np.add.at(sums[:, :, i], (groups, bins), values)
    return sums


def bins_of(scores: FloatArray) -> NDArray[np.int64]:
    """(N,) the bin that each score is in."""
    return np.minimum((scores * NUM_BINS).astype(np.int64), NUM_BINS - 1)


def reliability_of(sums: FloatArray) -> Reliability:
    """Reliability of (bins, 3) sums."""
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
