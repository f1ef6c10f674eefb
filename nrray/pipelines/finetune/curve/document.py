"""curve.json: scores on the test part after training on growing numbers of cases, and what may be claimed of them."""

from collections.abc import Mapping
from typing import ClassVar

from nrray.config import Section
from nrray.documents import Document, document_from
from nrray.evaluate.differences import Difference
from nrray.evaluate.document import EvaluationDocument
from nrray.metrics.jackknife import Value
from nrray.storage import Folder

CURVE_FILE = "curve.json"
METRIC = "windows f1"


class CurveScores(Section):
    """F1 over windows of the test part, with 95 % intervals over its cases: the macro average, and by activity."""

    macro_f1: Value
    f1: Mapping[str, Value]

    @classmethod
    def of(cls, evaluation: EvaluationDocument) -> "CurveScores":
        """The scores of an evaluation."""
        return cls(
            macro_f1=evaluation.macro_row.values[METRIC],
            f1={row.name: row.values[METRIC] for row in evaluation.activity_rows},
        )


class CurvePoint(CurveScores):
    """One training. cases: that it was trained on; num_windows: of these cases; best_step: whose weights are kept, of the steps
    that were made; validation_macro_f1: cross-fitted by case, None where it is not defined."""

    cases: tuple[str, ...]
    num_windows: int
    steps: int
    best_step: int
    validation_macro_f1: Value | None


class Chance(Section):
    """F1 of always yes; None where it is not defined."""

    macro_f1: float | None
    f1: Mapping[str, float | None]


class CurveDocument(Document):
    """The content of curve.json. untuned: of the checkpoint before training, None where it has no head for these activities;
    points: by growing number of cases; differences: the largest number of cases minus the one before, of the macro average,
    then by activity; sentences: what may be claimed; notes: what a reader must know before."""

    newest_version: ClassVar[int] = 1

    num_test_cases: int
    untuned: CurveScores | None
    points: tuple[CurvePoint, ...]
    always_yes: Chance
    differences: tuple[Difference, ...]
    sentences: tuple[str, ...]
    notes: tuple[str, ...]


def read_curve(folder: Folder) -> CurveDocument:
    """The document in the output of a curve. Raises DataError, FileNotFoundError, StorageError."""
    return document_from(CurveDocument, folder.read_json(CURVE_FILE), name=CURVE_FILE, folder=str(folder))


def write_curve(folder: Folder, document: CurveDocument) -> None:
    """Raises StorageError."""
    folder.write_json(CURVE_FILE, document.model_dump(mode="json", by_alias=True))
