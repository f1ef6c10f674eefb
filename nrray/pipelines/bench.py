"""`nrray bench`: figures beside what they are compared to, as ratios. They depend on the machine; the ratios less so."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from nrray.decode.bench import bench_decode
from nrray.errors import NrrayError
from nrray.ledger import Ledger
from nrray.pipelines.bench_plan import benched_plan
from nrray.pipelines.console import Reporter
from nrray.pipelines.relabel import RelabelConfig, RelabelOptions, relabel
from nrray.pipelines.scan import ScanConfig, scan
from nrray.pipelines.simulate import simulate
from nrray.sampling import Sampling
from nrray.simulate import SimulateConfig
from nrray.storage import Folder
from nrray.types import US_PER_SECOND

PLAN_VIDEOS, PLAN_HOURS = 10_000, 1.0
LOOPS = ("pinned", "one_thread", "all_threads", "decode_ahead", "read_videos", "read_videos_shared")
GROWTH = 10
VIDEO_FORMAT = "720p H.264 at 25 frames/s"


def benched_decode(video: str | None, reporter: Reporter) -> dict[str, Any]:
    """Guarded forward decoding on one core, against seeking window by window and, where it is installed, ffmpeg."""
    if video is not None:
        return bench_decode(video)
    with tempfile.TemporaryDirectory() as folder:
        reporter.say(f"simulating one minute of {VIDEO_FORMAT}")
        simulate(_minutes_of_video(folder, num_videos=1), reporter)
        return bench_decode(str(next(Path(folder).rglob("*.mp4"))))


def _minutes_of_video(folder: str, *, num_videos: int) -> SimulateConfig:
    return SimulateConfig(
        output=folder,
        num_cases=num_videos,
        videos_per_case=1,
        case_seconds=60,
        width_px=1280,
        height_px=720,
        frames_per_second=25,
    )


def benched_relabel(archive: str | None, reporter: Reporter) -> dict[str, Any]:
    """`relabel` against plain loops of the same decode and model, and against ray.data.read_videos + map_batches;
    and its memory when the archive is larger.

    Video seconds per second, start-up excluded: from the first labelled unit (or video) to the last. Each runs in a
    process of its own, one after the other.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if archive is None:
            reporter.say(f"simulating 12 videos of one minute, {VIDEO_FORMAT}")
            config = _minutes_of_video(str(root / "archive"), num_videos=12)
            archive = str(Path(simulate(config, reporter).folder) / "videos")
        scan_config = ScanConfig(archive=archive, output=str(root / "scan"))
        scan(scan_config, reporter)
        manifest = str(root / "scan" / "manifest.parquet")
        figures: dict[str, dict[str, float]] = {}
        for name in ("relabel", *LOOPS):
            figures[name] = _measured(name, manifest, str(root / f"out-{name}"))
            reporter.say(f"{name}: {figures[name]['video_seconds_per_second']:.2f} video seconds per second")
        grown = str(root / f"archive-{GROWTH}")
        _grow(archive, grown)
        scan(ScanConfig(archive=grown, output=str(root / "scan-grown")), reporter)
        grown_manifest = str(root / "scan-grown" / "manifest.parquet")
        figures["relabel_grown"] = _measured("relabel", grown_manifest, str(root / "out-grown"))
    ours = figures["relabel"]["video_seconds_per_second"]
    unpinned = max(figures[name]["video_seconds_per_second"] for name in ("one_thread", "all_threads", "decode_ahead"))
    return {
        "num_cpus": os.cpu_count(),
        "figures": figures,
        "ratios": {
            "relabel / loop pinned to one core": ours / figures["pinned"]["video_seconds_per_second"],
            "relabel / best unpinned loop": ours / unpinned,
            "relabel / read_videos + map_batches, window by window": ours
            / figures["read_videos"]["video_seconds_per_second"],
            "relabel / read_videos + map_batches of our labeler": ours
            / figures["read_videos_shared"]["video_seconds_per_second"],
            f"peak memory, archive {GROWTH} times as large": figures["relabel_grown"]["peak_memory_mib"]
            / figures["relabel"]["peak_memory_mib"],
        },
    }


def _grow(archive: str, folder: str) -> None:
    """`GROWTH` names for every video of a local archive: each is a video of its own, none takes room."""
    for file in (path for path in Path(archive).rglob("*") if path.is_file()):
        for copy in range(GROWTH):
            target = Path(folder) / f"copy-{copy}" / file.relative_to(archive)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(file, target)


def _measured(name: str, manifest: str, output: str) -> dict[str, float]:
    module = "nrray.pipelines.bench" if name == "relabel" else "nrray.pipelines.bench_loops"
    command = [sys.executable, "-m", module, name, manifest, output]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    # A token and a session of its own: nothing is shared with the process that measures.
    for variable in ("RAY_AUTH_TOKEN", "RAY_AUTH_MODE"):
        environment.pop(variable, None)
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise NrrayError(f"measuring {name} failed: {finished.stderr.strip()[-800:]}")
    figures: dict[str, float] = json.loads(finished.stdout.strip().splitlines()[-1])
    return figures


class TreeMemory:
    """Peak of the summed proportional memory of this process and all below it, sampled every two seconds: a look
    costs a walk through every process's page tables."""

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


def _relabel_alone(manifest: str, output: str) -> dict[str, float]:
    """One undisturbed relabel, its rate taken from the ledger's own times."""
    config = RelabelConfig(manifest=manifest, output=output)
    with TreeMemory() as memory:
        result = relabel(config, RelabelOptions(), Reporter(is_json=True))
    index = Ledger(Folder(output)).index()
    finished = np.sort(index["finished_us"].to_numpy()) / US_PER_SECOND
    rows = Ledger(Folder(output)).results(index["video_id"].combine_chunks().unique(), index)
    order = np.argsort(rows["finished_us"].to_numpy())
    seconds = rows["num_windows"].to_numpy()[order] * float(Sampling().stride_seconds)
    # The units that were under way when the first one ended are not charged to the time after it.
    warm = min(2, len(finished) - 2)
    return {
        "video_seconds_per_second": float(seconds[warm + 1 :].sum() / (finished[-1] - finished[warm])),
        "wall_seconds": float(result.facts["wall_seconds"]),
        "peak_memory_mib": memory.peak_mib,
        "units": float(len(finished)),
    }


def run_bench(target: str, *, video: str | None, reporter: Reporter) -> dict[str, Any]:
    """Measure and print; returns what was measured."""
    runs: dict[str, Callable[[], dict[str, Any]]] = {
        "decode": lambda: benched_decode(video, reporter),
        "relabel": lambda: benched_relabel(video, reporter),
        "plan": lambda: benched_plan(num_videos=PLAN_VIDEOS, hours=PLAN_HOURS),
    }
    figures = runs[target]()
    flat = [[key, value] for key, value in _flattened(figures)]
    reporter.table(f"bench {target}", ["figure", "value"], flat)
    reporter.finish(figures)
    return figures


def _flattened(figures: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in figures.items():
        if isinstance(value, dict):
            rows += _flattened(value, f"{prefix}{key}: ")
        else:
            rows.append((f"{prefix}{key}", f"{value:.3f}" if isinstance(value, float) else str(value)))
    return rows


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_relabel_alone(sys.argv[2], sys.argv[3])) + "\n")
