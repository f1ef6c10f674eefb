"""The verbs that make models: finetune, tune, export-model."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nrray.cli.exit_codes import EXIT_ERROR, EXIT_FAILURES
from nrray.cli.options import ConfigArgument, DryRunOption, SetOption, settings_given

if TYPE_CHECKING:
    from nrray.console.reporter import Reporter


def finetune(
    reporter: "Reporter",
    config: ConfigArgument = None,
    set_: SetOption = None,
    dry_run: DryRunOption = False,
    curve: Annotated[
        str | None,
        typer.Option(metavar="CASES", help="Train on so many cases each, such as 1,2,4,8: would more of them help?"),
    ] = None,
) -> None:
    """Adapt a checkpoint to annotated videos with LoRA; run it again to go on where it stopped."""
    from nrray.pipelines.finetune.curve.report import curve_page, report_curve
    from nrray.pipelines.finetune.curve.run import run_curve
    from nrray.pipelines.finetune.curve.subsets import sizes_of
    from nrray.pipelines.finetune.job import FinetuneConfig
    from nrray.pipelines.finetune.report import finetune_page, report_finetune
    from nrray.pipelines.finetune.run import run_finetune
    from nrray.report.run_page import write_run_page
    from nrray.storage import Folder

    settings = settings_given(FinetuneConfig, "finetune", config, set_, reporter)
    if curve is not None:
        measured = run_curve(settings, sizes_of(curve), reporter, dry_run=dry_run)
        report_curve(measured, settings, reporter)
        if measured.document is not None:
            page = curve_page(measured.document, reporter.transcript, output=measured.output)
            reporter.page(write_run_page(Folder(measured.output), page))
        if not measured.has_learned:
            raise typer.Exit(EXIT_FAILURES)
        return
    result = run_finetune(settings, reporter, dry_run=dry_run)
    report_finetune(result, settings, reporter)
    if result.metrics is not None:
        reporter.page(write_run_page(Folder(result.output), finetune_page(result, result.metrics, reporter.transcript)))
    if not result.has_learned:
        raise typer.Exit(EXIT_ERROR)


def tune(
    reporter: "Reporter",
    config: ConfigArgument = None,
    set_: SetOption = None,
    dry_run: DryRunOption = False,
    budget_minutes: Annotated[float | None, typer.Option(min=0.1, help="All trials end after this time.")] = None,
) -> None:
    """Search which parts learn, and their rates: many fine-tunings, the best of them ready for relabel."""
    from nrray.pipelines.tune.job import TuneConfig
    from nrray.pipelines.tune.report import report_tune, tune_page
    from nrray.pipelines.tune.run import run_tune
    from nrray.report.run_page import write_run_page
    from nrray.storage import Folder

    budget = [] if budget_minutes is None else [f"search.budget_minutes={budget_minutes}"]
    settings = settings_given(TuneConfig, "tune", config, [*(set_ or ()), *budget], reporter)
    result = run_tune(settings, reporter, dry_run=dry_run)
    report_tune(result, settings, reporter)
    if result.best is not None:
        page = tune_page(result, result.best, reporter.transcript)
        reporter.page(write_run_page(Folder(result.output), page))


def export_model(
    reporter: "Reporter",
    adapter: Annotated[str, typer.Argument(help="Folder of an adapter that `nrray finetune` made.")],
    output: Annotated[Path, typer.Argument(help="Folder for the merged checkpoint; it must not exist yet.")],
    model: Annotated[str, typer.Option(help="The checkpoint that the adapter was trained on.")] = "embedded",
    label_set: Annotated[str | None, typer.Option(help="Label set file; the one in the package by default.")] = None,
) -> None:
    """Merge an adapter into its checkpoint: one folder that transformers loads, with the same scores."""
    from nrray.labels import read_label_set
    from nrray.models import CheckpointChoice, resolve_checkpoint
    from nrray.models.export import COMPARED_WINDOWS
    from nrray.models.export import export_model as exported
    from nrray.project import next_command, read_project

    checkpoint = resolve_checkpoint(CheckpointChoice(path=model, adapter=adapter))
    found = exported(checkpoint, output, read_label_set(label_set))
    reporter.say(
        f"{found.parameter_count:,} parameters in {found.folder}; scores of {COMPARED_WINDOWS} windows of noise differ from the "
        f"adapter's by at most {found.max_difference:.1g}"
    )
    if read_project() is not None:
        labels = f"{found.folder}-labels"
        reporter.next_command(next_command("relabel", {"model.path": found.folder, "output": labels}))
    else:
        reporter.say(f"`nrray relabel` takes it with --set model.path={shlex.quote(found.folder)}")
    reporter.finish(asdict(found))
