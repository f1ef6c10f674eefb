"""`nrray bench`: rates of nrray beside those of the alternatives, and their ratios, which depend less on the machine."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from nrray.console.reporter import Reporter
from nrray.decode.bench import DecodeRates, bench_decode
from nrray.errors import DataError, NrrayError
from nrray.isolation import isolated_python
from nrray.pipelines.bench.plan import PlanFigures, benched_plan
from nrray.pipelines.relabel.job import RelabelConfig
from nrray.pipelines.relabel.run import RelabelOptions, relabel
from nrray.pipelines.scan.listing import VIDEO_SUFFIXES
from nrray.pipelines.scan.run import ScanConfig, scan
from nrray.pipelines.simulate import simulate
from nrray.results.domain import OutsideDomain
from nrray.sampling import Sampling
from nrray.simulate import SimulateConfig

PLAN_VIDEOS, PLAN_HOURS = 10_000, 1.0
UNPINNED = ("one_thread", "all_threads", "decode_ahead")
LOOPS = ("pinned", *UNPINNED)
SIMULATED_VIDEOS, LOOP_VIDEOS = 6, 12
RELABEL_VIDEOS, READ_VIDEOS = (12, 120), (2, 24)  # small and large archive
VIDEO_FORMAT = "720p H.264 at 25 frames/s"


@dataclass(frozen=True, kw_only=True)
class RelabelRates:
    """figures: rates, start and memory of relabel and of each loop, by name; ratios: by the names of both sides."""

    num_cpus: int | None
    figures: dict[str, dict[str, float]]
    ratios: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One program over one archive; `peak_memory_mib` of relabel alone."""

    video_seconds: float
    wall_seconds: float
    peak_memory_mib: float | None = None


def benched_decode(video: str | None, reporter: Reporter) -> DecodeRates:
    """Guarded forward decoding on one core, against seeking window by window and, where it is installed, ffmpeg."""
    if video is not None:
        return bench_decode(video)
    with tempfile.TemporaryDirectory() as folder:
        reporter.say(f"simulating one minute of {VIDEO_FORMAT}")
        simulate(_minutes_of_video(folder, 1), reporter)
        return bench_decode(str(next(Path(folder).rglob("*.mp4"))))


def _minutes_of_video(folder: str, num_videos: int) -> SimulateConfig:
    return SimulateConfig(
        output=folder,
        num_cases=num_videos,
        videos_per_case=1,
        case_seconds=60,
        width_px=1280,
        height_px=720,
        frames_per_second=25,
    )


def benched_relabel(archive: str | None, reporter: Reporter) -> RelabelRates:
    """`relabel` against plain loops of the same decode and model, and against ray.data.read_videos + map_batches; and
    its memory when the archive is ten times as large. About 25 minutes on two cores.

    Video seconds per second, start-up excluded. A pipeline on Ray reads ahead while models load, so that its first
    results exaggerate its rate: its rate is that of the difference between a large and a small archive. Each runs in a
    process of its own, one after the other.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if archive is None:
            reporter.say(f"simulating {SIMULATED_VIDEOS} videos of one minute, {VIDEO_FORMAT}")
            archive = str(Path(simulate(_minutes_of_video(str(root / "archive"), SIMULATED_VIDEOS), reporter).folder))
        manifests = {
            size: _manifest_of(archive, size, root / f"archive-{size}", reporter)
            for size in sorted({LOOP_VIDEOS, *RELABEL_VIDEOS, *READ_VIDEOS})
        }
        figures: dict[str, dict[str, float]] = {}
        for name, sizes in {
            "relabel": RELABEL_VIDEOS,
            "read_videos": READ_VIDEOS,
            "read_videos_shared": READ_VIDEOS,
        }.items():
            small, large = (_measured(name, manifests[size], str(root / f"{name}-{size}")) for size in sizes)
            rate = (large.video_seconds - small.video_seconds) / (large.wall_seconds - small.wall_seconds)
            figures[name] = {"video_seconds_per_second": rate, "start_seconds": small.wall_seconds}
            figures[name] |= {
                f"peak_memory_mib_of_{size}_videos": measured.peak_memory_mib
                for size, measured in zip(sizes, (small, large), strict=True)
                if measured.peak_memory_mib is not None
            }
            reporter.say(f"{name}: {rate:.2f} video seconds per second")
        for name in LOOPS:
            measured = _measured(name, manifests[LOOP_VIDEOS], "")
            figures[name] = {"video_seconds_per_second": measured.video_seconds / measured.wall_seconds}
            reporter.say(f"{name}: {figures[name]['video_seconds_per_second']:.2f} video seconds per second")
    rates = {name: figure["video_seconds_per_second"] for name, figure in figures.items()}
    small_memory, large_memory = (figures["relabel"][f"peak_memory_mib_of_{size}_videos"] for size in RELABEL_VIDEOS)
    return RelabelRates(
        num_cpus=os.cpu_count(),
        figures=figures,
        ratios={
            "relabel / loop pinned to one core": rates["relabel"] / rates["pinned"],
            "relabel / best unpinned loop": rates["relabel"] / max(rates[name] for name in UNPINNED),
            "relabel / read_videos + map_batches, window by window": rates["relabel"] / rates["read_videos"],
            "relabel / read_videos + map_batches of our labeler": rates["relabel"] / rates["read_videos_shared"],
            f"peak memory, {RELABEL_VIDEOS[1]} videos / {RELABEL_VIDEOS[0]} videos": large_memory / small_memory,
        },
    )


def _manifest_of(archive: str, num_videos: int, folder: Path, reporter: Reporter) -> str:
    """The manifest of an archive with `num_videos` names for the videos of a local one: each name counts as a video, none
    takes space."""
    files = sorted(path for path in Path(archive).rglob("*") if path.is_file() and path.suffix in VIDEO_SUFFIXES)
    if not files:
        raise NrrayError(f"{archive}: found no videos; --video takes a folder of local videos here")
    for number in range(num_videos):
        file = files[number % len(files)]
        target = folder / "videos" / f"{number:03d}-{file.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(file.absolute())
    output = folder / "scan"
    scan(ScanConfig(archive=str(folder / "videos"), output=str(output)), reporter)
    return str(output / "manifest.parquet")


def _measured(name: str, manifest: str, output: str) -> Run:
    module = "nrray.pipelines.bench.run" if name == "relabel" else "nrray.pipelines.bench.loops"
    command = isolated_python(module, name, manifest, output)
    environment = dict(os.environ)
    # A token and a session of its own: it shares nothing with the process that measures.
    for variable in ("RAY_AUTH_TOKEN", "RAY_AUTH_MODE"):
        environment.pop(variable, None)
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise NrrayError(f"measuring {name} failed: {finished.stderr.strip()[-800:]}")
    return Run(**json.loads(finished.stdout.strip().splitlines()[-1]))


class TreeMemory:
    """Peak of the summed proportional memory of this process and all below it, sampled every two seconds, as a small
    archive is done in ten: a sample costs a walk through every process's page tables."""

    def __init__(self) -> None:
        self.peak_mib = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "TreeMemory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        while not self._stop.wait(2.0):
            total = 0
            for process in [me, *me.children(recursive=True)]:
                try:
                    total += process.memory_full_info().pss
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue
            self.peak_mib = max(self.peak_mib, total / 2**20)


def _relabel_alone(manifest: str, output: str) -> Run:
    """One undisturbed relabel."""
    started = time.perf_counter()
    with TreeMemory() as memory:
        config = RelabelConfig(manifest=manifest, output=output, outside_domain=OutsideDomain.LABEL)
        result = relabel(config, RelabelOptions(), Reporter(is_json=True))
    wall_seconds = time.perf_counter() - started
    assert result.published is not None
    return Run(
        video_seconds=result.published.num_windows["ok"] * Sampling().stride_seconds,
        wall_seconds=wall_seconds,
        peak_memory_mib=memory.peak_mib,
    )


def run_bench(target: str, *, video: str | None, reporter: Reporter) -> None:
    """Measure and print. Raises DataError where `video` is not there."""
    if video is not None and not Path(video).exists():
        raise DataError(f"--video {video}: found nothing there, expected a video, or with relabel a folder of videos.")
    runs: dict[str, Callable[[], DecodeRates | RelabelRates | PlanFigures]] = {
        "decode": lambda: benched_decode(video, reporter),
        "relabel": lambda: benched_relabel(video, reporter),
        "plan": lambda: benched_plan(num_videos=PLAN_VIDEOS, hours=PLAN_HOURS),
    }
    figures = asdict(runs[target]())
    flat = [[key, value] for key, value in _flattened(figures)]
    reporter.table(f"bench {target}", ["figure", "value"], flat)
    reporter.finish(figures)


def _flattened(figures: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in figures.items():
        if isinstance(value, dict):
            rows += _flattened(value, f"{prefix}{key}: ")
        else:
            rows.append((f"{prefix}{key}", f"{value:.3f}" if isinstance(value, float) else str(value)))
    return rows


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(_relabel_alone(sys.argv[2], sys.argv[3]))) + "\n")
