"""Ratios of the counts of two yes/no labellings: precision, recall, F1, specificity, balanced accuracy, kappa. A ratio without
a denominator is NaN (in arrays) or None (in rows), never 0 or 1."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Counts over the windows that both sides examined. Ratios without a denominator are None, never 0 or 1."""

    activity: str
    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @property
    def support(self) -> int:
        return self.true_positive + self.false_negative

    @property
    def precision(self) -> float | None:
        return _ratio(self.true_positive, self.true_positive + self.false_positive)

    @property
    def recall(self) -> float | None:
        return _ratio(self.true_positive, self.support)

    @property
    def f1(self) -> float | None:
        return _ratio(2 * self.true_positive, 2 * self.true_positive + self.false_positive + self.false_negative)


def window_agreement(
    activities: Sequence[str], predicted: NDArray[np.bool_], reference: NDArray[np.bool_]
) -> list[Agreement]:
    """`predicted` and `reference` are (W, A) for the same windows."""
    return [
        Agreement(
            activity=activity,
            true_positive=int((predicted[:, i] & reference[:, i]).sum()),
            false_positive=int((predicted[:, i] & ~reference[:, i]).sum()),
            false_negative=int((~predicted[:, i] & reference[:, i]).sum()),
            true_negative=int((~predicted[:, i] & ~reference[:, i]).sum()),
        )
        for i, activity in enumerate(activities)
    ]


def macro_f1(agreements: Sequence[Agreement]) -> float | None:
    """Mean F1 over the activities that have one."""
    values = [agreement.f1 for agreement in agreements if agreement.f1 is not None]
    return float(np.mean(values)) if values else None


@dataclass(frozen=True, kw_only=True)
class Ratios:
    """(...,) each, of (..., 4) counts."""

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    specificity: NDArray[np.float64]
    balanced_accuracy: NDArray[np.float64]
    kappa: NDArray[np.float64]


def counts_of(candidate: NDArray[np.bool_], reference: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(..., 4) both, candidate alone, reference alone, neither, of booleans of one shape; sum over rows for a total."""
    return np.stack(
        [candidate & reference, candidate & ~reference, ~candidate & reference, ~candidate & ~reference], axis=-1
    ).astype(np.int64)


def ratios_of(counts: NDArray[Any]) -> Ratios:
    """The ratios of (..., 4) counts: both, candidate alone, reference alone, neither. Kappa is Cohen's."""
    both, candidate, reference, neither = (counts[..., i].astype(np.float64) for i in range(4))
    total = both + candidate + reference + neither
    recall, specificity = divided(both, both + reference), divided(neither, neither + candidate)
    observed = divided(both + neither, total)
    expected = divided(
        (both + candidate) * (both + reference) + (reference + neither) * (candidate + neither), total * total
    )
    return Ratios(
        precision=divided(both, both + candidate),
        recall=recall,
        f1=divided(2 * both, 2 * both + candidate + reference),
        specificity=specificity,
        balanced_accuracy=(recall + specificity) / 2,
        kappa=divided(observed - expected, 1 - expected),
    )


def matching_f1(counts: NDArray[Any]) -> NDArray[np.float64]:
    """(...,) F1 of (..., 3) matched, candidate and reference items."""
    return divided(2.0 * counts[..., 0], counts[..., 1] + counts[..., 2])


def mean_defined(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(...,) mean over the last axis of the values that are not NaN: the macro average."""
    known = np.isfinite(values)
    return divided(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1))


def divided(numerator: NDArray[Any], denominator: NDArray[Any]) -> NDArray[np.float64]:
    """NaN where the denominator is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.asarray(denominator) != 0, np.true_divide(numerator, denominator), np.nan)


def defined(ratio: float) -> float | None:
    """A ratio of an array as it stands in a row: None for NaN."""
    return float(ratio) if np.isfinite(ratio) else None


def _ratio(numerator: int, denominator: int) -> float | None:
    return numerator / denominator if denominator else None
