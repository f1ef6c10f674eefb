"""`nrray status` of a study: how far each row is, read from its files alone; starts no Ray."""

from dataclasses import asdict, dataclass
from typing import Any

import yaml

from nrray.config import validate_mapping
from nrray.console.reporter import Reporter
from nrray.console.run_record import CONFIG_FILE
from nrray.errors import DataError
from nrray.pipelines.relabel.status import output_status
from nrray.pipelines.study.document import STUDY_FILE
from nrray.pipelines.study.job import ROWS, TRAINING, StudyConfig, StudyRow
from nrray.storage import Folder
from nrray.train.history import read_history
from nrray.train.output import finished_model_folder
from nrray.writer_lock import is_locked


@dataclass(frozen=True, kw_only=True)
class RowStatus:
    """Of a row and seed, in words: its training, - without one; units of its labels by status, of the planned ones once they are
    published."""

    row: str
    seed: int | None
    training: str
    labels: str


@dataclass(frozen=True, kw_only=True)
class StudyStatus:
    """has_table: whether the rows were measured."""

    output: str
    is_running: bool
    has_table: bool
    rows: tuple[RowStatus, ...]

    def document(self) -> dict[str, Any]:
        """The same for programs."""
        return asdict(self)


def is_study(output: Folder) -> bool:
    """Whether a folder is the output of a study."""
    return output.exists(CONFIG_FILE) and (output / ROWS).exists("")


def study_status(output: Folder) -> StudyStatus:
    """Raises DataError, ConfigError where the record of the study is damaged."""
    try:
        document = yaml.safe_load(output.read_bytes(CONFIG_FILE))
    except yaml.YAMLError as error:
        raise DataError(f"{output.path(CONFIG_FILE)}: found no YAML, expected the config of a study: {error}") from None
    config = validate_mapping(StudyConfig, document, where=output.path(CONFIG_FILE))
    config = config.model_copy(update={"output": output.path("")})
    return StudyStatus(
        output=str(output),
        is_running=is_locked(output),
        has_table=output.exists(STUDY_FILE),
        rows=tuple(_row(config, row, seed) for row in config.rows for seed in config.seeds_of(row)),
    )


def _row(config: StudyConfig, row: StudyRow, seed: int | None) -> RowStatus:
    training = "-" if seed is None else _training(Folder(f"{config.folder(row, seed)}/{TRAINING}"))
    return RowStatus(row=row.name, seed=seed, training=training, labels=_labels(Folder(config.labels(row, seed))))


def _training(output: Folder) -> str:
    if finished_model_folder(output.path("")) is not None:
        return "finished"
    steps = [(event.step, event.num_steps) for event in read_history(output)]
    return f"step {steps[-1][0]} of {steps[-1][1]}" if steps else "not begun"


def _labels(output: Folder) -> str:
    if not output.exists(CONFIG_FILE):
        return "not begun"
    found = output_status(output)
    counts = found.planned or found.counts
    return ", ".join(f"{count} {status}" for status, count in counts.items() if count) or "none yet"


def report_study_status(found: StudyStatus, reporter: Reporter) -> None:
    """A line per row and seed."""
    reporter.say(f"{found.output}: {'running' if found.is_running else 'not running'}")
    reporter.table(
        "Rows",
        ["row", "seed", "training", "units of the test part"],
        [[row.row, "-" if row.seed is None else str(row.seed), row.training, row.labels] for row in found.rows],
    )
    reporter.say(f"Table: {found.output}/index.html" if found.has_table else "Nothing is measured yet.")
