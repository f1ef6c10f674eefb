"""`nrray calibrate`: slopes, intercepts and thresholds of scored yes/no answers, fitted on annotated windows.

    <output>/relabel.yaml (the labels' own config with the fit in it), calibration.json

No model is loaded: `nrray relabel OUTPUT/relabel.yaml --restate` reads the answers again with what was fitted.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import yaml
from pydantic import Field, model_validator

from nrray import __version__
from nrray.archive.cases import read_cases
from nrray.config import Section, validate_mapping
from nrray.console.reporter import Reporter
from nrray.console.run_record import keep_record, refuse_other_output
from nrray.console.transcript import Transcript
from nrray.documents import Document
from nrray.errors import DataError
from nrray.evaluate.alignment import aligned, shared_time
from nrray.evaluate.calibrate import FittedActivity, fitted_activity
from nrray.evaluate.config import check_part
from nrray.evaluate.figure_text import interval
from nrray.evaluate.inputs import input_notes, read_note, read_split_part
from nrray.evaluate.labelling import read_labelling
from nrray.labels import read_label_set
from nrray.metrics.calibration import PlattScaling
from nrray.models.strategies.yes_no import YesNoStrategy
from nrray.pipelines.relabel.job import RelabelConfig
from nrray.report.run_page import RunFile, RunPage
from nrray.results.version import RECORD_FILE, VersionRecord, read_version_record
from nrray.storage import Folder
from nrray.wording import counted

RELABEL_FILE, CALIBRATION_FILE = "relabel.yaml", "calibration.json"
FITTED_PART = "validation"


class CalibrateConfig(Section):
    """Labels with scores, and annotations of the cases that they are fitted on."""

    labels: str = Field(description="output of `nrray relabel` with strategy.kind=yes_no and answer_tokens=0")
    reference: str = Field(description="annotation folder or label version that says what goes on")
    output: str = Field("runs/calibration", description="folder for relabel.yaml and calibration.json")
    cases: str | None = Field(None, description="case sidecar; without one a video is its own case")
    split: str | None = Field(None, description="split file; without one all cases are fitted on")
    part: str = Field(FITTED_PART, description="part of the split whose cases are fitted on")
    label_set: str | None = Field(None, description="label set file; the one in the package where none is given")

    @model_validator(mode="after")
    def _part_is_of_a_split(self) -> "CalibrateConfig":
        check_part(self.part, self.split, default=FITTED_PART)
        return self


class CalibrationDocument(Document):
    """The content of calibration.json. num_cases: that were fitted on; notes: for people."""

    newest_version: ClassVar[int] = 1

    settings: CalibrateConfig
    num_cases: int
    activities: tuple[FittedActivity, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """A written calibration. relabel_config: the path of the config that applies it."""

    folder: str
    relabel_config: str
    document: CalibrationDocument


def calibrate(config: CalibrateConfig) -> Calibrated:
    """Fit and write. Raises DataError for labels that are no scored answers, and for cases that show nothing; StorageError."""
    label_set = read_label_set(config.label_set)
    record = _scored_version(Folder(config.labels))
    candidate = read_labelling(config.labels, activities=label_set.names)
    reference = read_labelling(config.reference, activities=label_set.names)
    labellings, cases = (candidate, reference), read_cases(config.cases)
    notes = input_notes(labellings, cases, sidecar=config.cases)
    case_ids = None
    if config.split is None:
        notes.append("Without a split all cases are fitted on: measure the result on others.")
    else:
        part = read_split_part(config.split, config.part, labellings=labellings, cases=cases)
        case_ids = part.case_ids
        notes.append(read_note(part, purpose=f"calibrate {candidate.name}"))
    shared = shared_time(labellings, cases, only_cases=case_ids)
    alignment = aligned(candidate, reference, shared, activities=label_set.activities, cases=cases)
    activities = tuple(fitted_activity(name, number, alignment.windows) for number, name in enumerate(label_set.names))
    if all(activity.fit is None for activity in activities):
        raise DataError(
            f"{config.reference}: found no activity with and without it in the {counted(len(alignment.cases), 'case')} to fit "
            f"on, expected one at least. Give more cases, or another part of the split."
        )
    output = Folder(config.output)
    refuse_other_output(output, "calibrate")
    output.create()
    keep_record(output, "calibrate", config)
    output.write_bytes(RELABEL_FILE, _relabel_text(record, activities).encode())
    document = CalibrationDocument(
        schema_version=CalibrationDocument.newest_version,
        settings=config,
        num_cases=len(alignment.cases),
        activities=activities,
        notes=tuple(notes),
    )
    output.write_json(CALIBRATION_FILE, document.model_dump(mode="json"))
    return Calibrated(folder=str(output), relabel_config=output.path(RELABEL_FILE), document=document)


def _scored_version(labels: Folder) -> VersionRecord:
    """The record of a label version, or of the latest one of an output, whose answers are scored."""
    record = read_version_record(labels / "latest" if (labels / "latest").exists(RECORD_FILE) else labels)
    strategy = record.config.get("strategy")
    strategy = strategy if isinstance(strategy, dict) else {"kind": "of the model"}
    if strategy.get("kind") != "yes_no" or strategy.get("answer_tokens") != 0:
        given = ", ".join(f"{key}={strategy[key]}" for key in ("kind", "answer_tokens") if key in strategy)
        raise DataError(
            f"{labels}: found the strategy {given}, expected kind=yes_no with answer_tokens=0, whose answers are scores. The "
            f"thresholds of a head are fitted by nrray finetune."
        )
    return record


def _relabel_text(record: VersionRecord, activities: tuple[FittedActivity, ...]) -> str:
    """The config of a version with what was fitted."""
    config = validate_mapping(RelabelConfig, dict(record.config), where=f"run.json of {record.version}")
    assert isinstance(config.strategy, YesNoStrategy)
    fits = {activity.name: activity.fit for activity in activities if activity.fit is not None}
    before = config.strategy.calibration
    scaled = before | {name: fit.calibration.after(before.get(name, PlattScaling())) for name, fit in fits.items()}
    thresholds = {**config.segments.thresholds, **{name: fit.threshold for name, fit in fits.items()}}
    fitted = config.model_copy(
        update={
            "strategy": config.strategy.model_copy(update={"calibration": scaled}),
            "segments": config.segments.model_copy(update={"thresholds": thresholds}),
        }
    )
    document: dict[str, Any] = fitted.model_dump(mode="json")
    head = f"# The config of {record.version}, with calibration and thresholds that nrray {__version__} fitted.\n"
    return head + yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def report_calibration(document: CalibrationDocument, reporter: Reporter) -> None:
    """What was fitted, and what it does to cases that it was not fitted on."""
    for note in document.notes:
        reporter.say(note)
    reporter.table(
        f"Fitted on {counted(document.num_cases, 'case')}; figures are of cases that each fit left out, before -> after, 95 % "
        f"intervals over cases",
        ["activity", "windows", "with it", "slope", "intercept", "yes from", "F1", "calibration error"],
        [_row(activity) for activity in document.activities],
    )
    if unfitted := [activity.name for activity in document.activities if activity.fit is None]:
        reporter.say(
            f"{', '.join(unfitted)}: left as it is, since the windows with a plain answer do not show both, yes and no."
        )
    if document.num_cases < 2:
        reporter.say("One case alone: what the fit does to others is not known.")


def _row(activity: FittedActivity) -> list[object]:
    fit = activity.fit
    fitted = [] if fit is None else [fit.calibration.slope, fit.calibration.intercept, fit.threshold]
    pairs = (activity.f1, activity.calibration_error)
    return [
        activity.name,
        activity.num_windows,
        activity.num_yes,
        *([f"{value:.3g}" for value in fitted] or ["-"] * 3),
        *("-" if pair is None else " -> ".join(interval(value, 2, "-") for value in pair) for pair in pairs),
    ]


def calibration_page(document: CalibrationDocument, transcript: Transcript) -> RunPage:
    """The page of a calibration."""
    num_fitted = sum(activity.fit is not None for activity in document.activities)
    return RunPage(
        title=f"Calibration of {Path(document.settings.labels).name}",
        outcome=f"Scores of {num_fitted} of {len(document.activities)} activities were fitted on "
        f"{counted(document.num_cases, 'case')}.",
        facts=[
            ("labels", document.settings.labels),
            ("reference", document.settings.reference),
            ("part of the split", document.settings.part),
        ],
        transcript=transcript,
        files=[
            RunFile(file=RELABEL_FILE, meaning="the config of the labels with what was fitted"),
            RunFile(file=CALIBRATION_FILE, meaning="the same numbers for programs"),
        ],
    )
