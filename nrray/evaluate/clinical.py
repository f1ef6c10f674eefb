"""Clinical indicators over cases, from each source, and how the two sources agree on them (Bland and Altman 1986)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nrray.evaluate.indicators import CaseIndicators, CaseTimeline, case_indicators
from nrray.evaluate.resampling import Resamples, Value, resampled_quantiles, value_of
from nrray.evaluate.source import Source
from nrray.intervals import Interval
from nrray.metrics.counts import divided
from nrray.metrics.spans import Spans, intersection, spans_of, union_by_video
from nrray.types import US_PER_SECOND, Case


@dataclass(frozen=True, kw_only=True)
class IndicatorSummary:
    """One indicator over cases, from one source: of `num_cases` cases it can be said of `num_known`."""

    name: str
    unit: str
    num_cases: int
    num_known: int
    median: Value  # undefined, as the quartiles, for a yes/no indicator
    lower_quartile: float | None
    upper_quartile: float | None
    mean: Value  # of a yes/no indicator the share


@dataclass(frozen=True, kw_only=True)
class IndicatorAgreement:
    """Candidate minus reference over the cases where both are known; limits are bias -+ 1.96 standard deviations, None
    below three cases and for yes/no indicators, whose differences are no bell. For those `bias` is the difference of the
    shares and `num_equal` counts agreement."""

    name: str
    unit: str
    num_pairs: int
    num_equal: int
    bias: Value
    lower_limit: float | None
    upper_limit: float | None
    pairs: tuple[tuple[str, float, float], ...]  # case, candidate, reference


@dataclass(frozen=True, kw_only=True)
class Clinical:
    """Indicators of both sources."""

    merge_gap_seconds: float
    candidate: list[CaseIndicators]
    reference: list[CaseIndicators]
    candidate_summary: list[IndicatorSummary]
    reference_summary: list[IndicatorSummary]
    agreement: list[IndicatorAgreement]


def clinical(
    candidate: Source,
    reference: Source,
    *,
    case_of_path: Mapping[str, str],
    sidecar: Mapping[str, Case],
    cases: Sequence[str],
    merge_gap_seconds: float,
    resamples: Resamples,
) -> Clinical:
    """Indicators of `cases` from each source, on what that source looked at; activities of several cameras are joined."""
    gap_us = round(merge_gap_seconds * US_PER_SECOND)
    ours, theirs = (
        [
            case_indicators(timeline, merge_gap_us=gap_us)
            for timeline in case_timelines(source, case_of_path=case_of_path, sidecar=sidecar, cases=cases)
        ]
        for source in (candidate, reference)
    )
    return Clinical(
        merge_gap_seconds=merge_gap_seconds,
        candidate=ours,
        reference=theirs,
        candidate_summary=summaries(ours, resamples),
        reference_summary=summaries(theirs, resamples),
        agreement=agreements(ours, theirs, resamples),
    )


def case_timelines(
    source: Source, *, case_of_path: Mapping[str, str], sidecar: Mapping[str, Case], cases: Sequence[str]
) -> list[CaseTimeline]:
    """Every case on its own clock. A video without a sidecar row stands at 0."""
    place = {name: index for index, name in enumerate(cases)}
    moved = np.array([place.get(case_of_path.get(path, path), -1) for path in source.paths], np.int64)
    shift = np.array([sidecar[path].video_start_us if path in sidecar else 0 for path in source.paths], np.int64)

    def on_case_clock(spans: Spans) -> Spans:
        case = moved[spans.video]
        kept = case >= 0
        offset = shift[spans.video][kept]
        return union_by_video(spans_of(case[kept], spans.start_us[kept] + offset, spans.end_us[kept] + offset))

    looked_at = on_case_clock(source.looked_at)
    by_activity = {
        name: _lists(intersection(on_case_clock(spans), looked_at), len(cases))
        for name, spans in source.segments.items()
    }
    looked_lists = _lists(looked_at, len(cases))
    first_row = {case_of_path.get(path, path): row for path, row in sorted(sidecar.items(), reverse=True)}
    return [
        CaseTimeline(
            case_id=name,
            intervals={activity: lists[i] for activity, lists in by_activity.items()},
            looked_at=looked_lists[i],
            birth_us=first_row[name].birth_us if name in first_row else None,
            table_arrival_us=first_row[name].table_arrival_us if name in first_row else None,
        )
        for i, name in enumerate(cases)
    ]


def summaries(cases: Sequence[CaseIndicators], resamples: Resamples) -> list[IndicatorSummary]:
    """Each indicator over all cases, in the order of the cases' own."""
    by_case = _values(cases)
    means = _means(by_case, resamples)
    found = []
    for column, indicator in enumerate(cases[0].indicators if cases else ()):
        is_known = np.isfinite(by_case[:, column])
        known = by_case[is_known, column]
        is_share = indicator.unit == "yes"  # of yes and no the mean says all
        counted = known[:0] if is_share else known
        medians = resampled_quantiles(counted, np.flatnonzero(is_known), resamples, [0.5])[:, 0]
        lower, middle, upper = np.percentile(counted, [25, 50, 75]).tolist() if len(counted) else (None, None, None)
        found.append(
            IndicatorSummary(
                name=indicator.name,
                unit=indicator.unit,
                num_cases=len(cases),
                num_known=len(known),
                median=value_of(np.nan if middle is None else middle, medians),
                lower_quartile=lower,
                upper_quartile=upper,
                mean=means[column],
            )
        )
    return found


def agreements(
    candidate: Sequence[CaseIndicators], reference: Sequence[CaseIndicators], resamples: Resamples
) -> list[IndicatorAgreement]:
    """Bias and limits of agreement of every indicator."""
    ours, theirs = _values(candidate), _values(reference)
    biases = _means(ours - theirs, resamples)
    found = []
    for column, indicator in enumerate(candidate[0].indicators if candidate else ()):
        rows = np.flatnonzero(np.isfinite(ours[:, column] - theirs[:, column]))
        left, right, bias = ours[rows, column], theirs[rows, column], biases[column]
        spread = 1.96 * float((left - right).std(ddof=1)) if len(rows) >= 3 and indicator.unit != "yes" else None
        limits = None if spread is None or bias.estimate is None else (bias.estimate - spread, bias.estimate + spread)
        found.append(
            IndicatorAgreement(
                name=indicator.name,
                unit=indicator.unit,
                num_pairs=len(rows),
                num_equal=int((left == right).sum()),
                bias=bias,
                lower_limit=limits[0] if limits else None,
                upper_limit=limits[1] if limits else None,
                pairs=tuple(
                    (candidate[row].case_id, *pair)
                    for row, *pair in zip(rows.tolist(), left.tolist(), right.tolist(), strict=True)
                ),
            )
        )
    return found


def _values(cases: Sequence[CaseIndicators]) -> NDArray[np.float64]:
    """(C, K) of K indicators, NaN where one cannot be said."""
    rows = [[np.nan if each.value is None else each.value for each in case.indicators] for case in cases]
    return np.array(rows, np.float64)


def _means(by_case: NDArray[np.float64], resamples: Resamples) -> list[Value]:
    """K means of (C, K) values over the cases that have one (not NaN), with their intervals."""
    if by_case.size == 0:
        return []
    known = np.isfinite(by_case)
    filled = np.where(known, by_case, 0.0)
    estimates = divided(filled.sum(axis=0), known.sum(axis=0))
    resampled = divided(resamples.weights @ filled, resamples.weights @ known.astype(np.float64))
    return [value_of(float(estimate), resampled[:, column]) for column, estimate in enumerate(estimates)]


def _lists(spans: Spans, num_cases: int) -> list[list[Interval]]:
    found: list[list[Interval]] = [[] for _ in range(num_cases)]
    for case, start, end in zip(spans.video.tolist(), spans.start_us.tolist(), spans.end_us.tolist(), strict=True):
        found[case].append(Interval(start_us=start, end_us=end))
    return found
