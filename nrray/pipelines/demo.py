"""`nrray demo`: the whole main job on simulated cases, from nothing, on this machine."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from nrray.console.reporter import Reporter
from nrray.console.transcript import Transcript
from nrray.evaluate.config import EvaluateConfig
from nrray.evaluate.evaluation import Evaluation, evaluate
from nrray.evaluate.figure_text import interval
from nrray.evaluate.page import PAGE_FILE
from nrray.evaluate.run_pages import evaluation_run_page
from nrray.pipelines.on_ray.session import ray_session
from nrray.pipelines.relabel.job import RelabelConfig
from nrray.pipelines.relabel.page import relabel_page
from nrray.pipelines.relabel.report import Relabelled
from nrray.pipelines.relabel.run import RelabelOptions, relabel
from nrray.pipelines.relabel.timelines import draw_pictures
from nrray.pipelines.scan.report import Scanned, report_scan, scan_page
from nrray.pipelines.scan.run import ScanConfig, scan
from nrray.pipelines.simulate import simulate
from nrray.report.run_page import RUN_PAGE_FILE, RunFile, RunPage, RunPicture, write_run_page
from nrray.simulate import SimulateConfig
from nrray.storage import Folder
from nrray.wording import counted


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """Results of the demo's steps, and the seconds of each."""

    folder: str
    scanned: Scanned
    relabelled: Relabelled
    evaluation: Evaluation
    pictures: list[str]
    seconds: dict[str, float]


# Cases that the embedded model has never seen: its recipe draws from other seeds (see its model card).
DEMO_SEED = 20_260_212


def demo(folder: str, *, num_cases: int, reporter: Reporter) -> DemoResult:
    """Simulate, scan, relabel, compare, draw; all files are left in `folder`, and each step can be run again alone."""
    root = Path(folder).absolute()
    seconds: dict[str, float] = {}
    simulate_config = SimulateConfig(output=str(root / "archive"), num_cases=num_cases, seed=DEMO_SEED)
    scan_config = ScanConfig(
        archive=str(root / "archive" / "videos"), output=str(root / "scan"), cases=str(root / "archive" / "cases.csv")
    )
    relabel_config = RelabelConfig(manifest=str(root / "scan" / "manifest.parquet"), output=str(root / "labels"))
    with ray_session():
        with _timed("simulate", seconds):
            reporter.say(f"1/5 simulate {counted(num_cases, 'case')}")
            simulation = simulate(simulate_config, reporter)
            reporter.say(f"{counted(simulation.num_videos, 'video')}, {simulation.video_us / 60e6:.1f} min of video")
        with _timed("scan", seconds), reporter.transcript.part() as scan_transcript:
            reporter.say("2/5 scan")
            scanned = scan(scan_config, reporter)
            report_scan(scanned, reporter)
        with _timed("relabel", seconds), reporter.transcript.part() as relabel_transcript:
            reporter.say("3/5 relabel")
            relabelled = relabel(relabel_config, RelabelOptions(), reporter)
    truth = str(root / "archive" / "truth")
    with _timed("draw", seconds):
        reporter.say("4/5 draw timelines")
        pictures = draw_pictures(Folder(str(root / "labels")), reference=truth)
    with _timed("compare", seconds), reporter.transcript.part() as evaluate_transcript:
        reporter.say("5/5 compare with the simulation's truth")
        evaluation = evaluate(
            EvaluateConfig(
                candidate=str(root / "labels"),
                reference=truth,
                output=str(root / "evaluation"),
                cases=str(root / "archive" / "cases.csv"),
            )
        )
        _report_agreement(evaluation, reporter)
    _write_configs(root, scan_config, relabel_config)
    pages = {
        "scan": scan_page(scanned, scan_transcript, archive=scan_config.archive),
        "labels": relabel_page(Folder(str(root / "labels")), relabel_transcript),
        "evaluation": evaluation_run_page(evaluation.document, evaluate_transcript),
    }
    for name, page in pages.items():
        write_run_page(Folder(str(root / name)), page)
    return DemoResult(
        folder=str(root),
        scanned=scanned,
        relabelled=relabelled,
        evaluation=evaluation,
        pictures=pictures,
        seconds={name: round(value, 1) for name, value in seconds.items()},
    )


def demo_page(result: DemoResult, transcript: Transcript) -> RunPage:
    """The page of a demo, which leads to those of its steps."""
    document = result.evaluation.document
    macro = document.macro_row
    of_cases = "1 simulated case" if document.num_cases == 1 else f"{document.num_cases} simulated cases"
    return RunPage(
        title="Demo",
        outcome=f"{of_cases} labelled by the model in the package: F1 of windows, {macro.name}, "
        f"{interval(macro.values['windows f1'], 2)}. It has seen drawn scenes alone: its labels of real video mean nothing.",
        facts=[(f"{name} took", f"{value:.1f} s") for name, value in result.seconds.items()],
        transcript=transcript,
        pictures=[
            RunPicture(
                file=Path(picture).relative_to(result.folder).as_posix(),
                description=f"Timeline of {Path(picture).stem}",
            )
            for picture in result.pictures
        ],
        files=[
            RunFile(file=f"evaluation/{PAGE_FILE}", meaning="the labels against the truth"),
            RunFile(file=f"labels/{RUN_PAGE_FILE}", meaning="the page of the labels"),
            RunFile(file=f"scan/{RUN_PAGE_FILE}", meaning="the page of the scan"),
            RunFile(file="archive", meaning="videos and truth"),
            RunFile(file="scan.yaml", meaning="config to scan again"),
            RunFile(file="relabel.yaml", meaning="config to label again"),
        ],
    )


@dataclass(frozen=True, kw_only=True)
class ActivityFigures:
    """Agreement with the truth on one activity; support: windows that have it."""

    activity: str
    support: int | None
    precision: float | None
    recall: float | None
    f1: float | None


def activity_figures(evaluation: Evaluation) -> list[ActivityFigures]:
    """The figures of every activity."""
    return [
        ActivityFigures(
            activity=row.name,
            support=row.support_windows,
            precision=row.values["windows precision"].estimate,
            recall=row.values["windows recall"].estimate,
            f1=row.values["windows f1"].estimate,
        )
        for row in evaluation.document.activity_rows
    ]


def _report_agreement(evaluation: Evaluation, reporter: Reporter) -> None:
    reporter.table(
        f"Against the truth, {counted(evaluation.document.num_windows, 'window')} at natural prevalence",
        ["activity", "windows with it", "precision", "recall", "F1"],
        [[row.activity, row.support, row.precision, row.recall, row.f1] for row in activity_figures(evaluation)],
    )


@contextmanager
def _timed(name: str, seconds: dict[str, float]) -> Iterator[None]:
    started = time.monotonic()
    yield
    seconds[name] = time.monotonic() - started


def _write_configs(root: Path, scan_config: ScanConfig, relabel_config: RelabelConfig) -> None:
    """The configs that the demo ran, for running a step again by itself."""
    for name, config in (("scan.yaml", scan_config), ("relabel.yaml", relabel_config)):
        document = config.model_dump(mode="json", exclude_defaults=True)
        (root / name).write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
