"""Calibration of scores: reliability and expected calibration error from sums by bin, so that an archive without one of its
cases is another set of sums."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.optimize import minimize
from scipy.special import expit, logit

from nrray.config import Section

NUM_BINS = 10  # of equal width over scores in [0, 1]

FloatArray = NDArray[np.float64]
MIN_LOGIT_SHARE = 1e-6  # a score of 0 or 1 is taken for one so far from it
_MIN_SLOPE = 1e-3  # above 0: no ranking is turned around


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


def score_logits(scores: FloatArray) -> FloatArray:
    """Logits of scores in [0, 1], finite also for 0 and 1; NaN stays."""
    return np.asarray(logit(np.clip(scores, MIN_LOGIT_SHARE, 1 - MIN_LOGIT_SHARE)), np.float64)


class PlattScaling(Section):
    """How scores of yes and no become probabilities (Platt 1999): the score's logit, times the slope, plus the intercept."""

    slope: float = Field(1.0, gt=0, description="times the logit; above 0, so that no ranking changes")
    intercept: float = Field(0.0, description="added then")

    def probabilities(self, scores: FloatArray) -> FloatArray:
        """Of scores in [0, 1]; NaN stays."""
        return np.asarray(expit(self.slope * score_logits(scores) + self.intercept), np.float64)

    def after(self, before: "PlattScaling") -> "PlattScaling":
        """The one scaling that does the same as `before` and then this one."""
        return PlattScaling(slope=self.slope * before.slope, intercept=self.slope * before.intercept + self.intercept)


def platt_scaling(scores: FloatArray, targets: NDArray[np.bool_]) -> PlattScaling:
    """The scaling of (N,) scores with the lowest cross-entropy with the targets. A yes of N of them is taken for (N + 1) /
    (N + 2), a no for 1 / (N + 2), as Platt has it, so that targets without a mistake ask for no infinite slope. The one that
    changes nothing where the targets are all yes or all no."""
    num_yes, num_no = int(targets.sum()), int((~targets).sum())
    if not num_yes or not num_no:
        return PlattScaling()
    aim = np.where(targets, (num_yes + 1) / (num_yes + 2), 1 / (num_no + 2))
    logits = score_logits(scores)

    def cost(parameters: FloatArray) -> tuple[float, FloatArray]:
        moved = parameters[0] * logits + parameters[1]
        error = expit(moved) - aim
        entropy = np.logaddexp(0, moved) - aim * moved
        return float(entropy.mean()), np.array([(error * logits).mean(), error.mean()])

    found = minimize(cost, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(_MIN_SLOPE, None), (None, None)])
    slope, intercept = (round(value, 6) for value in found.x.tolist())
    return PlattScaling(slope=slope, intercept=intercept)
