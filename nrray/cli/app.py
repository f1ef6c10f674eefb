"""The verbs: arguments in, exit code out. Pipelines and libraries are imported by the verb that needs them, so that
`nrray --help` is quick.

Exit codes: 0 done; 1 an error, printed as a sentence; 2 wrong usage; 3 done, but some units or files failed; 130
stopped by Ctrl-C or SIGTERM.
"""

import atexit
import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from nrray import __version__
from nrray.cli import annotations, measuring, training
from nrray.cli.options import ConfigArgument, DryRunOption, JsonOption, SetOption, config_words, with_settings
from nrray.errors import ConfigError, NrrayError

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_FAILURES = 3
EXIT_INTERRUPTED = 130

app = typer.Typer(
    help="Label video archives with local vision-language models, distributed on Ray.",
    no_args_is_help=True,
    add_completion=False,
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
def demo(
    folder: Annotated[str, typer.Argument(help="Folder for all files of the demo.")] = "nrray-demo",
    cases: Annotated[int, typer.Option(min=1, max=1000, help="Simulated cases.")] = 4,
    as_json: JsonOption = False,
) -> None:
    """Simulate cases, scan, relabel and compare with the truth: the whole main job, with no download."""
    from nrray.console.reporter import Reporter
    from nrray.evaluate.metric_rows import MACRO
    from nrray.pipelines.demo import activity_figures, demo_page
    from nrray.pipelines.demo import demo as run_demo
    from nrray.report.run_page import write_run_page
    from nrray.storage import Folder

    reporter = Reporter(is_json=as_json)
    result = run_demo(folder, num_cases=cases, reporter=reporter)
    reporter.table("Seconds", ["step", "s"], [[name, f"{value:.1f}"] for name, value in result.seconds.items()])
    reporter.say(f"Tables:    {result.folder}/labels/latest/{{labels,segments,coverage}}.parquet")
    if result.pictures:
        reporter.say(f"Timelines: {Path(result.pictures[0]).parent}, first {Path(result.pictures[0]).name}")
    reporter.say(f"Report:    {result.evaluation.folder}/report.html")
    reporter.say(f"Configs:   {result.folder}/scan.yaml, {result.folder}/relabel.yaml")
    reporter.next_command(f"nrray status {shlex.quote(result.folder + '/labels')}")
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
    _exit_if(result.relabelled.has_failures)


@app.command()
def doctor(
    model: Annotated[str | None, typer.Option(help="Also load this checkpoint folder and label one window.")] = None,
    label_set: Annotated[str | None, typer.Option(help="Label set file for --model.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Examine this machine: Python, Ray, torch, GPUs, decoders, disk, offline state."""
    from nrray.console.reporter import Reporter
    from nrray.pipelines.doctor import run_doctor

    _exit_if(not run_doctor(model=model, label_set=label_set, reporter=Reporter(is_json=as_json)), code=EXIT_ERROR)


@app.command(cls=with_settings("nrray.simulate", "SimulateConfig"))
def simulate(
    config: ConfigArgument = None,
    appearance: Annotated[
        list[str] | None,
        typer.Option(help="Family of appearance, case by case in turn; may be repeated. Families share nothing."),
    ] = None,
    renderer: Annotated[
        str | None, typer.Option(help="How scenes are drawn; the truth is the same. README lists the renderers.")
    ] = None,
    set_: SetOption = None,
    as_json: JsonOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Render simulated resuscitations with exact truth."""
    from nrray.config import load_config
    from nrray.console.reporter import Reporter
    from nrray.pipelines.simulate import simulate as run_simulate
    from nrray.pipelines.simulate import simulation_page
    from nrray.report.run_page import write_run_page
    from nrray.simulate import SimulateConfig
    from nrray.storage import Folder

    families = [f"appearance=[{', '.join(appearance)}]"] if appearance else []
    drawn_by = [f"renderer={renderer}"] if renderer is not None else []
    settings = load_config(SimulateConfig, config, [*(set_ or ()), *families, *drawn_by])
    reporter = Reporter(is_json=as_json)
    if dry_run:
        reporter.say(f"{settings.num_cases} cases would be rendered into {settings.output}")
        reporter.finish({"dry_run": True, "num_cases": settings.num_cases, "folder": settings.output})
        return
    result = run_simulate(settings, reporter)
    reporter.say(
        f"{result.num_cases} cases, {result.num_videos} videos, {result.video_us / 60e6:.1f} min in {result.folder}"
    )
    folder = shlex.quote(result.folder)
    reporter.next_command(
        f"nrray scan --set archive={folder}/videos --set cases={folder}/cases.csv --set output={folder}/scan"
    )
    page = simulation_page(result, settings, reporter.transcript)
    reporter.page(write_run_page(Folder(result.folder), page))
    reporter.finish(asdict(result))


@app.command(cls=with_settings("nrray.pipelines.scan.run", "ScanConfig"))
def scan(
    config: ConfigArgument = None,
    set_: SetOption = None,
    as_json: JsonOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Probe an archive's videos and write or update its manifest."""
    from nrray.config import load_config
    from nrray.console.reporter import Reporter
    from nrray.pipelines.scan.report import report_scan, scan_page
    from nrray.pipelines.scan.run import ScanConfig
    from nrray.pipelines.scan.run import scan as run_scan
    from nrray.report.run_page import write_run_page
    from nrray.storage import Folder, absolute_uri

    settings = load_config(ScanConfig, config, set_ or ())
    reporter = Reporter(is_json=as_json)
    result = run_scan(settings, reporter, dry_run=dry_run)
    if not dry_run:
        report_scan(result, reporter)
        labels = absolute_uri(settings.output).rstrip("/") + "-labels"
        if len(result.videos) > result.num_bad:
            reporter.next_command(
                f"nrray relabel --set manifest={shlex.quote(result.manifest)} --set output={shlex.quote(labels)}"
            )
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
def relabel(
    config: ConfigArgument = None,
    set_: SetOption = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="UNITS", help="Try at most so many units.")] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Also try units again that failed or lack windows.")
    ] = False,
    as_json: JsonOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Label everything that the archive has and the output lacks; run it again to go on where it stopped."""
    from nrray.config import load_config
    from nrray.console.reporter import Reporter
    from nrray.pipelines.relabel.job import RelabelConfig
    from nrray.pipelines.relabel.page import relabel_page
    from nrray.pipelines.relabel.report import report_relabel
    from nrray.pipelines.relabel.run import RelabelOptions
    from nrray.pipelines.relabel.run import relabel as run_relabel
    from nrray.pipelines.relabel.timelines import missing_pictures
    from nrray.report.run_page import write_run_page
    from nrray.storage import Folder

    settings = load_config(RelabelConfig, config, set_ or ())
    reporter = Reporter(is_json=as_json)
    options = RelabelOptions(limit_units=limit, dry_run=dry_run, retry_failed=retry_failed)
    result = run_relabel(settings, options, reporter)
    output = Folder(result.output)
    pictures = [] if dry_run else missing_pictures(output)
    command = shlex.join(["nrray", "relabel", *config_words(config, set_)])
    report_relabel(result, pictures, command, reporter, was_retried=retry_failed)
    if not dry_run:
        reporter.page(write_run_page(output, relabel_page(output, reporter.transcript)))
    _exit_if(result.has_failures)


@app.command()
def status(
    output: Annotated[str, typer.Argument(help="The output of a relabel run, running or finished.")],
    as_json: JsonOption = False,
) -> None:
    """Show the state of an output: units by status, failures with reasons, versions."""
    from nrray.console.reporter import Reporter
    from nrray.pipelines.relabel.status import output_status, report_status
    from nrray.storage import Folder

    reporter = Reporter(is_json=as_json)
    found = output_status(Folder(output))
    report_status(found, reporter)
    reporter.finish(found.document())


@app.command()
def bench(
    target: Annotated[BenchTarget, typer.Argument(help="Part to measure.")],
    video: Annotated[str | None, typer.Option(help="Measure on this video (decode, relabel).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure decode, relabel or plan beside their alternatives, as ratios."""
    from nrray.console.reporter import Reporter
    from nrray.pipelines.bench.run import run_bench

    run_bench(target.value, video=video, reporter=Reporter(is_json=as_json))


app.command(cls=with_settings("nrray.formats", "ImportConfig"), name="import")(annotations.import_)
app.command(cls=with_settings("nrray.formats", "ExportConfig"))(annotations.export)
app.command(cls=with_settings("nrray.pipelines.finetune.job", "FinetuneConfig"))(training.finetune)
app.command(cls=with_settings("nrray.pipelines.tune.job", "TuneConfig"))(training.tune)
app.command("export-model")(training.export_model)
app.command(cls=with_settings("nrray.evaluate.config", "EvaluateConfig"))(measuring.evaluate)
app.command(cls=with_settings("nrray.evaluate.config", "CompareConfig"))(measuring.compare)
app.command(cls=with_settings("nrray.evaluate.config", "SplitConfig"))(measuring.split)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code. Errors of nrray are sentences on stderr, without a traceback."""
    try:
        code = app(args=list(arguments) if arguments is not None else None, standalone_mode=False)
    except ConfigError as error:
        return _printed(error, EXIT_USAGE)
    except NrrayError as error:
        return _printed(error, EXIT_ERROR)
    except (KeyboardInterrupt, typer.Abort):
        code = EXIT_INTERRUPTED
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # click's usage errors
            error.show()  # type: ignore[attr-defined]
            return int(error.exit_code)
        raise
    if code == EXIT_INTERRUPTED:  # typer's code for a KeyboardInterrupt
        sys.stderr.write("\nStopped. Finished work is kept; the same command goes on from there.\n")
    return code if isinstance(code, int) else 0


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """`main` as a whole process, which ends with its exit code.

    The functions registered with atexit run, the interpreter is not taken down: native threads of Ray and of Arrow that are at
    work would then end the process by SIGSEGV or SIGABRT, whatever exit code the verb has.
    """
    code = main(arguments)
    _flush()
    atexit._run_exitfuncs()
    _flush()
    os._exit(code)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # its reader has ended
            stream.flush()


def _printed(error: NrrayError, code: int) -> int:
    from nrray.console.reporter import printable

    sys.stderr.write(f"error: {printable(str(error))}\n")
    return code


def _exit_if(condition: bool, *, code: int = EXIT_FAILURES) -> None:
    if condition:
        raise typer.Exit(code)
