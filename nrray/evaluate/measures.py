"""Figures of an alignment: sums per case first, then every metric as a function of sums, so that a resample of cases is
another set of sums and an interval costs no second pass over the data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nrray.evaluate.alignment import Alignment
from nrray.evaluate.ranked import IOUS, ranked_metrics
from nrray.evaluate.resampling import Resamples, Sums, Value, resampled_quantiles, value_of
from nrray.metrics.counts import counts_of, divided, matching_f1, mean_defined, ratios_of
from nrray.metrics.scored import NUM_BINS, expected_calibration_error, reliability_sums
from nrray.metrics.timelines import (
    Timelines,
    edit_sums,
    event_counts,
    false_alarms,
    onset_errors,
    segment_counts,
    time_counts,
)
from nrray.types import US_PER_SECOND

COLLAR_SECONDS = (0.5, 1.0, 2.0, 5.0)
ONSET_QUANTILES = {"median": 0.5, "lower quartile": 0.25, "upper quartile": 0.75}
HOUR_US = 3600 * US_PER_SECOND
NEED_NO_POSITIVES = ("windows specificity", "time specificity", "windows brier", "windows ece", "false alarms per hour")
RATIOS = ("precision", "recall", "f1", "specificity", "balanced_accuracy", "kappa")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One activity, or an average of several, with what it rests on."""

    name: str
    values: dict[str, Value]
    support_windows: int | None
    support_us: int | None
    num_segments: int | None
    num_cases_with: int | None


def case_sums(alignment: Alignment) -> Sums:
    """(C, A, k) sums of everything that adds up over cases."""
    windows, num_cases = alignment.windows, len(alignment.cases)
    counts = counts_of(windows.candidate, windows.reference) * windows.decided[:, :, None]
    sums: dict[str, NDArray[np.float64]] = {"windows": _by_case(counts, windows.case, num_cases)}
    scored = np.isfinite(windows.scores) & windows.decided
    errors = np.where(scored, (windows.scores - windows.reference) ** 2, 0.0)
    sums["brier"] = _by_case(np.stack([errors, scored], axis=-1), windows.case, num_cases)
    bins = [
        reliability_sums(windows.scores[at, i], windows.reference[at, i], windows.case[at], num_cases)
        for i, at in enumerate(scored.T)
    ]
    sums["bins"] = np.stack(bins, axis=1).reshape(num_cases, len(bins), -1)
    for key, per_video in line_sums(alignment.lines).items():
        sums[key] = _by_case(per_video, alignment.case_of_video, num_cases)
    return sums


def line_sums(lines_of: Mapping[str, Timelines]) -> Sums:
    """(V, A, k) sums of everything that timelines say, video by video."""
    per_video: dict[str, list[NDArray[np.int64]]] = {}
    for lines in lines_of.values():
        per_video.setdefault("time", []).append(time_counts(lines))
        per_video.setdefault("edit", []).append(edit_sums(lines))
        per_video.setdefault("alarms", []).append(false_alarms(lines)[:, None])
        for iou in IOUS:
            per_video.setdefault(f"segments {float(iou):g}", []).append(segment_counts(lines, iou))
        for seconds in COLLAR_SECONDS:
            for with_offset in (False, True):
                counts_of_events = event_counts(lines, round(seconds * US_PER_SECOND), with_offset=with_offset)
                per_video.setdefault(f"events {seconds:g} {with_offset}", []).append(counts_of_events)
    return {key: np.stack(arrays, axis=1).astype(np.float64) for key, arrays in per_video.items()}


def metrics_of(sums: Sums) -> dict[str, NDArray[np.float64]]:
    """Metric name to (..., A) values."""
    values: dict[str, NDArray[np.float64]] = {}
    for level in ("windows", "time"):
        ratios = ratios_of(sums[level])
        for name in RATIOS:
            values[f"{level} {name}"] = getattr(ratios, name)
    values["windows brier"] = divided(sums["brier"][..., 0], sums["brier"][..., 1])
    bins = sums["bins"].reshape(*sums["bins"].shape[:-1], NUM_BINS, 3)
    values["windows ece"] = expected_calibration_error(bins)
    for iou in IOUS:
        values[f"segments f1 at tIoU {float(iou):g}"] = matching_f1(sums[f"segments {float(iou):g}"])
    values["segments edit score"] = 1 - divided(sums["edit"][..., 0], sums["edit"][..., 1])
    for seconds in COLLAR_SECONDS:
        values[f"events onset f1 within {seconds:g} s"] = matching_f1(sums[f"events {seconds:g} False"])
        values[f"events onset and offset f1 within {seconds:g} s"] = matching_f1(sums[f"events {seconds:g} True"])
    hours = sums["time"].sum(axis=-1) / HOUR_US
    values["false alarms per hour"] = divided(sums["alarms"][..., 0], hours)
    return values


@dataclass(frozen=True, kw_only=True)
class Measured:
    """estimates: metric to (A,); resampled: metric to (B, A). Averages are taken of these, over what the reference shows: (A,)
    and, of the resamples, (B, A)."""

    activities: tuple[str, ...]
    estimates: dict[str, NDArray[np.float64]]
    resampled: dict[str, NDArray[np.float64]]
    sums: Sums  # (C, A, k)
    micro: dict[str, tuple[float, NDArray[np.float64]]]  # metric to estimate and (B,)
    shown: NDArray[np.bool_]
    shown_resampled: NDArray[np.bool_]


def measured(alignment: Alignment, resamples: Resamples) -> Measured:
    """All metrics, once on all cases and once per resample."""
    sums = case_sums(alignment)
    total = {name: part.sum(axis=0) for name, part in sums.items()}
    drawn = resamples.sums(sums)
    estimates, resampled = metrics_of(total), metrics_of(drawn)
    for name, (estimate, spread) in ranked_metrics(alignment, resamples).items():
        estimates[name], resampled[name] = estimate, spread
    pooled = metrics_of({name: part.sum(axis=-2, keepdims=True) for name, part in total.items()})
    pooled_drawn = metrics_of({name: part.sum(axis=-2, keepdims=True) for name, part in drawn.items()})
    micro = {name: (float(pooled[name][0]), pooled_drawn[name][:, 0]) for name in pooled}
    return Measured(
        activities=alignment.activities,
        estimates=estimates,
        resampled=resampled,
        sums=sums,
        micro=micro,
        shown=_reference_us(total["time"]) > 0,
        shown_resampled=_reference_us(drawn["time"]) > 0,
    )


def rows_of(found: Measured, *, without: Sequence[str]) -> list[Row]:
    """A row per activity, then macro and micro over all, then over those not in `without`. Micro leaves out what is no
    ratio of pooled counts."""
    counts, time = found.sums["windows"], found.sums["time"]
    segments = found.sums[f"segments {float(IOUS[0]):g}"]
    rows = []
    for i, name in enumerate(found.activities):
        values = {
            metric: value_of(float(found.estimates[metric][i]), found.resampled[metric][:, i])
            for metric in found.estimates
        }
        rows.append(
            Row(
                name=name,
                values=values,
                support_windows=int(counts[:, i, 0].sum() + counts[:, i, 2].sum()),
                support_us=int(time[:, i, 0].sum() + time[:, i, 2].sum()),
                num_segments=int(segments[:, i, 2].sum()),
                num_cases_with=int((time[:, i, 0] + time[:, i, 2] > 0).sum()),
            )
        )
    rows.append(_average("macro", found, list(range(len(found.activities)))))
    kept = [i for i, name in enumerate(found.activities) if name not in without]
    if 0 < len(kept) < len(found.activities):
        rows.append(_average(f"macro without {', '.join(without)}", found, kept))
    rows.append(_plain_row("micro", {name: value_of(*pair) for name, pair in found.micro.items()}))
    return rows


def averaged(found: Measured, metric: str) -> NDArray[np.float64]:
    """(A,) what a macro average is taken of. What the reference does not show has no part in it where a metric is about what
    was found: one false alarm would move the mean by as much as an activity that is always missed."""
    estimates = found.estimates[metric]
    return estimates if metric in NEED_NO_POSITIVES else np.where(found.shown, estimates, np.nan)


def macro_values(
    found: Measured, metric: str, kept: Sequence[int], *, undefined: NDArray[np.bool_] | None = None
) -> tuple[float, NDArray[np.float64]]:
    """The mean over some activities, and (B,) of the resamples, in which what is (B, A) `undefined` has no part either."""
    is_out = np.zeros_like(found.shown_resampled) if metric in NEED_NO_POSITIVES else ~found.shown_resampled
    if undefined is not None:
        is_out = is_out | undefined
    resampled = np.where(is_out, np.nan, found.resampled[metric])
    mine = list(kept)
    return float(mean_defined(averaged(found, metric)[mine])), mean_defined(resampled[:, mine])


def onset_summary(alignment: Alignment, resamples: Resamples, *, collar_seconds: float = 5.0) -> dict[str, Row]:
    """Activity to median, quartiles and number of the signed onset errors of events matched within the collar, in
    seconds: above 0 is late."""
    rows = {}
    for name in alignment.activities:
        found = onset_errors(alignment.lines[name], round(collar_seconds * US_PER_SECOND))
        error_s = found.error_us / US_PER_SECOND
        shares = list(ONSET_QUANTILES.values())
        exact = np.quantile(error_s, shares, method="inverted_cdf") if len(error_s) else np.full(len(shares), np.nan)
        spread = resampled_quantiles(error_s, alignment.case_of_video[found.video], resamples, shares)
        values = {label: value_of(float(exact[i]), spread[:, i]) for i, label in enumerate(ONSET_QUANTILES)}
        rows[name] = _plain_row(name, values, num_segments=len(error_s))
    return rows


def _by_case(values: NDArray[np.generic], case: NDArray[np.int64], num_cases: int) -> NDArray[np.float64]:
    sums = np.zeros((num_cases, *values.shape[1:]))
    np.add.at(sums, case, values)
    return sums


def _reference_us(time: NDArray[np.float64]) -> NDArray[np.float64]:
    reference_us: NDArray[np.float64] = time[..., 0] + time[..., 2]  # found and missed
    return reference_us


def _average(name: str, found: Measured, kept: Sequence[int]) -> Row:
    return _plain_row(name, {metric: value_of(*macro_values(found, metric, kept)) for metric in found.estimates})


def _plain_row(name: str, values: dict[str, Value], *, num_segments: int | None = None) -> Row:
    return Row(
        name=name, values=values, support_windows=None, support_us=None, num_segments=num_segments, num_cases_with=None
    )
