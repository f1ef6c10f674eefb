"""Metrics of an alignment: sums per case first, then every metric as a function of sums, so that an archive without one of its
cases is another set of sums and an interval costs no second pass over the data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nrray.evaluate.alignment import Alignment
from nrray.evaluate.average_precision import IOUS, average_precision_metrics
from nrray.metrics.calibration import NUM_BINS, expected_calibration_error, reliability_sums
from nrray.metrics.counts import counts_of, divided, matching_f1, mean_defined, ratios_of
from nrray.metrics.jackknife import AMOUNT, SHARE, SIGNED_SHARE, Bounds, Jackknifed, Sums, jackknifed_sums
from nrray.metrics.timelines import (
    Timelines,
    edit_sums,
    false_alarms,
    onset_counts,
    onset_offset_counts,
    segment_counts,
    time_counts,
)
from nrray.types import US_PER_HOUR, US_PER_SECOND

COLLAR_SECONDS = (0.5, 1.0, 2.0, 5.0)
NEED_NO_POSITIVES = ("windows specificity", "time specificity", "windows brier", "windows ece", "false alarms per hour")
RATIOS = ("precision", "recall", "f1", "specificity", "balanced_accuracy", "kappa")


def case_sums(alignment: Alignment) -> Sums:
    """(C, A, k) sums of each case, which add up over cases."""
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
    for key, per_video in timeline_sums(alignment.timelines).items():
        sums[key] = _by_case(per_video, alignment.case_of_video, num_cases)
    return sums


def timeline_sums(timelines_of: Mapping[str, Timelines]) -> Sums:
    """(V, A, k) sums of time, segments, runs and events, video by video; timelines_of: by activity."""
    per_video: dict[str, list[NDArray[np.int64]]] = {}
    for timelines in timelines_of.values():
        per_video.setdefault("time", []).append(time_counts(timelines))
        per_video.setdefault("edit", []).append(edit_sums(timelines))
        per_video.setdefault("alarms", []).append(false_alarms(timelines)[:, None])
        for iou in IOUS:
            per_video.setdefault(f"segments {float(iou):g}", []).append(segment_counts(timelines, iou))
        for seconds in COLLAR_SECONDS:
            collar_us = round(seconds * US_PER_SECOND)
            per_video.setdefault(f"onset {seconds:g}", []).append(onset_counts(timelines, collar_us))
            per_video.setdefault(f"onset and offset {seconds:g}", []).append(onset_offset_counts(timelines, collar_us))
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
        values[f"events onset f1 within {seconds:g} s"] = matching_f1(sums[f"onset {seconds:g}"])
        values[f"events onset and offset f1 within {seconds:g} s"] = matching_f1(sums[f"onset and offset {seconds:g}"])
    hours = sums["time"].sum(axis=-1) / US_PER_HOUR
    values["false alarms per hour"] = divided(sums["alarms"][..., 0], hours)
    return values


def bounds_of(metric: str) -> Bounds:
    """The values that a metric can have."""
    if metric == "false alarms per hour":
        return AMOUNT
    return SIGNED_SHARE if metric.endswith("kappa") else SHARE


@dataclass(frozen=True, kw_only=True)
class Measures:
    """values: metric to (1 + 2C, A) of all cases, without each case, and of each case alone, as in `Jackknifed`; micro: metric to
    (1 + 2C,). Macro averages are over the activities that the reference has: (1 + 2C, A). All figures of an activity that is not
    labelled are NaN."""

    activities: tuple[str, ...]
    values: dict[str, NDArray[np.float64]]
    sums: Sums  # (C, A, k)
    micro: dict[str, Jackknifed]
    is_labelled: NDArray[np.bool_]  # by both
    is_in_reference: NDArray[np.bool_]

    @property
    def estimates(self) -> dict[str, NDArray[np.float64]]:
        """Metric to (A,), of all cases."""
        return {metric: rows[0] for metric, rows in self.values.items()}


def measures_of(alignment: Alignment) -> Measures:
    """All metrics, on all cases, without each case, and of each case alone."""
    sums = case_sums(alignment)
    jackknifed = {name: jackknifed_sums(part) for name, part in sums.items()}
    pooled = metrics_of({name: part.sum(axis=-2, keepdims=True) for name, part in jackknifed.items()})
    is_in_reference = _reference_us(jackknifed["time"]) > 0
    is_in_reference[1 + len(alignment.cases) :] = is_in_reference[0]  # of a case alone, wrong claims count too
    return Measures(
        activities=alignment.activities,
        values=metrics_of(jackknifed) | average_precision_metrics(alignment),
        sums=sums,
        micro={name: rows[:, 0] for name, rows in pooled.items()},
        is_labelled=alignment.is_labelled,
        is_in_reference=is_in_reference,
    )


def macro_terms(measures: Measures, metric: str) -> NDArray[np.float64]:
    """(1 + 2C, A) the values that a macro average is taken over, NaN for none. An activity that the reference does not have is
    none, but for false alarms and the like: one false alarm would move the mean by as much as an activity that is always
    missed."""
    values = measures.values[metric]
    return values if metric in NEED_NO_POSITIVES else np.where(measures.is_in_reference, values, np.nan)


def macro_average(
    measures: Measures, metric: str, activities: Sequence[int], *, undefined: NDArray[np.bool_] | None = None
) -> Jackknifed:
    """The mean over some activities, without those that are (1 + 2C, A) `undefined`."""
    terms = macro_terms(measures, metric)
    if undefined is not None:
        terms = np.where(undefined, np.nan, terms)
    return mean_defined(terms[:, list(activities)])


def _by_case(values: NDArray[np.generic], case: NDArray[np.int64], num_cases: int) -> NDArray[np.float64]:
    sums = np.zeros((num_cases, *values.shape[1:]))
    np.add.at(sums, case, values)
    return sums


def _reference_us(time: NDArray[np.float64]) -> NDArray[np.float64]:
    reference_us: NDArray[np.float64] = time[..., 0] + time[..., 2]  # claimed and missed
    return reference_us
