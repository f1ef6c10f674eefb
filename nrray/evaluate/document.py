"""The content of evaluation.json as a type: report.html and evaluation.json show the same numbers."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from nrray.documents import Document, document_from
from nrray.errors import DataError
from nrray.evaluate.alignment import LeftOut
from nrray.evaluate.balanced_subset import BalancedSubset
from nrray.evaluate.case_rows import CaseRow
from nrray.evaluate.chance_baselines import ChanceBaselines
from nrray.evaluate.clinical import ClinicalIndicators
from nrray.evaluate.config import EvaluateConfig
from nrray.evaluate.confusion import Confusion
from nrray.evaluate.hallucination import Hallucination
from nrray.evaluate.metric_rows import MACRO, MetricRow, macro_row_name
from nrray.evaluate.score_curves import Curve, ReliabilityBin
from nrray.storage import Folder

EVALUATION_FILE = "evaluation.json"


class EvaluationDocument(Document):
    """One labelling measured against another. Mappings are by activity."""

    model_config = ConfigDict(populate_by_name=True)
    newest_version: ClassVar[int] = 3
    oldest_version: ClassVar[int] = 2  # before, intervals were percentiles of resamples

    candidate: str
    reference: str
    settings: EvaluateConfig
    num_cases: int
    num_videos: int
    num_windows: int
    hours: float
    activities: tuple[str, ...]
    excluded_from_macro: Annotated[tuple[str, ...], Field(alias="macro_leaves_out")]
    rows: tuple[MetricRow, ...]  # activities, then averages
    baselines: ChanceBaselines
    alpha: Mapping[str, float | None]  # Krippendorff's, over time
    onset_errors: Mapping[str, MetricRow]
    precision_recall: Mapping[str, Curve]  # empty where the candidate has no scores
    reliability: Mapping[str, tuple[ReliabilityBin, ...]]  # empty where the candidate has no scores
    confusion: Annotated[Confusion, Field(alias="instead")]
    unparsed: Mapping[str, int]
    hallucination: Hallucination | None = (
        None  # None: the candidate has no windows of its own, or an nrray before wrote this
    )
    balanced: BalancedSubset | None
    clinical: ClinicalIndicators | None
    cases: tuple[CaseRow, ...]
    left_out: LeftOut
    notes: tuple[str, ...]  # sentences that a reader must know before the numbers

    def row(self, name: str) -> MetricRow:
        """The row of an activity or an average. Raises KeyError."""
        return {row.name: row for row in self.rows}[name]

    @property
    def activity_rows(self) -> tuple[MetricRow, ...]:
        """The rows of the activities alone."""
        return tuple(row for row in self.rows if row.name in self.activities)

    @property
    def macro_row(self) -> MetricRow:
        """The macro average to judge a labelling by: without the excluded activities where some are excluded."""
        rows = {row.name: row for row in self.rows}
        return rows.get(macro_row_name(self.excluded_from_macro), rows[MACRO])


def read_evaluation(folder: str) -> EvaluationDocument:
    """The document in the output of `nrray evaluate`. Raises DataError, StorageError."""
    try:
        data = Folder(folder).read_json(EVALUATION_FILE)
    except FileNotFoundError:
        raise DataError(f"{folder}: found no {EVALUATION_FILE}. Give the output of `nrray evaluate`.") from None
    return document_from(EvaluationDocument, data, name=EVALUATION_FILE, folder=folder)
