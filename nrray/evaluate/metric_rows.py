"""Rows of figures: the metrics of one activity, or of an average over activities, as values with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nrray.evaluate.alignment import Alignment
from nrray.evaluate.average_precision import IOUS
from nrray.evaluate.measures import Measures, bounds_of, macro_average
from nrray.metrics.jackknife import Value, quantiles_of, value_of
from nrray.metrics.timelines import onset_errors
from nrray.types import US_PER_SECOND

ONSET_QUANTILES = {"median": 0.5, "lower quartile": 0.25, "upper quartile": 0.75}
MACRO, MICRO = "macro", "micro"


@dataclass(frozen=True, kw_only=True)
class MetricRow:
    """The metrics of one activity, or an average over several, with the amount of reference that they rest on; None of an
    average, and of an activity that is not labelled."""

    name: str
    values: Mapping[str, Value]
    support_windows: int | None
    support_us: int | None
    num_segments: int | None
    num_cases_with: int | None


def metric_rows(measures: Measures, *, excluded_from_macro: Sequence[str]) -> list[MetricRow]:
    """A row per activity, then macro over all, macro without those of `excluded_from_macro`, and micro, which has only ratios
    of pooled counts."""
    activities = measures.activities
    rows = [_activity_row(measures, i) for i in range(len(activities))]
    rows.append(_average(MACRO, measures, list(range(len(activities)))))
    macro = [i for i, name in enumerate(activities) if name not in excluded_from_macro]
    if 0 < len(macro) < len(activities):
        rows.append(_average(macro_row_name(excluded_from_macro), measures, macro))
    rows.append(_plain_row(MICRO, {name: value_of(figure, bounds_of(name)) for name, figure in measures.micro.items()}))
    return rows


def macro_row_name(excluded_from_macro: Sequence[str]) -> str:
    """The name of the row whose macro average excludes some activities."""
    return f"{MACRO} without {', '.join(excluded_from_macro)}"


def onset_error_rows(alignment: Alignment, *, collar_seconds: float = 5.0) -> dict[str, MetricRow]:
    """Activity to median, quartiles and number of the signed onset errors of events matched within the collar, in
    seconds: above 0 is late."""
    rows = {}
    for name, is_labelled in zip(alignment.activities, alignment.is_labelled.tolist(), strict=True):
        errors = onset_errors(alignment.timelines[name], round(collar_seconds * US_PER_SECOND))
        error_s = errors.error_us / US_PER_SECOND
        case = alignment.case_of_video[errors.video]
        quantiles = quantiles_of(error_s, case, list(ONSET_QUANTILES.values()), num_cases=len(alignment.cases))
        values = dict(zip(ONSET_QUANTILES, quantiles, strict=True))
        rows[name] = _plain_row(name, values, num_segments=len(error_s) if is_labelled else None)
    return rows


def _activity_row(measures: Measures, i: int) -> MetricRow:
    counts, time = measures.sums["windows"][:, i], measures.sums["time"][:, i]
    is_labelled = bool(measures.is_labelled[i])
    return MetricRow(
        name=measures.activities[i],
        values={metric: value_of(rows[:, i], bounds_of(metric)) for metric, rows in measures.values.items()},
        support_windows=int(counts[:, 0].sum() + counts[:, 2].sum()) if is_labelled else None,
        support_us=int(time[:, 0].sum() + time[:, 2].sum()) if is_labelled else None,
        num_segments=int(measures.sums[f"segments {float(IOUS[0]):g}"][:, i, 2].sum()) if is_labelled else None,
        num_cases_with=int((time[:, 0] + time[:, 2] > 0).sum()) if is_labelled else None,
    )


def _average(name: str, measures: Measures, activities: Sequence[int]) -> MetricRow:
    return _plain_row(
        name,
        {
            metric: value_of(macro_average(measures, metric, activities), bounds_of(metric))
            for metric in measures.values
        },
    )


def _plain_row(name: str, values: dict[str, Value], *, num_segments: int | None = None) -> MetricRow:
    return MetricRow(
        name=name, values=values, support_windows=None, support_us=None, num_segments=num_segments, num_cases_with=None
    )
