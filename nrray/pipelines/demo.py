"""`nrray demo`: the whole main job on simulated cases, from nothing, on this machine."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from nrray.labels import read_label_set
from nrray.metrics import macro_f1
from nrray.pipelines.cluster import ray_session
from nrray.pipelines.compare_truth import TruthComparison, compared_with_truth, report_agreement
from nrray.pipelines.console import Reporter
from nrray.pipelines.pictures import draw_pictures
from nrray.pipelines.relabel import Relabelled, RelabelOptions, relabel
from nrray.pipelines.relabel_job import RelabelConfig
from nrray.pipelines.scan import ScanConfig, Scanned, report_scan, scan
from nrray.pipelines.simulate import simulate
from nrray.simulate import SimulateConfig
from nrray.storage import Folder


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What the demo came to."""

    folder: str
    scanned: Scanned
    relabelled: Relabelled
    comparison: TruthComparison
    macro_f1: float | None
    pictures: list[str]
    seconds: dict[str, float]


# Cases that the embedded model has never seen: its recipe draws from other seeds (see its model card).
DEMO_SEED = 20_260_212


def demo(folder: str, *, num_cases: int, reporter: Reporter) -> DemoResult:
    """Simulate, scan, relabel, compare, draw; everything is left in `folder`, and each part can be run again alone."""
    root = Path(folder).absolute()
    seconds: dict[str, float] = {}
    simulate_config = SimulateConfig(output=str(root / "archive"), num_cases=num_cases, seed=DEMO_SEED)
    scan_config = ScanConfig(
        archive=str(root / "archive" / "videos"), output=str(root / "scan"), cases=str(root / "archive" / "cases.csv")
    )
    relabel_config = RelabelConfig(manifest=str(root / "scan" / "manifest.parquet"), output=str(root / "labels"))
    with ray_session():
        with _timed("simulate", seconds):
            reporter.say(f"1/5 simulate {num_cases} cases")
            simulation = simulate(simulate_config, reporter)
            reporter.say(f"{simulation.num_videos} videos, {simulation.video_us / 60e6:.1f} min of video")
        with _timed("scan", seconds):
            reporter.say("2/5 scan")
            scanned = scan(scan_config, reporter)
            report_scan(scanned, scan_config, reporter)
        with _timed("relabel", seconds):
            reporter.say("3/5 relabel")
            relabelled = relabel(relabel_config, RelabelOptions(), reporter)
    latest = Folder(str(root / "labels")) / "latest"
    with _timed("compare", seconds):
        reporter.say("4/5 compare with the simulation's truth")
        manifest = Folder(str(root / "scan")).read_table("manifest.parquet")
        truth = str(root / "archive" / "truth")
        comparison = compared_with_truth(latest, truth, manifest, read_label_set().activities)
        report_agreement(comparison, reporter)
    with _timed("draw", seconds):
        reporter.say("5/5 draw timelines")
        pictures = draw_pictures(Folder(str(root / "labels")), truth_folder=truth, manifest=manifest)
    _write_configs(root, scan_config, relabel_config)
    return DemoResult(
        folder=str(root),
        scanned=scanned,
        relabelled=relabelled,
        comparison=comparison,
        macro_f1=macro_f1(comparison.agreements),
        pictures=pictures,
        seconds={name: round(value, 1) for name, value in seconds.items()},
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
