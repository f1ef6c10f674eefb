"""An evaluation of every row, which a study's page leads to: metrics by activity, reliability, worst moments, indicators."""

from collections.abc import Sequence

from nrray.evaluate.config import EvaluateConfig
from nrray.evaluate.document import EVALUATION_FILE
from nrray.evaluate.evaluation import evaluate
from nrray.evaluate.page import PAGE_FILE
from nrray.pipelines.study.document import RowFigures, StudyDocument
from nrray.pipelines.study.job import StudyConfig, StudyRow
from nrray.storage import Folder

EVALUATION = "evaluation"


def write_evaluations(config: StudyConfig, rows: Sequence[RowFigures], before: StudyDocument | None) -> None:
    """Evaluate the labels of each row's first seed, unless they are those that were evaluated before. Raises DataError,
    StorageError.

    The rows' labels are of the test part alone, so that no split is given here: the study's read of that part is noted once.
    """
    known = {} if before is None else {row.name: row.versions for row in before.rows}
    for row in config.rows:
        found = next((figures for figures in rows if figures.name == row.name), None)
        if found is None:
            continue
        output = Folder(evaluation_folder(config, row))
        if known.get(row.name) != found.versions or not (output.exists(PAGE_FILE) and output.exists(EVALUATION_FILE)):
            first, *_ = config.seeds_of(row)
            evaluate(
                EvaluateConfig(
                    candidate=config.labels(row, first),
                    reference=config.annotations,
                    output=str(output),
                    cases=config.cases,
                    label_set=config.label_set,
                    manifest=config.manifest,
                )
            )


def evaluation_folder(config: StudyConfig, row: StudyRow) -> str:
    """Of the evaluation of a row's first seed."""
    return f"{config.folder(row)}/{EVALUATION}"
