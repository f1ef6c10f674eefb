"""Several sources against one reference on the same cases and time: paired differences, and what may be claimed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from nrray.errors import DataError
from nrray.evaluate.alignment import Alignment, aligned, common_paths, restricted, shared_paths
from nrray.evaluate.guesses import guess_rows
from nrray.evaluate.measures import Measured, averaged, macro_values, measured
from nrray.evaluate.resampling import Value, few_cases_notes, resamples_of, value_of
from nrray.evaluate.source import Source
from nrray.labels import Activity
from nrray.metrics.agreement import krippendorff_alpha
from nrray.metrics.spans import intersection, union_by_video

ERROR_RATE = 0.05


@dataclass(frozen=True, kw_only=True)
class Difference:
    """`first` minus `second` on the same resamples. The interval of `value` is adjusted (Bonferroni): all intervals of
    one comparison hold together in 95 of 100 archives like this one."""

    first: str
    second: str
    what: str  # an activity, or the macro average
    value: Value
    num_adjusted_for: int


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """values: source to what was measured (macro first) with its own 95 % interval."""

    metric: str
    num_cases: int
    hours: float
    values: dict[str, dict[str, Value]]
    differences: list[Difference]
    notes: list[str]  # what a reader must know before the sentences
    sentences: list[str]
    baselines: dict[str, dict[str, float | None]]  # what no model would get
    alpha: dict[str, float | None]  # Krippendorff's, of all sources and the reference, per activity


def compared(
    sources: Sequence[Source],
    reference: Source,
    *,
    activities: Sequence[Activity],
    case_of_path: Mapping[str, str],
    only_cases: frozenset[str] | None,
    notes: Sequence[str],
    without: Sequence[str],
    metric: str,
    num_resamples: int,
    seed: int,
) -> Comparison:
    """All sources where all of them and the reference looked. Raises DataError for names that repeat, an unknown metric,
    or nothing in common."""
    names = [source.name for source in sources]
    if len(set(names)) < len(names):
        raise DataError(f"compare: sources are named {', '.join(names)}, expected different names. Give names=[...].")
    known = common_paths([*sources, reference], case_of_path, only_cases)
    paths = shared_paths([*sources, reference], known) or known
    within = union_by_video(restricted(reference, paths).looked_at)
    for source in sources:
        within = union_by_video(intersection(within, restricted(source, paths).looked_at))
    alignments = [
        aligned(source, reference, activities=activities, case_of_path=case_of_path, within=within, paths=paths)
        for source in sources
    ]
    resamples = resamples_of(len(alignments[0].cases), num_resamples=num_resamples, seed=seed)
    found = [measured(alignment, resamples) for alignment in alignments]
    if metric not in found[0].estimates:
        raise DataError(f"compare: found metric {metric!r}, expected one of: {'; '.join(found[0].estimates)}.")
    # Sources are averaged over the same activities: what the metric does not define for one of them counts for none.
    defined = np.all([np.isfinite(averaged(part, metric)) for part in found], axis=0)
    counted = [i for i, activity in enumerate(activities) if activity.name not in without]
    kept = [i for i in counted if defined[i]]
    left_out = [activities[i].name for i in counted if not defined[i]]
    macro = f"macro over {', '.join(activities[i].name for i in kept)}"
    undefined = np.any([np.isnan(part.resampled[metric]) for part in found], axis=0)
    spreads = {
        name: _spreads(part, metric, kept, macro, undefined=undefined) for name, part in zip(names, found, strict=True)
    }
    differences = _differences(names, spreads)
    hours = float(alignments[0].evaluated.length_us.sum()) / 3.6e9
    return Comparison(
        metric=metric,
        num_cases=len(alignments[0].cases),
        hours=hours,
        values={name: {what: value_of(*pair) for what, pair in mine.items()} for name, mine in spreads.items()},
        differences=differences,
        notes=[*notes, *_averages_note(left_out, metric), *few_cases_notes(len(alignments[0].cases))],
        sentences=[
            sentence(difference, metric=metric, num_cases=len(alignments[0].cases))
            for difference in differences
            if difference.what == macro
        ],
        baselines=_baselines(alignments[0], found[0], metric, kept, macro),
        alpha={activity.name: _alpha(alignments, activity.name) for activity in activities},
    )


def sentence(difference: Difference, *, metric: str, num_cases: int) -> str:
    """What may be claimed of two sources, and no more."""
    first, second, value = difference.first, difference.second, difference.value
    metric = f"{metric} ({difference.what})"
    adjusted = f"adjusted for {difference.num_adjusted_for} comparisons" if difference.num_adjusted_for > 1 else "95 %"
    if value.estimate is not None and (value.low is None or value.high is None):
        return (
            f"Nothing may be claimed of {first} and {second}: {num_cases} cases give no interval of their difference in "
            f"{metric}, {value.estimate:+.3f}."
        )
    if value.estimate is None or value.low is None or value.high is None:
        return f"{first} and {second} cannot be compared on {metric}: it is not defined on these {num_cases} cases."
    figures = f"{value.estimate:+.3f} ({value.low:+.3f} to {value.high:+.3f}, {adjusted}), {num_cases} cases"
    if value.low > 0 or value.high < 0:
        better, worse = (first, second) if value.low > 0 else (second, first)
        return f"{better} has a higher {metric} than {worse} on these cases: {first} - {second} = {figures}."
    return f"No difference in {metric} between {first} and {second} may be claimed: {first} - {second} = {figures}."


def _averages_note(left_out: Sequence[str], metric: str) -> list[str]:
    if not left_out:
        return []
    return [
        f"{', '.join(left_out)} not in the macro average: the reference does not show it in these cases, or {metric} is not "
        f"defined for all sources."
    ]


def _baselines(
    alignment: Alignment, found: Measured, metric: str, kept: Sequence[int], macro: str
) -> dict[str, dict[str, float | None]]:
    """Guess to macro and activities, on the first source's windows or on time, which all share."""
    by_activity = guess_rows(alignment, found)
    rows: dict[str, dict[str, float | None]] = {}
    for guess in next(iter(by_activity.values())):
        values = {name: by_activity[name][guess][metric] for name in found.activities}
        known = [value for i in kept if (value := values[found.activities[i]]) is not None]
        rows[guess] = {macro: sum(known) / len(known) if known else None, **values}
    return rows


def _alpha(alignments: Sequence[Alignment], activity: str) -> float | None:
    lines = [alignment.lines[activity] for alignment in alignments]
    evaluated = lines[0].evaluated
    alpha = krippendorff_alpha([*((part.candidate, evaluated) for part in lines), (lines[0].reference, evaluated)])
    return alpha if np.isfinite(alpha) else None


def _spreads(
    found: Measured, metric: str, kept: Sequence[int], macro: str, *, undefined: NDArray[np.bool_]
) -> dict[str, tuple[float, NDArray[np.float64]]]:
    spreads = {macro: macro_values(found, metric, kept, undefined=undefined)}
    for i, name in enumerate(found.activities):
        spreads[name] = (float(found.estimates[metric][i]), found.resampled[metric][:, i])
    return spreads


def _differences(
    names: Sequence[str], spreads: Mapping[str, Mapping[str, tuple[float, NDArray[np.float64]]]]
) -> list[Difference]:
    pairs = list(combinations(names, 2))
    whats = list(next(iter(spreads.values())))
    differences = []
    for what in whats:
        # The macro average is the question; activities are looked at together, so that all of them count.
        number = len(pairs) if what == whats[0] else len(pairs) * (len(whats) - 1)
        for first, second in pairs:
            (left, lefts), (right, rights) = spreads[first][what], spreads[second][what]
            value = value_of(left - right, lefts - rights, coverage=1 - ERROR_RATE / number)
            differences.append(Difference(first=first, second=second, what=what, value=value, num_adjusted_for=number))
    return differences
