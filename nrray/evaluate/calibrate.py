"""Scores of yes/no questions made probabilities, and thresholds for them, fitted on annotated windows. Pure numpy.

Decisions are before the rules of the label set. The figures are cross-fitted: what decides a case is fitted on others.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nrray.evaluate.alignment import WindowPairs
from nrray.metrics.calibration import PlattScaling, expected_calibration_error, platt_scaling, reliability_sums
from nrray.metrics.counts import counts_of, ratios_of
from nrray.metrics.jackknife import Value, jackknifed_sums, value_of
from nrray.train.thresholds import steady_thresholds
from nrray.types import STATE_INDEX, LabelState

MAX_FOLDS = 10
PLAIN = (STATE_INDEX[LabelState.PRESENT], STATE_INDEX[LabelState.ABSENT])
THRESHOLD = 0.5
"""That fitted thresholds stay near to, unless another one is better by more than the cases' noise."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Of one activity: how its scores become probabilities, and the least of them that is a yes."""

    calibration: PlattScaling
    threshold: float


@dataclass(frozen=True, kw_only=True)
class FittedActivity:
    """What was fitted for one activity, and what it does to cases that it was not fitted on: F1 and expected calibration error
    with intervals over cases, before (as the labels are) and after. No figures of a single case; no fit where the
    windows do not show both, yes and no."""

    name: str
    num_windows: int
    num_yes: int
    fit: Fit | None
    f1: tuple[Value, Value] | None
    calibration_error: tuple[Value, Value] | None


def fitted_activity(name: str, number: int, windows: WindowPairs) -> FittedActivity:
    """The fit of activity `number` on its windows with a plain answer."""
    is_plain = np.ones(len(windows.case), bool) if windows.states is None else np.isin(windows.states[:, number], PLAIN)
    kept = is_plain & np.isfinite(windows.scores[:, number])
    scores, targets, cases = windows.scores[kept, number], windows.reference[kept, number], windows.case[kept]
    fit = _fit(scores, targets, cases)
    names, index = np.unique(cases, return_inverse=True)
    f1 = calibration_error = None
    if fit is not None and len(names) > 1:
        moved, thresholds = _cross_fitted(scores, targets, index)
        f1 = (
            _f1(windows.candidate[kept, number], targets, index, len(names)),
            _f1(moved >= thresholds, targets, index, len(names)),
        )
        calibration_error = _error(scores, targets, index, len(names)), _error(moved, targets, index, len(names))
    return FittedActivity(
        name=name,
        num_windows=len(scores),
        num_yes=int(targets.sum()),
        fit=fit,
        f1=f1,
        calibration_error=calibration_error,
    )


def _fit(scores: NDArray[np.float64], targets: NDArray[np.bool_], cases: NDArray[np.int64]) -> Fit | None:
    if targets.all() or not targets.any():
        return None
    calibration = platt_scaling(scores, targets)
    probabilities = calibration.probabilities(scores).astype(np.float32)[:, None]
    near = np.array([THRESHOLD], np.float32)
    threshold = float(steady_thresholds(probabilities, targets[:, None], cases, near=near)[0])
    return Fit(calibration=calibration, threshold=round(threshold, 4))


def _cross_fitted(
    scores: NDArray[np.float64], targets: NDArray[np.bool_], case: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N,) probabilities and thresholds, each case's of a fit on the other folds' cases; a case is a fold, up to ten of them. As
    the scores are where the others show no yes or no no."""
    fold, moved, thresholds = case % MAX_FOLDS, scores.copy(), np.full(len(scores), THRESHOLD)
    for number in np.unique(fold).tolist():
        held = fold == number
        fit = _fit(scores[~held], targets[~held], case[~held])
        if fit is not None:
            moved[held], thresholds[held] = fit.calibration.probabilities(scores[held]), fit.threshold
    return moved, thresholds


def _f1(claimed: NDArray[np.bool_], targets: NDArray[np.bool_], case: NDArray[np.intp], num_cases: int) -> Value:
    counts = np.zeros((num_cases, 1, 4))
    np.add.at(counts, case, counts_of(claimed[:, None], targets[:, None]))
    return value_of(ratios_of(jackknifed_sums(counts)).f1[:, 0])


def _error(scores: NDArray[np.float64], targets: NDArray[np.bool_], case: NDArray[np.intp], num_cases: int) -> Value:
    sums = reliability_sums(scores, targets, case, num_cases)
    return value_of(expected_calibration_error(jackknifed_sums(sums)))
