"""F1 of claims on held-out windows, with intervals over cases. Pure numpy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nrray.metrics import Agreement, macro_f1, window_agreement
from nrray.metrics.counts import counts_of, mean_defined, ratios_of
from nrray.metrics.jackknife import jackknifed_sums, value_of


@dataclass(frozen=True, kw_only=True)
class HeldOutActivity:
    """One activity on held-out windows; the interval is F1's over cases, None where one case alone defines it."""

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
) -> HeldOut:
    """Agreement of (W, A) claims with the truth; `excluded` activities are not in the macro F1."""
    agreements = window_agreement(activities, predicted, targets)
    in_macro = [i for i, activity in enumerate(activities) if activity not in excluded]
    names, index = np.unique(cases, return_inverse=True)
    counts = np.zeros((len(names), targets.shape[1], 4))
    np.add.at(counts, index, counts_of(predicted, targets))
    f1 = ratios_of(jackknifed_sums(counts)).f1
    intervals = [value_of(f1[:, i]) for i in range(len(activities))]
    macro = value_of(mean_defined(f1[:, in_macro]))
    return HeldOut(
        activities=[
            HeldOutActivity(agreement=agreement, f1_low=value.low, f1_high=value.high)
            for agreement, value in zip(agreements, intervals, strict=True)
        ],
        macro_activities=tuple(activities[i] for i in in_macro),
        macro_f1=macro_f1([agreements[i] for i in in_macro]),
        macro_f1_low=macro.low,
        macro_f1_high=macro.high,
        num_windows=len(targets),
        num_cases=len(names),
    )
