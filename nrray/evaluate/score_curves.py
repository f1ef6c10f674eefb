"""Curves of the scores of windows: precision over recall, and reliability."""

from dataclasses import dataclass

import numpy as np

from nrray.evaluate.alignment import Alignment
from nrray.evaluate.measures import Measures
from nrray.metrics.calibration import NUM_BINS, FloatArray, reliability_of
from nrray.metrics.precision_recall import hits_and_claims

CURVE_POINTS = 200

Curve = tuple[tuple[float, float], ...]
"""(recall, precision) points over falling thresholds."""


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """Windows whose scores are in one of NUM_BINS equal bins; mean and share are None where there are none."""

    count: int
    mean_score: float | None
    observed: float | None  # share of the windows that have the activity


def precision_recall_curves(alignment: Alignment) -> dict[str, Curve]:
    """Activity to its curve, at most CURVE_POINTS long. An activity that no scored window of the reference has is left out."""
    windows = alignment.windows
    curves = {}
    for i, name in enumerate(alignment.activities):
        is_scored = np.isfinite(windows.scores[:, i]) & windows.decided[:, i]
        targets = windows.reference[is_scored, i]
        if not targets.any():
            continue
        hits, claims = hits_and_claims(windows.scores[is_scored, i], targets)
        picked = np.unique(np.linspace(0, len(hits) - 1, CURVE_POINTS).round().astype(int))
        recall, precision = hits / targets.sum(), hits / claims
        curves[name] = tuple(zip(recall[picked].tolist(), precision[picked].tolist(), strict=True))
    return curves


def reliability_bins(measures: Measures) -> dict[str, tuple[ReliabilityBin, ...]]:
    """Activity to its bins, from the lowest scores up."""
    sums = measures.sums["bins"].sum(axis=0).reshape(len(measures.activities), NUM_BINS, 3)
    return {name: _bins(part) for name, part in zip(measures.activities, sums, strict=True)}


def _bins(sums: FloatArray) -> tuple[ReliabilityBin, ...]:
    reliability = reliability_of(sums)
    return tuple(
        ReliabilityBin(
            count=int(count),
            mean_score=float(mean) if count else None,
            observed=float(observed) if count else None,
        )
        for count, mean, observed in zip(reliability.count, reliability.mean_score, reliability.observed, strict=True)
    )
