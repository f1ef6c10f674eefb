"""The verbs: arguments in, exit code out. Pipelines and libraries are imported by the verb that needs them, so that
`nrray --help` is quick.

Exit codes: 0 done; 1 an error, printed as a sentence; 2 wrong usage; 3 done, but some units or files failed; 130
stopped by Ctrl-C or SIGTERM.
"""

import shlex
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nrray import __version__
from nrray.cli import annotations, measuring, project, training
from nrray.cli.exit_codes import EXIT_ERROR, EXIT_FAILURES
from nrray.cli.options import (
    AllowRemoteOption,
    ConfigArgument,
    DryRunOption,
    SetOption,
    config_words,
    project_output,
    settings_given,
    with_reporter,
    with_settings,
)
from nrray.wording import counted

if TYPE_CHECKING:
    from nrray.console.reporter import Reporter

app = typer.Typer(
    help="Label video archives with local vision-language models, distributed on Ray.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class BenchTarget(str, Enum):
    """The parts that `nrray bench` measures."""

    DECODE = "decode"
    RELABEL = "relabel"
    PLAN = "plan"


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(f"nrray {__version__}")
        raise typer.Exit


@app.command()
@with_reporter
def demo(
    reporter: "Reporter",
    folder: Annotated[str, typer.Argument(help="Folder for all files of the demo.")] = "nrray-demo",
    cases: Annotated[int, typer.Option(min=1, max=1000, help="Simulated cases.")] = 4,
) -> None:
    """Simulate cases, scan, relabel and compare with the truth: the whole main job, with no download."""
    from nrray.evaluate.metric_rows import MACRO
    from nrray.pipelines.demo import activity_figures, demo_page
    from nrray.pipelines.demo import demo as run_demo
    from nrray.report.run_page import write_run_page
    from nrray.storage import Folder

    result = run_demo(folder, num_cases=cases, reporter=reporter)
    reporter.table("Seconds", ["step", "s"], [[name, f"{value:.1f}"] for name, value in result.seconds.items()])
    reporter.say(f"Tables:    {result.folder}/labels/latest/{{labels,segments,coverage}}.parquet")
    if result.pictures:
        reporter.say(f"Timelines: {Path(result.pictures[0]).parent}, first {Path(result.pictures[0]).name}")
    reporter.say(f"Report:    {result.evaluation.folder}/report.html")
    reporter.say(f"Configs:   {result.folder}/scan.yaml, {result.folder}/relabel.yaml")
    reporter.next_command(f"nrray status {shlex.quote(result.folder + '/labels')}")
    reporter.next_command("nrray study --quick")
    reporter.page(write_run_page(Folder(result.folder), demo_page(result, reporter.transcript)))
    reporter.finish(
        {
            "folder": result.folder,
            "units": result.relabelled.counts,
            "macro_f1": result.evaluation.document.row(MACRO).values["windows f1"].estimate,
            "activities": [asdict(row) for row in activity_figures(result.evaluation)],
            "pictures": result.pictures,
            "seconds": result.seconds,
        }
    )
    _exit_if(result.relabelled.falls_short)


@app.command()
@with_reporter
def doctor(
    reporter: "Reporter",
    model: Annotated[str | None, typer.Option(help="Also load this checkpoint folder and label one window.")] = None,
    adapter: Annotated[
        str | None, typer.Option(help="Adapter of `nrray finetune` on --model: also check that it fits.")
    ] = None,
    label_set: Annotated[str | None, typer.Option(help="Label set file for --model.")] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify", help="Read every weight of --model: files against the digests stated of them, numbers for NaN."
        ),
    ] = False,
    server: Annotated[
        str | None,
        typer.Option(help="Also ask this server of the OpenAI protocol what it can do (strategy.engine.url)."),
    ] = None,
    server_model: Annotated[str | None, typer.Option(help="Model of --server, where it serves several.")] = None,
    allow_remote: Annotated[bool, typer.Option("--allow-remote", help="--server may be outside this house.")] = False,
) -> None:
    """Examine this machine: Python, Ray, torch, GPUs, decoders, disk, offline state."""
    from nrray.config import validate_mapping
    from nrray.errors import ConfigError
    from nrray.models.engines import OpenAiSection
    from nrray.pipelines.doctor import run_doctor

    if server is None and (server_model is not None or allow_remote):
        raise ConfigError(
            "found --server-model or --allow-remote without --server, which they go with. Give --server URL."
        )
    asked = {"url": server, "model": server_model}
    section = None if server is None else validate_mapping(OpenAiSection, asked, where="--server")
    can_run = run_doctor(
        model=model,
        adapter=adapter,
        label_set=label_set,
        verify=verify,
        reporter=reporter,
        server=section,
        allow_remote=allow_remote,
    )
    _exit_if(not can_run, code=EXIT_ERROR)


@app.command(cls=with_settings("nrray.simulate", "SimulateConfig"))
@with_reporter
def simulate(
    reporter: "Reporter",
    config: ConfigArgument = None,
    appearance: Annotated[
        list[str] | None,
        typer.Option(help="Family of appearance, case by case in turn; may be repeated. Families share nothing."),
    ] = None,
    renderer: Annotated[
        str | None, typer.Option(help="How scenes are drawn; the truth is the same. README lists the renderers.")
    ] = None,
    set_: SetOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Render simulated resuscitations with exact truth."""
    from nrray.console.run_record import keep_record
    from nrray.pipelines.simulate import simulate as run_simulate
    from nrray.pipelines.simulate import simulation_page
    from nrray.project import next_command
    from nrray.report.run_page import write_run_page
    from nrray.simulate import SimulateConfig
    from nrray.storage import Folder

    families = [f"appearance=[{', '.join(appearance)}]"] if appearance else []
    drawn_by = [f"renderer={renderer}"] if renderer is not None else []
    settings = settings_given(SimulateConfig, "simulate", config, [*(set_ or ()), *families, *drawn_by], reporter)
    if dry_run:
        reporter.say(f"{counted(settings.num_cases, 'case')} would be rendered into {settings.output}")
        reporter.finish({"dry_run": True, "num_cases": settings.num_cases, "folder": settings.output})
        return
    result = run_simulate(settings, reporter)
    reporter.say(
        f"{counted(result.num_cases, 'case')}, {counted(result.num_videos, 'video')}, {result.video_us / 60e6:.1f} min in "
        f"{result.folder}"
    )
    keep_record(Folder(result.folder), "simulate", settings)
    places = {"archive": f"{result.folder}/videos", "cases": f"{result.folder}/cases.csv"}
    reporter.next_command(next_command("scan", {**places, "output": f"{result.folder}/scan"}))
    page = simulation_page(result, settings, reporter.transcript)
    reporter.page(write_run_page(Folder(result.folder), page))
    reporter.finish(asdict(result))


@app.command(cls=with_settings("nrray.pipelines.scan.run", "ScanConfig"))
@with_reporter
def scan(
    reporter: "Reporter",
    config: ConfigArgument = None,
    set_: SetOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Probe an archive's videos and write or update its manifest."""
    from nrray.pipelines.scan.report import report_scan, scan_page
    from nrray.pipelines.scan.run import ScanConfig
    from nrray.pipelines.scan.run import scan as run_scan
    from nrray.project import next_command
    from nrray.report.run_page import write_run_page
    from nrray.storage import Folder, absolute_uri

    settings = settings_given(ScanConfig, "scan", config, set_, reporter)
    result = run_scan(settings, reporter, dry_run=dry_run)
    if not dry_run:
        report_scan(result, reporter)
        labels = absolute_uri(settings.output).rstrip("/") + "-labels"
        if len(result.videos) > result.num_bad:
            reporter.next_command(next_command("relabel", {"manifest": result.manifest}, output=labels))
        page = scan_page(result, reporter.transcript, archive=settings.archive)
        reporter.page(write_run_page(Folder(settings.output), page))
    reporter.finish(
        {
            "manifest": result.manifest,
            "videos": len(result.videos),
            "unreadable": result.num_bad,
            "not_looked_into": [asdict(item) for item in result.unlisted],
            "probed": result.num_probed,
            "removed": result.num_removed,
            "dry_run": dry_run,
        }
    )
    _exit_if(result.has_failures)


@app.command(cls=with_settings("nrray.pipelines.relabel.job", "RelabelConfig"))
@with_reporter
def relabel(
    reporter: "Reporter",
    config: ConfigArgument = None,
    set_: SetOption = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="UNITS", help="Try at most so many units.")] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Also try units again that failed or lack windows.")
    ] = False,
    allow_remote: AllowRemoteOption = False,
    dry_run: DryRunOption = False,
    restate: Annotated[
        bool,
        typer.Option(
            "--restate",
            help="Only read the answers of the output again, with the parser, thresholds and rules of now; loads no model.",
        ),
    ] = False,
) -> None:
    """Label everything that the archive has and the output lacks; run it again to go on where it stopped."""
    from nrray.errors import ConfigError
    from nrray.pipelines.relabel.job import RelabelConfig
    from nrray.pipelines.relabel.page import relabel_page
    from nrray.pipelines.relabel.report import report_relabel
    from nrray.pipelines.relabel.restate import restate as run_restate
    from nrray.pipelines.relabel.run import RelabelOptions
    from nrray.pipelines.relabel.run import relabel as run_relabel
    from nrray.pipelines.relabel.timelines import missing_pictures
    from nrray.report.run_page import write_run_page
    from nrray.storage import Folder

    settings = settings_given(RelabelConfig, "relabel", config, set_, reporter)
    options = RelabelOptions(limit_units=limit, dry_run=dry_run, retry_failed=retry_failed, allow_remote=allow_remote)
    if restate and options != RelabelOptions(allow_remote=allow_remote):
        raise ConfigError(
            "--restate tries no unit: found it with --limit, --retry-failed or --dry-run. Leave these out."
        )
    result = (
        run_restate(settings, reporter, allow_remote=allow_remote)
        if restate
        else run_relabel(settings, options, reporter)
    )
    output = Folder(result.output)
    pictures = [] if dry_run else missing_pictures(output)
    remote = ["--allow-remote"] if allow_remote else []
    command = shlex.join(["nrray", "relabel", *config_words(config, set_), *remote])
    report_relabel(result, pictures, command, reporter, was_retried=retry_failed or restate)
    if not dry_run:
        reporter.page(write_run_page(output, relabel_page(output, reporter.transcript)))
    _exit_if(result.falls_short)


@app.command()
@with_reporter
def status(
    reporter: "Reporter",
    output: Annotated[
        str | None,
        typer.Argument(
            help="The output of relabel or of a study, running or finished; the project's labels by default."
        ),
    ] = None,
) -> None:
    """Show the state of an output: units by status, failures with reasons, versions."""
    from nrray.pipelines.relabel.status import output_status, report_status
    from nrray.pipelines.study.status import is_study, report_study_status, study_status
    from nrray.storage import Folder

    folder = Folder(output or project_output("relabel"))
    if is_study(folder):
        study = study_status(folder)
        report_study_status(study, reporter)
        reporter.finish(study.document())
        return
    found = output_status(folder)
    report_status(found, reporter)
    reporter.finish(found.document())


@app.command()
@with_reporter
def bench(
    reporter: "Reporter",
    target: Annotated[BenchTarget, typer.Argument(help="Part to measure.")],
    video: Annotated[str | None, typer.Option(help="Measure on this video (decode, relabel).")] = None,
) -> None:
    """Measure decode, relabel or plan beside their alternatives, as ratios."""
    from nrray.pipelines.bench.run import run_bench

    run_bench(target.value, video=video, reporter=reporter)


app.command()(with_reporter(project.init))
app.command(cls=with_settings("nrray.formats", "ImportConfig"), name="import")(with_reporter(annotations.import_))
app.command(cls=with_settings("nrray.formats", "ExportConfig"))(with_reporter(annotations.export))
app.command(cls=with_settings("nrray.pipelines.finetune.job", "FinetuneConfig"))(with_reporter(training.finetune))
app.command(cls=with_settings("nrray.pipelines.tune.job", "TuneConfig"))(with_reporter(training.tune))
app.command("export-model")(with_reporter(training.export_model))
app.command(cls=with_settings("nrray.evaluate.config", "EvaluateConfig"))(with_reporter(measuring.evaluate))
app.command(cls=with_settings("nrray.pipelines.calibrate", "CalibrateConfig"))(with_reporter(measuring.calibrate))
app.command(cls=with_settings("nrray.pipelines.probe.job", "ProbeConfig"))(with_reporter(measuring.probe))
app.command(cls=with_settings("nrray.evaluate.config", "CompareConfig"))(with_reporter(measuring.compare))
app.command(cls=with_settings("nrray.pipelines.study.job", "StudyConfig"))(with_reporter(measuring.study))
app.command(cls=with_settings("nrray.evaluate.config", "SplitConfig"))(with_reporter(measuring.split))


def _exit_if(condition: bool, *, code: int = EXIT_FAILURES) -> None:
    if condition:
        raise typer.Exit(code)
