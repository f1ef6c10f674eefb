"""How long plan and resume take for a large archive, and in how much memory. Prints JSON.

    python -m tests.benchmarks.plan_scale [--videos 10000] [--seconds 3600] [--folder DIR]

Writes half of the plan's units with the real LedgerWriter (60 windows a unit, 4 activities, 32 units a file), then
measures manifest to missing units in a fresh process.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nrray.ledger import RESULT_SCHEMA, Ledger, LedgerWriter, missing_units, unit_counts
from nrray.manifest import VIDEO_SCHEMA
from nrray.plan import Packing, plan_units
from nrray.sampling import Sampling, window_spans_us
from nrray.storage import Folder

NUM_ACTIVITIES = 4
FILE_UNITS = 32


def synthetic_manifest(num_videos: int, seconds: float) -> pa.Table:
    """Readable videos of one length."""
    texts = {
        "video_id": [f"{index:016x}" for index in range(num_videos)],
        "path": [f"site/case_{index:06d}/overhead.mp4" for index in range(num_videos)],
    }
    numbers = {"start_us": 0, "duration_us": round(seconds * 1e6), "size_bytes": 10**9, "modified_us": 0}
    columns = []
    for field in VIDEO_SCHEMA:
        if field.name in texts:
            columns.append(pa.array(texts[field.name], field.type))
        elif field.name in numbers:
            columns.append(pa.array(np.full(num_videos, numbers[field.name]), field.type))
        elif field.type == pa.string() and not field.nullable:
            columns.append(pa.array(["ok"] * num_videos))
        else:
            columns.append(pa.nulls(num_videos, field.type))
    return pa.table(columns, schema=VIDEO_SCHEMA)


def write_half(output: Folder, units: pa.Table, duration_us: int) -> int:
    """Every other unit, through the writer that `nrray relabel` uses; returns how many."""
    ledger = Ledger(output)
    ledger.create()
    generator = np.random.default_rng(0)
    half = units.take(pa.array(np.arange(0, units.num_rows, 2)))
    with LedgerWriter(ledger, max_units=FILE_UNITS, max_seconds=1e9) as writer:
        for start in range(0, half.num_rows, 4096):
            for unit in half.slice(start, 4096).to_pylist():
                writer.add(_result(unit, duration_us, generator))
    return half.num_rows


def _result(unit: dict[str, object], duration_us: int, generator: np.random.Generator) -> pa.Table:
    count = int(str(unit["num_windows"]))
    starts, ends = window_spans_us(
        Sampling(), start_us=0, duration_us=duration_us, first_window=int(str(unit["first_window"])), num_windows=count
    )
    scores = generator.random(count * NUM_ACTIVITIES, np.float32)
    row = {
        **unit,
        "status": "ok",
        "attempts": 1,
        "window_start_us": starts,
        "window_end_us": ends,
        "window_labelled": np.ones(count, bool),
        "scores": scores,
        "states": (scores < 0.5).astype(np.uint8),
        "num_frames": 4 * count + 8,
        "decode_seconds": 1.5,
        "label_seconds": 0.5,
        "finished_us": 1_700_000_000_000_000,
        "run_id": "20260101T000000-abcdef",
        "device": "cuda:0",
    }
    return pa.table([pa.array([row.get(field.name)], field.type) for field in RESULT_SCHEMA], schema=RESULT_SCHEMA)


def measured_resume(folder: Path) -> dict[str, object]:
    """Plan, index, missing units and counts of what `write_half` left, with seconds of each and this process's peak."""
    seconds: dict[str, float] = {}
    started = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal started
        now = time.perf_counter()
        seconds[name] = round(now - started, 2)
        started = now

    manifest = pq.read_table(folder / "manifest.parquet")
    plan = plan_units(manifest, Sampling(), Packing())
    lap("plan")
    index = Ledger(Folder(str(folder / "output"))).index()
    lap("index")
    todo = missing_units(plan.units, index, retry_failed=False)
    lap("missing_units")
    counts = unit_counts(plan.units, index)
    lap("unit_counts")
    if sum(counts.values()) != plan.units.num_rows or todo.num_rows != counts["not_run"]:
        raise AssertionError(f"{counts} and {todo.num_rows} to do of {plan.units.num_rows}")
    return {
        "seconds": {**seconds, "total": round(sum(seconds.values()), 2)},
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "units": plan.units.num_rows,
        "windows": plan.num_windows,
        "counts": counts,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--folder", type=Path, help="keep the ledger here and use it again")
    parser.add_argument("--only-measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only_measure:
        print(json.dumps(measured_resume(arguments.only_measure)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        facts: dict[str, object] = {"videos": arguments.videos, "seconds_per_video": arguments.seconds}
        if not (folder / "manifest.parquet").exists():
            manifest = synthetic_manifest(arguments.videos, arguments.seconds)
            units = plan_units(manifest, Sampling(), Packing()).units
            started = time.perf_counter()
            written = write_half(Folder(str(folder / "output")), units, round(arguments.seconds * 1e6))
            facts["write_seconds"] = round(time.perf_counter() - started, 1)
            facts["units_written_per_second"] = round(written / (time.perf_counter() - started))
            pq.write_table(manifest, folder / "manifest.parquet")
        files = [file.stat().st_size for file in (folder / "output" / "ledger").iterdir()]
        facts["ledger"] = {"files": len(files), "mib": sum(files) // 2**20}
        child = [sys.executable, "-m", "tests.benchmarks.plan_scale", "--only-measure", str(folder)]
        facts["resume"] = json.loads(subprocess.run(child, check=True, capture_output=True, text=True).stdout)
        print(json.dumps(facts, indent=2))


if __name__ == "__main__":
    main()
