"""Labels of all rows measured together: the same test cases, the same time, one reference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from nrray.archive.cases import Cases
from nrray.evaluate.alignment import Alignment, aligned, shared_time
from nrray.evaluate.balanced_subset import balanced_subset
from nrray.evaluate.chance_baselines import Baseline
from nrray.evaluate.comparison import MacroAverage, baselines_of, figures_of, macro_average_of, undefined_notes
from nrray.evaluate.differences import Difference, differences_of
from nrray.evaluate.hallucination import hallucination
from nrray.evaluate.labelling import Labelling
from nrray.evaluate.measures import Measures, bounds_of, measures_of
from nrray.evaluate.score_curves import ReliabilityBin, reliability_bins
from nrray.labels import LabelSet
from nrray.metrics.jackknife import Jackknifed, Value, value_of
from nrray.pipelines.study.job import METRIC
from nrray.types import STATE_INDEX, LabelState, hours_of


@dataclass(frozen=True, kw_only=True)
class MeasuredRow:
    """Figures of one row on the test part, means over its seeds, with 95 % intervals over cases. What the row is unsure of,
    cannot assess, or says in a way that cannot be read, counts as no.

    f1: by scope, the macro average first; macro_by_seed: its estimates; false_yes: by activity, windows without it that are
    claimed to have it (1 - specificity); calibration_error: by activity, of scores, None without them; unparsed, unsure: shares
    of labels; broken_rules: windows whose claims cannot be true at once; balanced_macro_f1: on the class-balanced subset;
    reliability: by activity, of the first seed's scores, None without them, and in files of a release that had none.
    """

    num_windows: int
    f1: Mapping[str, Value]
    macro_by_seed: tuple[float, ...]
    false_yes: Mapping[str, Value]
    calibration_error: Mapping[str, Value] | None
    unparsed: float
    unsure: float
    broken_rules: float | None
    balanced_macro_f1: float | None
    reliability: Mapping[str, tuple[ReliabilityBin, ...]] | None = None


@dataclass(frozen=True, kw_only=True)
class MeasuredRows:
    """Figures of rows by name, and of all pairs of them. macro_activities: that the macro average is over."""

    num_cases: int
    hours: float
    scopes: tuple[str, ...]
    macro_activities: tuple[str, ...]
    rows: dict[str, MeasuredRow]
    baselines: dict[Baseline, dict[str, float | None]]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]


def measured_rows(
    labellings: Mapping[str, Sequence[Labelling]],
    reference: Labelling,
    cases: Cases,
    *,
    case_ids: frozenset[str],
    label_set: LabelSet,
    balanced_windows: int,
) -> MeasuredRows:
    """labellings: row to those of its seeds. Raises DataError where nothing was looked at by all of them."""
    every = [labelling for of_row in labellings.values() for labelling in of_row]
    shared = shared_time((*every, reference), cases, only_cases=case_ids)
    alignments = [
        _decided(aligned(labelling, reference, shared, activities=label_set.activities, cases=cases))
        for labelling in every
    ]
    measures = [measures_of(alignment) for alignment in alignments]
    owners = [name for name, of_row in labellings.items() for _ in of_row]
    average = macro_average_of(measures, METRIC, excluded_from_macro=label_set.excluded_from_macro)
    rows: dict[str, MeasuredRow] = {}
    figures: dict[str, dict[str, Jackknifed]] = {}
    for name, group in groupby(zip(owners, alignments, measures, strict=True), key=lambda item: item[0]):
        of_row = [(alignment, measure) for _, alignment, measure in group]
        figures[name] = _mean_figures([measure for _, measure in of_row], average)
        rows[name] = _row(of_row, average, figures[name], label_set=label_set, balanced_windows=balanced_windows)
    differ = len({row.num_windows for row in rows.values()}) > 1
    return MeasuredRows(
        num_cases=len(alignments[0].cases),
        hours=hours_of(float(alignments[0].evaluated.length_us.sum())),
        scopes=tuple(next(iter(figures.values()))),
        macro_activities=tuple(label_set.names[column] for column in average.columns),
        rows=rows,
        baselines=baselines_of(alignments[0], measures[0], METRIC, average),
        differences=tuple(differences_of(figures, bounds_of(METRIC))),
        notes=(
            *dict.fromkeys(note for alignment in alignments for note in alignment.unlabelled_notes),
            *undefined_notes(average, METRIC),
            *(["Rows have different windows over the same time: each is measured on its own."] if differ else []),
        ),
    )


def _decided(alignment: Alignment) -> Alignment:
    """With windows that the candidate is unsure of, or cannot assess, counted as no: who compares rows compares what each finds,
    and one that leaves all doubtful windows out would be the best."""
    windows = alignment.windows
    return replace(alignment, windows=replace(windows, decided=np.tile(alignment.is_labelled, (len(windows.case), 1))))


def _mean_figures(measures: Sequence[Measures], average: MacroAverage) -> dict[str, Jackknifed]:
    """Scope to the mean over seeds, of all cases, without each, and of each alone."""
    by_seed = [figures_of(each, METRIC, average) for each in measures]
    return {scope: np.mean([figures[scope] for figures in by_seed], axis=0) for scope in by_seed[0]}


def _row(
    of_row: Sequence[tuple[Alignment, Measures]],
    average: MacroAverage,
    figures: Mapping[str, Jackknifed],
    *,
    label_set: LabelSet,
    balanced_windows: int,
) -> MeasuredRow:
    alignments, measures = [alignment for alignment, _ in of_row], [measure for _, measure in of_row]
    names = label_set.names
    macro, *_ = figures
    claimed = [1 - measure.values["windows specificity"] for measure in measures]
    has_scores = all(alignment.has_scores for alignment in alignments)
    told = [found for alignment in alignments if (found := hallucination(alignment, label_set)) is not None]
    broken = [value for found in told if found.broken_rules and (value := found.broken_rules.estimate) is not None]
    counts = [_states(alignment) for alignment in alignments]
    return MeasuredRow(
        num_windows=len(alignments[0].windows.case),
        f1={scope: value_of(figure, bounds_of(METRIC)) for scope, figure in figures.items()},
        macro_by_seed=tuple(float(figures_of(measure, METRIC, average)[macro][0]) for measure in measures),
        false_yes=_values(names, np.mean(claimed, axis=0)),
        calibration_error=_values(names, np.mean([measure.values["windows ece"] for measure in measures], axis=0))
        if has_scores
        else None,
        unparsed=_share(counts, LabelState.UNPARSED),
        unsure=_share(counts, LabelState.UNSURE),
        broken_rules=float(np.mean(broken)) if broken else None,
        balanced_macro_f1=_balanced(alignments, average, names, balanced_windows) if balanced_windows else None,
        reliability=reliability_bins(measures[0]) if has_scores else None,
    )


def _values(names: Sequence[str], jackknifed: NDArray[np.float64]) -> dict[str, Value]:
    return {name: value_of(jackknifed[:, number]) for number, name in enumerate(names)}


def _states(alignment: Alignment) -> NDArray[np.int64]:
    """How many window labels are of each state."""
    states = alignment.windows.states
    assert states is not None  # a model's labels
    return np.bincount(states[:, alignment.is_labelled].ravel(), minlength=len(STATE_INDEX))


def _share(counts: Sequence[NDArray[np.int64]], state: LabelState) -> float:
    total = np.sum(counts, axis=0)
    return float(total[STATE_INDEX[state]] / max(int(total.sum()), 1))


def _balanced(
    alignments: Sequence[Alignment], average: MacroAverage, names: Sequence[str], num_windows: int
) -> float | None:
    """The macro average on the class-balanced subset, mean over seeds; the subset is the same for all."""
    wanted = [names[column] for column in average.columns]
    found: list[float] = []
    for alignment in alignments:
        rows = balanced_subset(alignment, num_windows=num_windows, seed=0).rows
        values = [rows[name].f1 for name in wanted if name in rows]
        found.append(float(np.mean([np.nan if value is None else value for value in values])) if values else np.nan)
    mean = float(np.mean(found))
    return mean if np.isfinite(mean) else None
