"""Indicators over cases, of each labelling, and their agreement (Bland and Altman 1986)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nrray.archive.cases import Cases
from nrray.evaluate.indicators import CaseIndicators, CaseTimeline, Indicator, IndicatorUnit, case_indicators
from nrray.evaluate.labelling import Labelling
from nrray.evaluate.sides import Sides
from nrray.intervals import Interval
from nrray.labels import LabelSet
from nrray.metrics.counts import divided
from nrray.metrics.jackknife import (
    AMOUNT,
    SHARE,
    SIGNED_SHARE,
    UNBOUNDED,
    Bounds,
    Value,
    jackknifed_sums,
    quantiles_of,
    value_of,
)
from nrray.metrics.spans import Spans, intersection, spans_of, union_by_video
from nrray.types import US_PER_SECOND

_BOUNDS = {
    IndicatorUnit.SECONDS: UNBOUNDED,
    IndicatorUnit.COUNT: AMOUNT,
    IndicatorUnit.SHARE: SHARE,
    IndicatorUnit.YES: SHARE,
}


@dataclass(frozen=True, kw_only=True)
class IndicatorSummary:
    """One indicator over the cases of one labelling: it is known of `num_known` out of `num_cases`; `reason` is why it is known
    of none, where all cases share one."""

    name: str
    unit: IndicatorUnit
    num_cases: int
    num_known: int
    median: Value  # undefined, as the quartiles, for a yes/no indicator
    lower_quartile: float | None
    upper_quartile: float | None
    mean: Value  # of a yes/no indicator the share
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class IndicatorAgreement:
    """Candidate minus reference over the cases where both are known; limits are bias -+ 1.96 sample standard deviations, None
    below three cases and for yes/no indicators, whose differences have no normal distribution. For those `bias` is the
    difference of the shares and `num_equal` counts agreement."""

    name: str
    unit: IndicatorUnit
    num_pairs: int
    num_equal: int
    bias: Value
    lower_limit: float | None
    upper_limit: float | None
    pairs: tuple[tuple[str, float, float], ...]  # case, candidate, reference


@dataclass(frozen=True, kw_only=True)
class CaseValue:
    """One indicator of one case: a value, or None and the reason."""

    value: float | None
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class ClinicalIndicators:
    """Indicators of both labellings, in one order. zeros: the number of cases by the zero that they count from; unseen: the
    zero and the arrival between which no camera sees the case, where the label set names both; cases: case_id to indicator to
    value."""

    merge_gap_seconds: float
    zeros: Sides[Mapping[str, int]]
    candidate: tuple[IndicatorSummary, ...]
    reference: tuple[IndicatorSummary, ...]
    agreement: tuple[IndicatorAgreement, ...]
    cases: Sides[Mapping[str, Mapping[str, CaseValue]]]
    unseen: tuple[str, str] | None = None


def clinical_indicators(
    candidate: Labelling,
    reference: Labelling,
    label_set: LabelSet,
    *,
    cases: Cases,
    case_ids: Sequence[str],
    merge_gap_seconds: float,
) -> ClinicalIndicators:
    """The label set's indicators of the cases `case_ids` in the time that each labelling examined; activities of several
    cameras are joined."""
    gap_us = round(merge_gap_seconds * US_PER_SECOND)
    ours, theirs = (
        [
            case_indicators(timeline, label_set, merge_gap_us=gap_us)
            for timeline in case_timelines(labelling, cases=cases, case_ids=case_ids)
        ]
        for labelling in (candidate, reference)
    )
    return ClinicalIndicators(
        merge_gap_seconds=merge_gap_seconds,
        zeros=Sides(candidate=_zeros(ours), reference=_zeros(theirs)),
        candidate=tuple(summaries(ours)),
        reference=tuple(summaries(theirs)),
        agreement=tuple(agreements(ours, theirs)),
        cases=Sides(candidate=_case_values(ours), reference=_case_values(theirs)),
        unseen=_unseen(label_set),
    )


def case_timelines(labelling: Labelling, *, cases: Cases, case_ids: Sequence[str]) -> list[CaseTimeline]:
    """The cases `case_ids`, each on its own clock. A video without a sidecar row begins at 0."""
    index_of = {case_id: index for index, case_id in enumerate(case_ids)}
    moved = np.array([index_of.get(case_id, -1) for case_id in cases.case_ids(labelling.paths)], np.int64)
    rows = [cases.by_path.get(path) for path in labelling.paths]
    shift = np.array([0 if row is None else row.video_start_us for row in rows], np.int64)

    def on_case_clock(spans: Spans) -> Spans:
        case = moved[spans.video]
        kept = case >= 0
        offset = shift[spans.video][kept]
        return union_by_video(spans_of(case[kept], spans.start_us[kept] + offset, spans.end_us[kept] + offset))

    examined = on_case_clock(labelling.examined)
    by_activity = {
        name: _intervals_by_case(intersection(on_case_clock(spans), examined), len(case_ids))
        for name, spans in labelling.segments.items()
        if name not in labelling.unlabelled
    }
    answered = {
        name: _intervals_by_case(on_case_clock(labelling.answered(name)), len(case_ids)) for name in by_activity
    }
    examined_by_case = _intervals_by_case(examined, len(case_ids))
    rows_of = cases.rows_by_case()
    return [
        CaseTimeline(
            case_id=case_id,
            intervals={activity: by_case[i] for activity, by_case in by_activity.items()},
            examined=examined_by_case[i],
            answered={activity: by_case[i] for activity, by_case in answered.items()},
            start_us=min((row.video_start_us for row in rows_of.get(case_id, ())), default=0),
            instants=rows_of[case_id][0].instants if case_id in rows_of else {},
        )
        for i, case_id in enumerate(case_ids)
    ]


def summaries(cases: Sequence[CaseIndicators]) -> list[IndicatorSummary]:
    """Each indicator over all cases, in the order of a case's indicators."""
    by_case = _values(cases)
    units = [indicator.unit for indicator in cases[0].indicators] if cases else []
    means = _means(by_case, [_BOUNDS[unit] for unit in units])
    found = []
    for column, indicator in enumerate(cases[0].indicators if cases else ()):
        is_known = np.isfinite(by_case[:, column])
        known = by_case[is_known, column]
        is_share = indicator.unit is IndicatorUnit.YES  # of yes and no the mean says all
        ordered = known[:0] if is_share else known
        (median,) = quantiles_of(ordered, np.arange(len(ordered)), [0.5], num_cases=len(ordered))
        lower, middle, upper = np.percentile(ordered, [25, 50, 75]).tolist() if len(ordered) else (None, None, None)
        found.append(
            IndicatorSummary(
                name=indicator.name,
                unit=indicator.unit,
                num_cases=len(cases),
                num_known=len(known),
                median=Value(estimate=middle, low=median.low, high=median.high),
                lower_quartile=lower,
                upper_quartile=upper,
                mean=means[column],
                reason=_shared_reason([case.indicators[column] for case in cases]),
            )
        )
    return found


def agreements(candidate: Sequence[CaseIndicators], reference: Sequence[CaseIndicators]) -> list[IndicatorAgreement]:
    """Bias and limits of agreement of every indicator."""
    ours, theirs = _values(candidate), _values(reference)
    units = [indicator.unit for indicator in candidate[0].indicators] if candidate else []
    biases = _means(ours - theirs, [SIGNED_SHARE if _BOUNDS[unit] == SHARE else UNBOUNDED for unit in units])
    found = []
    for column, indicator in enumerate(candidate[0].indicators if candidate else ()):
        rows = np.flatnonzero(np.isfinite(ours[:, column] - theirs[:, column]))
        left, right, bias = ours[rows, column], theirs[rows, column], biases[column]
        spread = (
            1.96 * float((left - right).std(ddof=1))
            if len(rows) >= 3 and indicator.unit is not IndicatorUnit.YES
            else None
        )
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


def _shared_reason(indicators: Sequence[Indicator]) -> str | None:
    reasons = {indicator.reason for indicator in indicators}
    return reasons.pop() if len(reasons) == 1 else None


def _zeros(cases: Sequence[CaseIndicators]) -> dict[str, int]:
    """Zero to its number of cases, the commonest first, "none" for cases with nothing to count from."""
    return dict(Counter("none" if case.zero is None else case.zero for case in cases).most_common())


def _unseen(label_set: LabelSet) -> tuple[str, str] | None:
    clock = label_set.clock
    if clock.arrival is None or not clock.zero or clock.zero[0] == clock.arrival:
        return None
    return clock.zero[0].replace("_", " "), clock.arrival.replace("_", " ")


def _case_values(cases: Sequence[CaseIndicators]) -> dict[str, dict[str, CaseValue]]:
    return {
        case.case_id: {each.name: CaseValue(value=each.value, reason=each.reason) for each in case.indicators}
        for case in cases
    }


def _values(cases: Sequence[CaseIndicators]) -> NDArray[np.float64]:
    """(C, K) of K indicators, NaN where the value is unknown."""
    rows = [[np.nan if each.value is None else each.value for each in case.indicators] for case in cases]
    return np.array(rows, np.float64)


def _means(by_case: NDArray[np.float64], bounds: Sequence[Bounds]) -> list[Value]:
    """K means of (C, K) values over the cases whose value is not NaN, with their intervals; bounds: of each."""
    if by_case.size == 0:
        return []
    known = np.isfinite(by_case)
    means = divided(jackknifed_sums(np.where(known, by_case, 0.0)), jackknifed_sums(known.astype(np.float64)))
    return [value_of(means[:, column], each) for column, each in enumerate(bounds)]


def _intervals_by_case(spans: Spans, num_cases: int) -> list[list[Interval]]:
    found: list[list[Interval]] = [[] for _ in range(num_cases)]
    for case, start, end in zip(spans.video.tolist(), spans.start_us.tolist(), spans.end_us.tolist(), strict=True):
        found[case].append(Interval(start_us=start, end_us=end))
    return found
