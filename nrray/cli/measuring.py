"""The verbs that measure labels: evaluate, calibrate, probe, compare, study, split."""

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from nrray.cli.exit_codes import EXIT_FAILURES
from nrray.cli.options import AllowRemoteOption, ConfigArgument, DryRunOption, SetOption, settings_given

if TYPE_CHECKING:
    from nrray.console.reporter import Reporter

_PRINTED = {
    "precision": "windows precision",
    "recall": "windows recall",
    "F1": "windows f1",
    "time F1": "time f1",
    "segment F1@0.5": "segments f1 at tIoU 0.5",
}


def evaluate(reporter: "Reporter", config: ConfigArgument = None, set_: SetOption = None) -> None:
    """Measure one labelling against another, per activity, with intervals over cases; write a report."""
    from nrray.console.run_record import keep_record
    from nrray.evaluate.config import EvaluateConfig
    from nrray.evaluate.document import EVALUATION_FILE
    from nrray.evaluate.evaluation import evaluate as run_evaluate
    from nrray.evaluate.figure_text import interval, number
    from nrray.evaluate.page import PAGE_FILE
    from nrray.evaluate.run_pages import evaluation_run_page
    from nrray.evaluate.verdicts import criterion_sentence, verdict_sentence
    from nrray.report.run_page import write_run_page
    from nrray.storage import Folder

    settings = settings_given(EvaluateConfig, "evaluate", config, set_, reporter)
    result = run_evaluate(settings)
    keep_record(Folder(result.folder), "evaluate", settings)
    document = result.document
    reporter.say(
        f"{document.candidate} against {document.reference}: {document.num_cases} cases, "
        f"{document.hours:.2f} h and {document.num_windows:,} windows that both looked at"
    )
    for note in document.notes:
        reporter.say(note)
    reporter.table(
        "Windows at natural prevalence, time, segments: estimate and 95 % interval over cases",
        ["activity", "cases", *_PRINTED],
        [
            [
                row.name,
                row.num_cases_with,
                *(interval(row.values.get(metric), 2, "-") for metric in _PRINTED.values()),
            ]
            for row in document.rows
        ],
    )
    if document.balanced is not None:
        reporter.table(
            f"The study's class-balanced subset, {document.balanced.num_windows} windows: it flatters",
            ["activity", "windows with it", "precision", "recall", "F1"],
            [
                [name, row.support, *(number(ratio, 2) for ratio in (row.precision, row.recall, row.f1))]
                for name, row in document.balanced.rows.items()
            ],
        )
    reporter.say(f"{verdict_sentence(document)}.")
    reporter.say(criterion_sentence(document))
    reporter.say(f"Report:  {result.folder}/{PAGE_FILE}")
    reporter.say(f"Numbers: {result.folder}/{EVALUATION_FILE}")
    reporter.page(write_run_page(Folder(result.folder), evaluation_run_page(document, reporter.transcript)))
    reporter.finish(document.model_dump(mode="json", by_alias=True))


def calibrate(reporter: "Reporter", config: ConfigArgument = None, set_: SetOption = None) -> None:
    """Fit slope, intercept and threshold of each activity's scored yes/no answers on annotated cases; loads no model."""
    from nrray.pipelines.calibrate import CalibrateConfig, calibration_page, report_calibration
    from nrray.pipelines.calibrate import calibrate as run_calibrate
    from nrray.report.run_page import write_run_page
    from nrray.storage import Folder

    settings = settings_given(CalibrateConfig, "calibrate", config, set_, reporter)
    result = run_calibrate(settings)
    report_calibration(result.document, reporter)
    reporter.next_command(shlex.join(["nrray", "relabel", result.relabel_config, "--restate"]))
    page = calibration_page(result.document, reporter.transcript)
    reporter.page(write_run_page(Folder(result.folder), page))
    reporter.finish({"relabel_config": result.relabel_config, **result.document.model_dump(mode="json")})


def probe(
    reporter: "Reporter",
    config: ConfigArgument = None,
    set_: SetOption = None,
    allow_remote: AllowRemoteOption = False,
) -> None:
    """Learn what a model claims without ground: of blank, frozen, shuffled and foreign frames, unseen, in other words."""
    from nrray.pipelines.probe.job import ProbeConfig
    from nrray.pipelines.probe.report import probe_page, report_probe
    from nrray.pipelines.probe.run import probe as run_probe
    from nrray.report.run_page import write_run_page
    from nrray.storage import Folder

    settings = settings_given(ProbeConfig, "probe", config, set_, reporter)
    result = run_probe(settings, reporter, allow_remote=allow_remote)
    with reporter.transcript.part() as transcript:
        report_probe(result, reporter)
    reporter.page(write_run_page(Folder(result.folder), probe_page(result, transcript)))
    reporter.finish(result.document.model_dump(mode="json"))
    if result.has_failures:
        raise typer.Exit(EXIT_FAILURES)


def compare(reporter: "Reporter", config: ConfigArgument = None, set_: SetOption = None) -> None:
    """Compare several labellings on the same cases, and say which differences may be claimed."""
    from nrray.console.run_record import keep_record
    from nrray.evaluate.comparison import compare as run_compare
    from nrray.evaluate.config import CompareConfig
    from nrray.evaluate.figure_text import interval, number
    from nrray.evaluate.run_pages import comparison_run_page
    from nrray.report.run_page import write_run_page
    from nrray.storage import Folder

    settings = settings_given(CompareConfig, "compare", config, set_, reporter)
    found = run_compare(settings)
    keep_record(Folder(settings.output), "compare", settings)
    reporter.say(f"{found.num_cases} cases, {found.hours:.2f} h that all labellings and the reference looked at")
    for note in found.notes:
        reporter.say(note)
    macro, *activities = found.scopes
    reporter.table(
        f"{found.metric}, 95 % interval over cases; {macro}",
        ["labelling", "macro", *activities],
        [
            *(
                [name, *(interval(by_scope[scope], 2, "-") for scope in found.scopes)]
                for name, by_scope in found.values.items()
            ),
            *(
                [baseline.value, *(number(by_scope[scope], 2) for scope in found.scopes)]
                for baseline, by_scope in found.baselines.items()
            ),
        ],
    )
    reporter.table(
        "Krippendorff's alpha of all labellings and the reference, over time",
        ["activity", "alpha"],
        [[name, alpha] for name, alpha in found.alpha.items()],
    )
    reporter.table(
        "Differences on the same cases, intervals adjusted for their number",
        ["first - second", "of", "difference", "adjusted for"],
        [
            [
                f"{row.first} - {row.second}",
                "macro" if row.scope == macro else row.scope,
                interval(row.value),
                row.num_adjusted_for,
            ]
            for row in found.differences
        ],
    )
    for sentence in found.sentences:
        reporter.say(sentence)
    reporter.page(write_run_page(Folder(settings.output), comparison_run_page(found, reporter.transcript)))
    reporter.finish(found.model_dump(mode="json", by_alias=True))


def study(
    reporter: "Reporter",
    config: ConfigArgument = None,
    set_: SetOption = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="ROW", help="Run this row alone; may be repeated. Rows that are done stay."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A small study of the models in the package, on cases that it simulates.")
    ] = False,
    allow_remote: AllowRemoteOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Compare ways of using a model on annotated videos: asked, judged, by a head, fine-tuned; which one is worth it here."""
    from nrray.pipelines.study.dry_run import expected_rows
    from nrray.pipelines.study.job import StudyConfig
    from nrray.pipelines.study.quick import quick_study
    from nrray.pipelines.study.report import report_study, study_page, write_tables
    from nrray.pipelines.study.run import run_study
    from nrray.report.run_page import write_run_page
    from nrray.storage import Folder

    settings = (
        quick_study(config, set_, reporter) if quick else settings_given(StudyConfig, "study", config, set_, reporter)
    )
    if dry_run:
        rows = expected_rows(settings, reporter, only=only or (), allow_remote=allow_remote)
        reporter.finish({"dry_run": True, "rows": [asdict(row) for row in rows]})
        return
    result = run_study(settings, reporter, only=only or (), allow_remote=allow_remote)
    write_tables(result)
    with reporter.transcript.part() as transcript:
        report_study(result, reporter)
    reporter.page(write_run_page(Folder(result.folder), study_page(result, transcript)))
    reporter.finish({"folder": result.folder, **result.document.model_dump(mode="json", by_alias=True)})
    if result.failures:
        raise typer.Exit(EXIT_FAILURES)


def split(reporter: "Reporter", config: ConfigArgument = None, set_: SetOption = None) -> None:
    """Assign cases to train, validation and test, evenly by activity and site; write a plain file."""
    from nrray.evaluate.config import SplitConfig
    from nrray.evaluate.split import split as run_split
    from nrray.project import next_command

    settings = settings_given(SplitConfig, "split", config, set_, reporter)
    written = run_split(settings)
    columns = list(next(iter(written.shares.values()), {}))
    reporter.table(
        "Share of each part's cases, by activity and site",
        ["part", "cases", *columns],
        [
            [part, len(written.split.parts[part]), *(row[column] for column in columns)]
            for part, row in written.shares.items()
        ],
    )
    for note in written.notes:
        reporter.say(note)
    reporter.say(f"Split: {written.path}. It is a plain file: edit it if you know better.")
    if settings.annotations is not None:
        given = {key: getattr(settings, key) for key in ("manifest", "annotations", "cases", "label_set")}
        output = f"{written.path.removesuffix('.json')}-finetuned"
        reporter.next_command(next_command("finetune", {**given, "split": written.path}, output=output))
    reporter.finish(
        {
            "path": written.path,
            "parts": written.split.parts,
            "shares": written.shares,
            "notes": list(written.notes),
        }
    )
