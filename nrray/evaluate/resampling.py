"""Intervals: the 2.5 and 97.5 percentiles over resamples of whole cases. Windows of one case resemble each other, and
resampling windows alone would make intervals too narrow."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

NUM_RESAMPLES = 2000
FEW_CASES = 20  # below, percentile intervals over cases are rough

Sums = dict[str, NDArray[np.float64]]
"""Name to (..., A, k) sums: of all cases, of one, or of B resamples."""


@dataclass(frozen=True, kw_only=True)
class Value:
    """An estimate with its 95 % interval; None where it is not defined."""

    estimate: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class Resamples:
    """weights: (B, C) the number of times that each case is in each resample."""

    weights: NDArray[np.float64]

    @cached_property
    def counts(self) -> NDArray[np.float32]:
        """`weights` in half the memory: whole numbers, exact up to 2^24."""
        return self.weights.astype(np.float32)

    def sums(self, sums: Sums) -> Sums:
        """(B, A, k) sums of each resample, of (C, A, k) sums of each case."""
        return {
            name: (self.weights @ part.reshape(len(part), -1)).reshape(len(self.weights), *part.shape[1:])
            for name, part in sums.items()
        }


def resamples_of(num_cases: int, *, num_resamples: int = NUM_RESAMPLES, seed: int = 0) -> Resamples:
    """Cases drawn with replacement. The same seed gives the same resamples: differences between labellings are paired.

    A single case has no resamples: every draw would be that case, and an interval would say that it is certain.
    """
    if num_cases < 2:
        return Resamples(weights=np.zeros((0, num_cases)))
    random = np.random.default_rng(seed)
    weights = random.multinomial(num_cases, np.full(num_cases, 1 / num_cases), size=num_resamples)
    return Resamples(weights=weights.astype(np.float64))


def value_of(estimate: float, resampled: NDArray[np.float64], *, coverage: float = 0.95) -> Value:
    """The estimate with its percentile interval; no interval where fewer than half of the resamples define the metric."""
    known = resampled[np.isfinite(resampled)]
    if not np.isfinite(estimate):
        return Value(estimate=None, low=None, high=None)
    if len(known) == 0 or 2 * len(known) < len(resampled):
        return Value(estimate=estimate, low=None, high=None)
    tail = 100 * (1 - coverage) / 2
    low, high = np.percentile(known, [tail, 100 - tail])
    return Value(estimate=estimate, low=float(low), high=float(high))


def resampled_quantiles(
    values: NDArray[np.float64], case: NDArray[np.int64], resamples: Resamples, shares: Sequence[float]
) -> NDArray[np.float64]:
    """(B, len(shares)) the smallest value with at least that share of the weight at or below it; values belong to cases.

    Ordered values are taken in blocks of about the root of their number: a product says in which block a resample's
    quantile lies, and only that block's values are weighed one by one.
    """
    num_resamples, num_cases = resamples.counts.shape
    if len(values) == 0:
        return np.full((num_resamples, len(shares)), np.nan)
    order = np.argsort(values)
    ordered, case_of = values[order], case[order]
    size = math.isqrt(len(values))
    block = np.arange(len(values)) // size
    in_block = np.zeros((num_cases, block[-1] + 1), np.float32)
    np.add.at(in_block, (case_of, block), 1)
    drawn = resamples.counts @ in_block
    cumulative = np.cumsum(drawn, axis=1, dtype=np.float32)  # whole numbers, exact up to 2^24
    total = cumulative[:, -1].astype(np.float64)
    rows = np.arange(num_resamples)
    picked = []
    for share in shares:
        least = np.ceil(share * total - 1e-9).astype(np.float32)
        found = (cumulative >= least[:, None]).argmax(axis=1)
        column = found[:, None] * size + np.arange(size)
        weight = resamples.counts[rows[:, None], case_of[np.minimum(column, len(values) - 1)]]
        reached = np.cumsum(np.where(column < len(values), weight, 0), axis=1, dtype=np.float32)
        reached += (cumulative[rows, found] - drawn[rows, found])[:, None]
        picked.append(ordered[column[rows, (reached >= least[:, None]).argmax(axis=1)]])
    return np.where(total[:, None] > 0, np.stack(picked, axis=1), np.nan)


def few_cases_notes(num_cases: int) -> list[str]:
    """A caution on intervals from few cases, where there are few."""
    if num_cases >= FEW_CASES:
        return []
    if num_cases == 1:
        return ["1 case: there are no intervals over cases, and nothing here says how another case would come out."]
    return [
        f"{num_cases} cases: below about {FEW_CASES}, intervals over cases are too narrow more often than they say."
    ]
