"""The content of study.json as types."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from nrray.documents import Document
from nrray.evaluate.chance_baselines import Baseline
from nrray.evaluate.differences import Difference
from nrray.pipelines.study.job import StudyConfig
from nrray.pipelines.study.measuring import MeasuredRow

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
class RowFigures(MeasuredRow):
    """A row with its figures. versions: of its labels, which say whether it was measured anew; settings: the identity of its
    labels, with model, prompts word for word, parser and sampling."""

    name: str
    model: str
    strategy: str
    seeds: tuple[int, ...]
    versions: tuple[str, ...]
    costs: RowCosts
    settings: Mapping[str, Any]
    notes: tuple[str, ...]


class StudyDocument(Document):
    """A study. missing: rows without figures, each with the reason; baselines: by what needs no model, then scope; differences:
    of all pairs of rows, adjusted for their number; answer: sentences, the first says which row to use; reads: how often the test
    part was read."""

    newest_version: ClassVar[int] = 1

    settings: StudyConfig
    num_cases: int
    hours: float
    scopes: tuple[str, ...]
    macro_activities: tuple[str, ...]
    rows: tuple[RowFigures, ...]
    missing: Mapping[str, str]
    baselines: Mapping[Baseline, Mapping[str, float | None]]
    differences: tuple[Difference, ...]
    answer: tuple[str, ...]
    reads: str
    notes: tuple[str, ...]
