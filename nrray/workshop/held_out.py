"""F1 of claims on held-out windows, with intervals over cases. Pure numpy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nrray.metrics import Agreement, macro_f1, window_agreement


@dataclass(frozen=True, kw_only=True)
class HeldOutActivity:
    """One activity on held-out windows; the interval is the 95 % case bootstrap of F1, None without positives."""

    agreement: Agreement
    f1_low: float | None
    f1_high: float | None


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """All activities on held-out windows at natural prevalence; macro F1 is over `macro_activities`."""

    activities: list[HeldOutActivity]
    macro_activities: tuple[str, ...]
    macro_f1: float | None
    macro_f1_low: float | None
    macro_f1_high: float | None
    num_windows: int
    num_cases: int


def held_out(
    activities: Sequence[str],
    predicted: NDArray[np.bool_],
    targets: NDArray[np.bool_],
    *,
    cases: NDArray[np.int64],
    excluded: Sequence[str],
    num_resamples: int = 1000,
    seed: int = 0,
) -> HeldOut:
    """Agreement of (W, A) claims with the truth; `excluded` activities are not in the macro F1."""
    agreements = window_agreement(activities, predicted, targets)
    in_macro = [i for i, activity in enumerate(activities) if activity not in excluded]
    resampled = _resampled_f1(predicted, targets, cases=cases, num_resamples=num_resamples, seed=seed)
    macros = resampled[:, in_macro]
    macro_low, macro_high = _interval(np.nanmean(macros[~np.isnan(macros).all(axis=1)], axis=1))
    intervals = [_interval(resampled[:, i]) for i in range(len(activities))]
    return HeldOut(
        activities=[
            HeldOutActivity(agreement=agreement, f1_low=low, f1_high=high)
            for agreement, (low, high) in zip(agreements, intervals, strict=True)
        ],
        macro_activities=tuple(activities[i] for i in in_macro),
        macro_f1=macro_f1([agreements[i] for i in in_macro]),
        macro_f1_low=macro_low,
        macro_f1_high=macro_high,
        num_windows=len(targets),
        num_cases=len(np.unique(cases)),
    )


def _resampled_f1(
    predicted: NDArray[np.bool_], targets: NDArray[np.bool_], *, cases: NDArray[np.int64], num_resamples: int, seed: int
) -> NDArray[np.float64]:
    names, index = np.unique(cases, return_inverse=True)
    counts = np.zeros((3, len(names), targets.shape[1]))  # hits, claims, positives of each case
    for i, values in enumerate((predicted & targets, predicted, targets)):
        np.add.at(counts[i], index, values)
    drawn = np.random.default_rng(seed).integers(0, len(names), size=(num_resamples, len(names)))
    hits, claims, positives = (counts[i][drawn].sum(axis=1) for i in range(3))
    with np.errstate(invalid="ignore"):
        resampled: NDArray[np.float64] = 2 * hits / (claims + positives)
    return resampled


def _interval(values: NDArray[np.float64]) -> tuple[float | None, float | None]:
    known = values[~np.isnan(values)]
    if known.size == 0:
        return None, None
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)
