"""An evaluation as one plain document: what report.html shows and evaluation.json holds are the same numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrray.evaluate.alignment import Alignment
from nrray.evaluate.clinical import Clinical
from nrray.evaluate.guesses import guess_rows
from nrray.evaluate.measures import (
    HOUR_US,
    Measured,
    Row,
    onset_summary,
    rows_of,
)
from nrray.evaluate.resampling import Resamples, value_of
from nrray.metrics.agreement import krippendorff_alpha
from nrray.metrics.counts import counts_of, mean_defined, ratios_of
from nrray.metrics.scored import NUM_BINS, reliability_of
from nrray.metrics.spans import Spans

SCHEMA_VERSION = 1
CURVE_POINTS = 200

Document = dict[str, Any]


def evaluation_document(
    alignment: Alignment,
    found: Measured,
    resamples: Resamples,
    *,
    clinical: Clinical | None,
    without: Sequence[str],
    settings: Mapping[str, Any],
    balanced: Document | None,
    notes: Sequence[str],
    num_worst: int,
) -> Document:
    """Everything that was measured, and what was not."""
    rows = rows_of(found, without=without)
    kept = [i for i, name in enumerate(alignment.activities) if name not in without]
    return {
        "schema_version": SCHEMA_VERSION,
        "candidate": alignment.candidate,
        "reference": alignment.reference,
        "settings": dict(settings),
        "num_cases": len(alignment.cases),
        "num_videos": len(alignment.paths),
        "num_windows": len(alignment.windows.case),
        "hours": float(alignment.evaluated.length_us.sum()) / HOUR_US,
        "activities": list(alignment.activities),
        "macro_leaves_out": list(without),
        "rows": [row_document(row) for row in rows],
        "baselines": guess_rows(alignment, found),
        "alpha": alphas(alignment),
        "onset_errors": {name: row_document(row) for name, row in onset_summary(alignment, resamples).items()},
        "precision_recall": precision_recall_curves(alignment) if alignment.has_scores else {},
        "reliability": reliability_bins(found) if alignment.has_scores else {},
        "instead": instead(alignment, resamples),
        "unparsed": dict(zip(alignment.activities, alignment.windows.num_unparsed.tolist(), strict=True)),
        "balanced": balanced,
        "clinical": None if clinical is None else clinical_document(clinical),
        "cases": case_rows(alignment, found, kept, num_worst=num_worst),
        "left_out": asdict(alignment.left_out),
        "notes": list(notes),
    }


def alphas(alignment: Alignment) -> dict[str, float | None]:
    """Krippendorff's alpha of both sources, per activity, over the time that both looked at."""
    return {
        name: _number(krippendorff_alpha([(lines.candidate, lines.evaluated), (lines.reference, lines.evaluated)]))
        for name, lines in alignment.lines.items()
    }


def row_document(row: Row) -> Document:
    document = asdict(row)
    document["values"] = {name: asdict(value) for name, value in row.values.items()}
    return document


def precision_recall_curves(alignment: Alignment) -> dict[str, list[tuple[float, float]]]:
    """Activity to (recall, precision) points over falling thresholds, at most CURVE_POINTS of them."""
    curves = {}
    for i, name in enumerate(alignment.activities):
        windows = alignment.windows
        at = np.isfinite(windows.scores[:, i]) & windows.decided[:, i]
        scores, targets = windows.scores[at, i], windows.reference[at, i]
        if not targets.any():
            continue
        order = np.argsort(-scores, kind="stable")
        last = np.append(np.diff(scores[order]) != 0, True)
        hits = np.cumsum(targets[order])[last]
        claims = np.flatnonzero(last) + 1
        picked = np.unique(np.linspace(0, len(hits) - 1, CURVE_POINTS).round().astype(int))
        recall, precision = hits / targets.sum(), hits / claims
        curves[name] = [(float(recall[k]), float(precision[k])) for k in picked]
    return curves


def reliability_bins(found: Measured) -> dict[str, list[Document]]:
    """Activity to its bins: count, mean score, observed share; None where a bin is empty."""
    bins = found.sums["bins"].sum(axis=0).reshape(len(found.activities), NUM_BINS, 3)
    result = {}
    for name, sums in zip(found.activities, bins, strict=True):
        reliability = reliability_of(sums)
        result[name] = [
            {
                "count": int(count),
                "mean_score": float(mean) if count else None,
                "observed": float(observed) if count else None,
            }
            for count, mean, observed in zip(
                reliability.count, reliability.mean_score, reliability.observed, strict=True
            )
        ]
    return result


def instead(alignment: Alignment, resamples: Resamples) -> dict[str, dict[str, Document]]:
    """Confusion by activity, in windows, with intervals: what the reference has where an activity is claimed wrongly, and
    what the candidate claims where it is missed. Windows may count under several activities."""
    windows = alignment.windows
    table: dict[str, dict[str, Document]] = {}
    for i, name in enumerate(alignment.activities):
        wrong = windows.candidate[:, i] & ~windows.reference[:, i] & windows.decided[:, i]
        missed = ~windows.candidate[:, i] & windows.reference[:, i] & windows.decided[:, i]
        table[name] = {
            "claimed wrongly, there was": _there(alignment, resamples, windows.reference, wrong, leaving=i),
            "missed, it claimed": _there(alignment, resamples, windows.candidate, missed, leaving=i),
        }
    return table


def _there(
    alignment: Alignment, resamples: Resamples, side: NDArray[np.bool_], at: NDArray[np.bool_], *, leaving: int
) -> Document:
    """What `side` (W, A) has in the windows `at`, beside the activity that is left out."""
    rows, case = side[at], alignment.windows.case[at]
    columns = {name: rows[:, i] for i, name in enumerate(alignment.activities) if i != leaving}
    columns["nothing else"] = np.logical_not(np.delete(rows, leaving, axis=1).any(axis=1))
    columns["windows"] = np.ones(len(rows), bool)
    counts = {}
    for name, column in columns.items():
        by_case = np.bincount(case[column], minlength=len(alignment.cases)).astype(np.float64)
        counts[name] = asdict(value_of(float(by_case.sum()), resamples.weights @ by_case))
    return counts


def case_rows(alignment: Alignment, found: Measured, kept: Sequence[int], *, num_worst: int) -> list[Document]:
    """Every case by rising F1 of time; the first `num_worst` with both sources' segments."""
    f1 = ratios_of(found.sums["time"]).f1  # (C, A)
    macro = mean_defined(f1[:, list(kept)])
    order = np.lexsort((np.array(alignment.cases), np.where(np.isfinite(macro), macro, np.inf)))
    videos_of = {case: np.flatnonzero(alignment.case_of_video == case).tolist() for case in order[:num_worst].tolist()}
    return [
        {
            "case_id": alignment.cases[case],
            "hours": float(found.sums["time"][case, 0].sum()) / HOUR_US if len(alignment.activities) else 0.0,
            "f1": {name: _number(f1[case, i]) for i, name in enumerate(alignment.activities)},
            "macro_f1": _number(macro[case]),
            "videos": [_video_document(alignment, video) for video in videos_of.get(case, ())],
        }
        for case in order.tolist()
    ]


def balanced_document(alignment: Alignment, *, num_windows: int, seed: int) -> Document:
    """The study's class-balanced subset: equally many windows of every activity and of none, drawn once. Its figures
    flatter: rare activities are made common."""
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
    return {
        "num_windows": len(picked),
        "rows": {
            name: {
                "precision": _number(ratios.precision[i]),
                "recall": _number(ratios.recall[i]),
                "f1": _number(ratios.f1[i]),
                "support": int(counts[i, 0] + counts[i, 2]),
            }
            for i, name in enumerate(alignment.activities)
        },
    }


def clinical_document(clinical: Clinical) -> Document:
    return {
        "merge_gap_seconds": clinical.merge_gap_seconds,
        "zeros": {
            side: {
                str(zero.value if zero is not None else "none"): sum(case.zero is zero for case in cases)
                for zero in {case.zero for case in cases}
            }
            for side, cases in (("candidate", clinical.candidate), ("reference", clinical.reference))
        },
        "candidate": [asdict(summary) for summary in clinical.candidate_summary],
        "reference": [asdict(summary) for summary in clinical.reference_summary],
        "agreement": [{**vars(row), "bias": asdict(row.bias)} for row in clinical.agreement],  # pairs are many
        "cases": {
            side: {
                case.case_id: {
                    indicator.name: {"value": indicator.value, "reason": indicator.reason}
                    for indicator in case.indicators
                }
                for case in cases
            }
            for side, cases in (("candidate", clinical.candidate), ("reference", clinical.reference))
        },
    }


def _video_document(alignment: Alignment, video: int) -> Document:
    def pairs(spans: Spans) -> list[tuple[int, int]]:
        mine = spans.video == video
        return list(zip(spans.start_us[mine].tolist(), spans.end_us[mine].tolist(), strict=True))

    return {
        "path": alignment.paths[video],
        "evaluated": pairs(alignment.evaluated),
        "lanes": {
            name: {"candidate": pairs(lines.candidate), "reference": pairs(lines.reference)}
            for name, lines in alignment.lines.items()
        },
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
