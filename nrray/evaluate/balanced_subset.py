"""The study's class-balanced subset of windows: rare activities are made common, so that its figures flatter."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nrray.evaluate.alignment import Alignment
from nrray.metrics.counts import counts_of, defined, ratios_of


@dataclass(frozen=True, kw_only=True)
class BalancedRow:
    """One activity in the subset; support: windows that have it."""

    precision: float | None
    recall: float | None
    f1: float | None
    support: int


@dataclass(frozen=True, kw_only=True)
class BalancedSubset:
    """Ratios over the subset's windows; rows: by activity that both sides label."""

    num_windows: int
    rows: Mapping[str, BalancedRow]


def balanced_subset(alignment: Alignment, *, num_windows: int, seed: int) -> BalancedSubset:
    """At most `num_windows` windows, drawn once: equally many of every activity and of none."""
    windows, random = alignment.windows, np.random.default_rng(seed)
    groups = [np.flatnonzero(windows.reference[:, i]) for i in range(len(alignment.activities))]
    groups.append(np.flatnonzero(~windows.reference.any(axis=1)))
    groups = [group for group in groups if len(group)]
    each = min(num_windows // max(len(groups), 1), min((len(group) for group in groups), default=0))
    picked = np.unique(np.concatenate([random.choice(group, each, replace=False) for group in groups]))
    counts = (
        counts_of(windows.candidate[picked], windows.reference[picked]) * windows.decided[picked][:, :, None]
    ).sum(axis=0)
    ratios = ratios_of(counts)
    return BalancedSubset(
        num_windows=len(picked),
        rows={
            name: BalancedRow(
                precision=defined(ratios.precision[i]),
                recall=defined(ratios.recall[i]),
                f1=defined(ratios.f1[i]),
                support=int(counts[i, 0] + counts[i, 2]),
            )
            for i, name in enumerate(alignment.activities)
            if alignment.is_labelled[i]
        },
    )
