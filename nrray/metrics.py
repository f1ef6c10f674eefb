"""Agreement of window labels with a reference: counts and precision, recall, F1 per activity. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Counts over the windows that both sides looked at. Ratios without a denominator are None, never 0 or 1."""

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


def _ratio(numerator: int, denominator: int) -> float | None:
    return numerator / denominator if denominator else None
