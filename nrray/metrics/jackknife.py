"""Intervals over cases by the jackknife. Pure numpy: a figure of all cases, the same without each case, and of each alone.

Windows of one case resemble each other, so that what a figure owes to chance is seen by leaving out whole cases. The choice
between this interval and others is measured by tests/benchmarks/interval_coverage.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from nrray.metrics.counts import divided

COVERAGE = 0.95
FEW_CASES = 20

Sums = dict[str, NDArray[np.float64]]
"""Name to (..., A, k) sums of all cases, of one, or of R sets of cases."""

Jackknifed = NDArray[np.float64]
"""(1 + 2C,) a figure of all C cases, then without each case, then of each case alone; NaN where it is not defined."""

Bounds = tuple[float, float]
SHARE: Bounds = (0.0, 1.0)
SIGNED_SHARE: Bounds = (-1.0, 1.0)
AMOUNT: Bounds = (0.0, np.inf)
UNBOUNDED: Bounds = (-np.inf, np.inf)


@dataclass(frozen=True, kw_only=True)
class Value:
    """An estimate with its 95 % interval; None where it is not defined."""

    estimate: float | None
    low: float | None
    high: float | None


def jackknifed_sums(of_case: NDArray[np.float64]) -> NDArray[np.float64]:
    """(1 + 2C, ...) sums over all cases, without each case, and of each case, of (C, ...)."""
    total = of_case.sum(axis=0, keepdims=True)
    return np.concatenate([total, total - of_case, of_case])


def jackknifed_totals(of_case: NDArray[np.float64]) -> Jackknifed:
    """A total of (C,) amounts, as over as many cases as there are."""
    num_cases = len(of_case)
    scale = np.repeat([1.0, num_cases / max(num_cases - 1, 1), num_cases], [1, num_cases, num_cases])
    totals: Jackknifed = jackknifed_sums(of_case) * scale
    return totals


def value_of(figure: Jackknifed, bounds: Bounds = SHARE, *, coverage: float = COVERAGE) -> Value:
    """The estimate with its interval, which keeps within `bounds`.

    On the scale f that has no bounds (logit between two, log above one): f(estimate) -+ t f'(estimate) SE, with the jackknife's
    standard error SE = sqrt((C - 1) / C sum (without case i - their mean)^2) (Efron and Tibshirani 1993, chapter 11) and the
    quantile t of Student's distribution. Its degrees of freedom are one less than cases that define the figure, and fewer where
    few of these carry the error, so that SE itself is known badly: those of a variance with this kurtosis, 2 / (2 / (C - 1) +
    kurtosis / C) (O'Neill 2014), if the excess kurtosis is above 0.

    No interval where one case alone defines the figure. Where all cases say the same, SE is 0 and says nothing: as many cases
    that differ may be missing as these show none of with a probability of (1 - coverage) / 2 (the rule of three: Hanley and
    Lippman-Hand 1983), and of those anything within the bounds is possible.
    """
    estimate, without, alone = _parts(figure)
    num_defining = int(np.isfinite(alone).sum())
    if not np.isfinite(estimate):
        return Value(estimate=None, low=None, high=None)
    if num_defining < 2 or not np.isfinite(without).all():
        return Value(estimate=estimate, low=None, high=None)
    error = _standard_error(without)
    low, high = bounds
    if error <= _rounding(estimate) or not low < estimate < high:
        return _value_of_equal_cases(estimate, bounds, num_cases=num_defining, coverage=coverage)
    degrees = min(num_defining - 1.0, _degrees_of_freedom(len(without), _kurtosis(without)))
    reach = _student(degrees, coverage) * error
    if np.isinf(low):
        return Value(estimate=estimate, low=estimate - reach, high=estimate + reach)
    above = estimate - low
    if np.isinf(high):
        factor = np.exp(np.minimum(reach / above, _MOST_LOG))
        return Value(estimate=estimate, low=low + float(above / factor), high=low + float(above * factor))
    below = high - estimate
    factor = np.exp(np.minimum(reach * (high - low) / (above * below), _MOST_LOG))
    return Value(
        estimate=estimate,
        low=float(low + (high - low) * above / (above + below * factor)),
        high=float(high - (high - low) * below / (below + above * factor)),
    )


def difference_of(
    first: Jackknifed, second: Jackknifed, bounds: Bounds = SHARE, *, coverage: float = COVERAGE
) -> Value:
    """`first` minus `second`, case by case the same ones, with its interval: estimate -+ t SE, cut at the widest difference that
    `bounds` of both allow. SE and t are as for `value_of`, but for the kurtosis: a claim hangs on the far tail of t, and that of
    a sample of few cases is too low for it. It is Fisher's unbiased estimate here, from four cases on.
    """
    estimate, without, alone = _parts(first - second)
    defines = np.isfinite(alone) | np.isfinite(_parts(first)[2]) | np.isfinite(_parts(second)[2])
    num_defining = int(defines.sum())
    if not np.isfinite(estimate):
        return Value(estimate=None, low=None, high=None)
    if num_defining < 2 or not np.isfinite(without).all():
        return Value(estimate=estimate, low=None, high=None)
    widest = bounds[1] - bounds[0]
    error = _standard_error(without)
    if error <= _rounding(estimate):
        return _value_of_equal_cases(estimate, (-widest, widest), num_cases=num_defining, coverage=coverage)
    degrees = min(num_defining - 1.0, _degrees_of_freedom(len(without), _unbiased_kurtosis(without)))
    reach = _student(degrees, coverage) * error
    return Value(estimate=estimate, low=max(estimate - reach, -widest), high=min(estimate + reach, widest))


def quantiles_of(
    values: NDArray[np.float64], case: NDArray[np.int64], shares: Sequence[float], *, num_cases: int
) -> list[Value]:
    """Quantiles of values that belong to cases: the smallest value with at least a share of the values at or below it.

    The interval is Woodruff's (1952): the quantiles at the ends of the interval of the share of values at or below the estimate.
    None of so few values that even all of them together would lie on one side of the quantile in more than 5 %.
    """
    if not len(values):
        return [Value(estimate=None, low=None, high=None)] * len(shares)
    ordered = np.sort(values)
    count = np.bincount(case, minlength=num_cases).astype(np.float64)
    found = []
    for share in shares:
        estimate = _quantile(ordered, share)
        is_below = np.bincount(case, weights=values <= estimate, minlength=num_cases).astype(np.float64)
        at = divided(jackknifed_sums(is_below), jackknifed_sums(count))
        within = value_of(at - at[0] + share)
        if (
            within.low is None
            or within.high is None
            or share ** len(values) + (1 - share) ** len(values) > 1 - COVERAGE
        ):
            found.append(Value(estimate=estimate, low=None, high=None))
        else:
            found.append(
                Value(estimate=estimate, low=_quantile(ordered, within.low), high=_quantile(ordered, within.high))
            )
    return found


def few_cases_notes(num_cases: int) -> list[str]:
    """A caution on intervals from few cases, where there are few."""
    if num_cases >= FEW_CASES:
        return []
    if num_cases == 1:
        return ["1 case: there are no intervals over cases, and nothing here says how another case would come out."]
    return [
        f"{num_cases} cases: below about {FEW_CASES}, intervals are wide. In simulated archives of 4 to 16 cases, from metric to "
        f"metric, 90 to 100 in 100 of them held the truth, where 95 should."
    ]


_MOST_LOG = 500.0  # exp of more is no float


def _parts(figure: Jackknifed) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    num_cases = len(figure) // 2
    return float(figure[0]), figure[1 : 1 + num_cases], figure[1 + num_cases :]


def _standard_error(without: NDArray[np.float64]) -> float:
    return float(np.sqrt((len(without) - 1) / len(without) * ((without - without.mean()) ** 2).sum()))


def _rounding(estimate: float) -> float:
    """What sums of floats of this size may be off by."""
    return 1e-12 * max(abs(estimate), 1.0)


def _student(degrees: float, coverage: float) -> float:
    return float(stdtrit(degrees, (1 + coverage) / 2))


def _degrees_of_freedom(num_cases: int, kurtosis: float) -> float:
    return 2 / (2 / (num_cases - 1) + max(kurtosis, 0.0) / num_cases)


def _kurtosis(without: NDArray[np.float64]) -> float:
    """Excess kurtosis of the sample."""
    deviation = without - without.mean()
    return float(len(without) * (deviation**4).sum() / (deviation**2).sum() ** 2 - 3)


def _unbiased_kurtosis(without: NDArray[np.float64]) -> float:
    """Fisher's: without bias for normal values."""
    num = len(without)
    if num < 4:
        return 0.0
    return (num - 1) / ((num - 2) * (num - 3)) * ((num + 1) * _kurtosis(without) + 6)


def _value_of_equal_cases(estimate: float, bounds: Bounds, *, num_cases: int, coverage: float) -> Value:
    low, high = bounds
    if not np.isfinite([low, high]).all():
        return Value(estimate=estimate, low=None, high=None)
    missing = 1 - ((1 - coverage) / 2) ** (1 / num_cases)
    return Value(
        estimate=estimate, low=estimate - missing * (estimate - low), high=estimate + missing * (high - estimate)
    )


def _quantile(ordered: NDArray[np.float64], share: float) -> float:
    rank = int(np.ceil(share * len(ordered) - 1e-9)) - 1
    return float(ordered[min(max(rank, 0), len(ordered) - 1)])
