"""The content of study.json as types."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from nrray.documents import Document
from nrray.evaluate.chance_baselines import Baseline
from nrray.evaluate.differences import Difference
from nrray.metrics.jackknife import Value
from nrray.pipelines.study.job import StudyConfig

STUDY_FILE = "study.json"


@dataclass(frozen=True, kw_only=True)
class RowCosts:
    """What a row took here. windows_per_second: of one labeler, its start left out, mean over seeds; labeling_hours: of all
    labelers and seeds together; training_hours: of all workers and seeds; trained_parameters: in the files that a
    training leaves; size_mib: of the files that labelling needs. None of a row that is not trained, and of a server's model."""

    windows_per_second: float | None
    labeling_hours: float
    training_hours: float | None
    trained_parameters: int | None
    size_mib: float | None


@dataclass(frozen=True, kw_only=True)
class RowFigures:
    """A row on the test part; means over its seeds, with 95 % intervals over cases. f1: by scope, the macro average first;
    macro_by_seed: its estimates; false_yes: by activity, windows without it that are claimed to have it (1 - specificity);
    calibration_error: by activity, of scores, None without them; unparsed, unsure: shares of labels; broken_rules: windows whose
    claims cannot be true at once; balanced_macro_f1: on the class-balanced subset; versions: of its labels, which say whether it
    was measured anew."""

    name: str
    model: str
    strategy: str
    seeds: tuple[int, ...]
    versions: tuple[str, ...]
    num_windows: int
    f1: Mapping[str, Value]
    macro_by_seed: tuple[float, ...]
    false_yes: Mapping[str, Value]
    calibration_error: Mapping[str, Value] | None
    unparsed: float
    unsure: float
    broken_rules: float | None
    balanced_macro_f1: float | None
    costs: RowCosts
    settings: Mapping[str, Any]  # the identity of its labels: model, prompts word for word, parser, sampling
    notes: tuple[str, ...]


class StudyDocument(Document):
    """A study. missing: rows without figures, each with the reason; baselines: by what needs no model, then scope; differences:
    of all pairs of rows, adjusted for their number; answer: sentences, the first says which row to use."""

    newest_version: ClassVar[int] = 1

    settings: StudyConfig
    num_cases: int
    hours: float
    scopes: tuple[str, ...]
    rows: tuple[RowFigures, ...]
    missing: Mapping[str, str]
    baselines: Mapping[Baseline, Mapping[str, float | None]]
    differences: tuple[Difference, ...]
    answer: tuple[str, ...]
    notes: tuple[str, ...]
