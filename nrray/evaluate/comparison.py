"""The verb `compare`: several labellings against one reference on the same cases and time, written as comparison.json."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from nrray.archive.cases import read_cases
from nrray.documents import Document
from nrray.errors import DataError
from nrray.evaluate.alignment import Alignment, aligned, shared_time
from nrray.evaluate.chance_baselines import Baseline, chance_baselines
from nrray.evaluate.config import CompareConfig
from nrray.evaluate.differences import Difference, claim, differences_of
from nrray.evaluate.inputs import input_notes, read_note, read_split_part
from nrray.evaluate.labelling import Labelling, read_labelling
from nrray.evaluate.measures import Measures, bounds_of, macro_average, macro_terms, measures_of
from nrray.evaluate.training_cases import training_notes
from nrray.labels import read_label_set
from nrray.metrics.agreement import krippendorff_alpha
from nrray.metrics.counts import defined
from nrray.metrics.jackknife import Jackknifed, Value, few_cases_notes, value_of
from nrray.storage import Folder
from nrray.types import hours_of

COMPARISON_FILE = "comparison.json"
_VERSION_FOLDER = re.compile(r"/(latest|versions/v\d+)$")  # of an output of relabel


class Comparison(Document):
    """The content of comparison.json. values: labelling to scope (the macro average, then activities) to its value with a
    95 % interval of its own."""

    newest_version: ClassVar[int] = 2
    oldest_version: ClassVar[int] = 2  # before, intervals were percentiles of resamples

    settings: CompareConfig
    metric: str
    num_cases: int
    hours: float
    values: Mapping[str, Mapping[str, Value]]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]  # sentences that a reader must know before the claims
    sentences: tuple[str, ...]  # claims
    baselines: Mapping[Baseline, Mapping[str, float | None]]  # by scope
    alpha: Mapping[str, float | None]  # Krippendorff's, of all labellings and the reference, per activity

    @property
    def scopes(self) -> tuple[str, ...]:
        """The macro average, then activities."""
        return tuple(next(iter(self.values.values())))


def compare(config: CompareConfig) -> Comparison:
    """Compare labellings and write comparison.json. Raises DataError, StorageError."""
    label_set = read_label_set(config.label_set)
    candidates = _read_candidates(config, label_set.names)
    reference = read_labelling(config.reference, activities=label_set.names)
    labellings = (*candidates, reference)
    cases = read_cases(config.cases)
    notes = input_notes(labellings, cases, sidecar=config.cases)
    split_part = None
    if config.split is not None:
        split_part = read_split_part(config.split, config.part, labellings=labellings, cases=cases)
    shared = shared_time(labellings, cases, only_cases=None if split_part is None else split_part.case_ids)
    alignments = [
        aligned(candidate, reference, shared, activities=label_set.activities, cases=cases) for candidate in candidates
    ]
    notes += dict.fromkeys(
        note for alignment in alignments for note in (*alignment.unlabelled_notes, *alignment.undecided_notes)
    )
    if split_part is not None:
        notes.append(read_note(split_part, purpose=f"compare {', '.join(part.candidate for part in alignments)}"))
    notes += training_notes(candidates, config.candidates, shared.paths, cases)
    found = comparison_of(alignments, settings=config, excluded_from_macro=label_set.excluded_from_macro, notes=notes)
    folder = Folder(config.output)
    folder.create()
    folder.write_json(COMPARISON_FILE, found.model_dump(mode="json", by_alias=True))
    return found


def comparison_of(
    alignments: Sequence[Alignment],
    *,
    settings: CompareConfig,
    excluded_from_macro: Sequence[str],
    notes: Sequence[str],
) -> Comparison:
    """Labellings compared that are aligned with one reference over one time. Raises DataError for an unknown metric."""
    metric, num_cases = settings.metric, len(alignments[0].cases)
    measures = [measures_of(alignment) for alignment in alignments]
    if metric not in measures[0].values:
        raise DataError(f"compare: found metric {metric!r}, expected one of: {'; '.join(measures[0].values)}.")
    average = macro_average_of(measures, metric, excluded_from_macro=excluded_from_macro)
    figures = {
        alignment.candidate: figures_of(part, metric, average)
        for alignment, part in zip(alignments, measures, strict=True)
    }
    bounds = bounds_of(metric)
    differences = differences_of(figures, bounds)
    return Comparison(
        schema_version=Comparison.newest_version,
        settings=settings,
        metric=metric,
        num_cases=num_cases,
        hours=hours_of(float(alignments[0].evaluated.length_us.sum())),
        values={
            name: {scope: value_of(figure, bounds) for scope, figure in by_scope.items()}
            for name, by_scope in figures.items()
        },
        differences=tuple(differences),
        notes=(*notes, *undefined_notes(average, metric), *few_cases_notes(num_cases)),
        sentences=tuple(
            claim(difference, metric=metric, num_cases=num_cases)
            for difference in differences
            if difference.scope == average.scope
        ),
        baselines=baselines_of(alignments[0], measures[0], metric, average),
        alpha={name: _alpha(alignments, name) for name in alignments[0].activities},
    )


@dataclass(frozen=True, kw_only=True)
class MacroAverage:
    """A macro average over the same activities for every labelling: those that the metric defines for all of them. undefined:
    (1 + 2C, A) where it does not, of all cases, without each and of each alone."""

    scope: str
    columns: list[int]
    undefined_activities: list[str]
    undefined: NDArray[np.bool_]


def macro_average_of(measures: Sequence[Measures], metric: str, *, excluded_from_macro: Sequence[str]) -> MacroAverage:
    """The macro average of labellings that are compared: over the activities of which all have the metric."""
    activities = measures[0].activities
    is_defined = np.all([np.isfinite(macro_terms(part, metric)) for part in measures], axis=0)  # (1 + 2C, A)
    macro = [i for i, name in enumerate(activities) if name not in excluded_from_macro]
    columns = [i for i in macro if is_defined[0, i]]
    undefined = ~is_defined
    undefined[1 + len(undefined) // 2 :] = False  # a case alone says something if it does of any labelling
    return MacroAverage(
        scope=f"macro over {', '.join(activities[i] for i in columns)}",
        columns=columns,
        undefined_activities=[activities[i] for i in macro if not is_defined[0, i]],
        undefined=undefined,
    )


def _read_candidates(config: CompareConfig, activities: tuple[str, ...]) -> list[Labelling]:
    """The candidates with names that tell them apart. Raises DataError where they do not."""
    labellings = [read_labelling(uri, activities=activities) for uri in config.candidates]
    if not config.names:
        labellings = _named_by_folder(labellings, config.candidates)
    elif len(config.names) != len(labellings):
        raise DataError(f"compare: found {len(config.names)} names, expected one for each of {len(labellings)}.")
    else:
        labellings = [replace(part, name=name) for part, name in zip(labellings, config.names, strict=True)]
    names = [labelling.name for labelling in labellings]
    if len(set(names)) < len(names):
        raise DataError(
            f"compare: labellings are named {', '.join(names)}, expected different names. Give names=[...]."
        )
    return labellings


def _named_by_folder(labellings: Sequence[Labelling], uris: Sequence[str]) -> list[Labelling]:
    """Labels named by their folder, where that tells all apart: a model's own name is a digest. Annotations keep their
    annotators' names."""
    folders = [_VERSION_FOLDER.sub("", uri.rstrip("/")).rpartition("/")[2] for uri in uris]
    names = [part.name if part.windows is None else folder for part, folder in zip(labellings, folders, strict=True)]
    if len(set(names)) < len(names):
        return list(labellings)
    return [replace(labelling, name=name) for labelling, name in zip(labellings, names, strict=True)]


def undefined_notes(average: MacroAverage, metric: str) -> list[str]:
    """A sentence on activities that are in no macro average."""
    if not average.undefined_activities:
        return []
    return [
        f"{', '.join(average.undefined_activities)} not in the macro average: the reference does not show it in these cases, or "
        f"{metric} is not defined for all labellings."
    ]


def baselines_of(
    alignment: Alignment, measures: Measures, metric: str, average: MacroAverage
) -> dict[Baseline, dict[str, float | None]]:
    """Baseline to scope to metric, on the first candidate's windows or on time, which all candidates share."""
    by_activity = chance_baselines(alignment, measures)
    rows: dict[Baseline, dict[str, float | None]] = {}
    for baseline in Baseline:
        values = {name: by_activity[name][baseline][metric] for name in measures.activities}
        known = [value for i in average.columns if (value := values[measures.activities[i]]) is not None]
        rows[baseline] = {average.scope: sum(known) / len(known) if known else None, **values}
    return rows


def _alpha(alignments: Sequence[Alignment], activity: str) -> float | None:
    timelines = [alignment.timelines[activity] for alignment in alignments]
    # A candidate that does not label the activity has no evaluated time; one that does has the reference's too.
    whole = max(timelines, key=lambda part: len(part.evaluated))
    return defined(
        krippendorff_alpha(
            [*((part.candidate, part.evaluated) for part in timelines), (whole.reference, whole.evaluated)]
        )
    )


def figures_of(measures: Measures, metric: str, average: MacroAverage) -> dict[str, Jackknifed]:
    """Scope to its figure, the macro average first."""
    figures = {average.scope: macro_average(measures, metric, average.columns, undefined=average.undefined)}
    return figures | {name: measures.values[metric][:, i] for i, name in enumerate(measures.activities)}
