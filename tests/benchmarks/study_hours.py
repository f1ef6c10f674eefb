"""The study's 13.26 hours of video, rendered, scanned, relabelled and evaluated on this machine, one command after the
other.

    python tests/benchmarks/study_hours.py DIR

Leaves `DIR/study_hours.json`: seconds, video hours per hour, peak memory of all processes, peak of shared memory (Ray's
object store), bytes on disk, units by status, and F1 with intervals; `DIR/evaluation/report.html` is the evaluation.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import yaml

STUDY_HOURS = 13.26
NUM_CASES = 80
CASE_SECONDS = STUDY_HOURS * 3600 / NUM_CASES


class Peaks:
    """Highest memory of a process tree (proportional, shared pages once) and of shared memory in use, every 5 s."""

    def __init__(self, pid: int) -> None:
        self.memory_mib = self.shared_mib = 0.0
        self._root = psutil.Process(pid)
        self._idle = shutil.disk_usage("/dev/shm").used
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(5.0):
            total = 0
            try:
                tree = [self._root, *self._root.children(recursive=True)]
            except psutil.NoSuchProcess:
                return
            for process in tree:
                try:
                    total += process.memory_full_info().pss
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue
            self.memory_mib = max(self.memory_mib, total / 2**20)
            shared = shutil.disk_usage("/dev/shm").used - self._idle
            self.shared_mib = max(self.shared_mib, shared / 2**20)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    configs: dict[str, dict[str, Any]] = {
        "simulate": {
            "output": str(folder / "archive"),
            "num_cases": NUM_CASES,
            "case_seconds": CASE_SECONDS,
            "videos_per_case": 1,
            "seed": 1326,
        },
        "scan": {
            "archive": str(folder / "archive" / "videos"),
            "cases": str(folder / "archive" / "cases.csv"),
            "output": str(folder / "scan"),
        },
        "relabel": {
            "manifest": str(folder / "scan" / "manifest.parquet"),
            "output": str(folder / "labels"),
            "outside_domain": "label",
        },
        "evaluate": {
            "candidate": str(folder / "labels"),
            "reference": str(folder / "archive" / "truth"),
            "cases": str(folder / "archive" / "cases.csv"),
            "output": str(folder / "evaluation"),
        },
    }
    figures: dict[str, Any] = {"cpus": os.cpu_count(), "hours_of_video": STUDY_HOURS}
    for verb, config in configs.items():
        file = folder / f"{verb}.yaml"
        file.write_text(yaml.safe_dump(config), encoding="utf-8")
        figures[verb] = measured([verb, str(file)], log=folder / f"{verb}.log")
        print(json.dumps({verb: {**figures[verb], "said": None}}), flush=True)
    figures["agreement"] = agreement(figures["evaluate"].pop("said"))
    for verb in ("simulate", "scan", "relabel"):  # where things lie says nothing
        said = figures[verb]["said"]
        figures[verb]["said"] = {key: said[key] for key in said.keys() - {"pictures", "output", "folder", "manifest"}}
    figures["disk_mib"] = {name: mib_of(folder / name) for name in ("archive", "scan", "labels")}
    figures["total_seconds"] = sum(figures[verb]["seconds"] for verb in configs)
    (folder / "study_hours.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=1))


def measured(arguments: list[str], *, log: Path) -> dict[str, Any]:
    """Run one verb as a user does; its last line of JSON is kept."""
    started = time.perf_counter()
    with log.open("w", encoding="utf-8") as stream:
        command = [sys.executable, "-m", "nrray", *arguments, "--json"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stream, text=True)
        peaks = Peaks(process.pid)
        output, _ = process.communicate()
        peaks.stop()
    seconds = time.perf_counter() - started
    return {
        "exit": process.returncode,
        "seconds": round(seconds, 1),
        "video_hours_per_hour": round(STUDY_HOURS * 3600 / seconds, 1),
        "peak_memory_mib": round(peaks.memory_mib),
        "peak_shared_memory_mib": round(peaks.shared_mib),
        "said": json.loads(output) if output.strip() else None,
    }


def agreement(document: dict[str, Any]) -> dict[str, Any]:
    """Row to window precision, recall and F1 with their intervals, of what `nrray evaluate` says."""
    kept = ("windows precision", "windows recall", "windows f1", "time f1")
    return {row["name"]: {metric: row["values"].get(metric) for metric in kept} for row in document["rows"]}


def mib_of(folder: Path) -> int:
    return round(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 2**20)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
