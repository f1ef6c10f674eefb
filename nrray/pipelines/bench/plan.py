"""Time and memory of plan and resume for a large archive.

Half of the plan's units are written by the real LedgerWriter; then a fresh process goes from manifest to missing units.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nrray.errors import NrrayError
from nrray.isolation import isolated_python
from nrray.plan import Packing, plan_units
from nrray.results.ledger import Ledger, LedgerWriter, missing_units, unit_counts
from nrray.sampling import Sampling, window_spans_us
from nrray.storage import Folder
from nrray.tables import rows_from_table, schema_of
from nrray.types import US_PER_HOUR, Unit, UnitResult, UnitStatus, Video
from nrray.writer_lock import WriterLock

NUM_ACTIVITIES = 4
FILE_UNITS = 32


@dataclass(frozen=True, kw_only=True)
class LedgerFigures:
    """A synthetic archive, and the ledger with half of its units."""

    videos: int
    hours_per_video: float
    ledger_files: int
    ledger_mib: float
    ledger_units_written_per_second: float


@dataclass(frozen=True, kw_only=True)
class ResumeFigures:
    """Plan and resume in a process of their own. seconds: by step; peak_memory_mib: of the process."""

    windows: int
    units: int
    units_to_do: int
    seconds: dict[str, float]
    peak_memory_mib: float


@dataclass(frozen=True, kw_only=True)
class PlanFigures(ResumeFigures, LedgerFigures):
    """All figures of `nrray bench plan`."""


def benched_plan(*, num_videos: int, hours: float) -> PlanFigures:
    """Plan `num_videos` and resume from a ledger that holds half of their units."""
    duration_us = round(hours * US_PER_HOUR)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        manifest = synthetic_manifest(num_videos, duration_us)
        started = time.perf_counter()
        written = write_half(Folder(str(folder / "output")), manifest, duration_us)
        write_seconds = time.perf_counter() - started
        pq.write_table(manifest, folder / "manifest.parquet")
        files = [file.stat().st_size for file in (folder / "output" / "ledger").iterdir()]
        finished = subprocess.run(
            isolated_python("nrray.pipelines.bench.plan", str(folder)),
            capture_output=True,
            text=True,
            check=False,
        )
        if finished.returncode:
            raise NrrayError(f"measuring the plan failed: {finished.stderr.strip()[-800:]}")
        return PlanFigures(
            videos=num_videos,
            hours_per_video=hours,
            ledger_files=len(files),
            ledger_mib=sum(files) / 2**20,
            ledger_units_written_per_second=written / write_seconds,
            **json.loads(finished.stdout),
        )


def synthetic_manifest(num_videos: int, duration_us: int) -> pa.Table:
    """Readable videos of one length, which do not exist."""
    texts = {
        "video_id": [f"{index:016x}" for index in range(num_videos)],
        "path": [f"site/case_{index:06d}/overhead.mp4" for index in range(num_videos)],
    }
    numbers = {"start_us": 0, "duration_us": duration_us, "size_bytes": 10**9, "modified_us": 0, "schema_version": 1}
    columns = []
    for field in schema_of(Video):
        if field.name in texts:
            columns.append(pa.array(texts[field.name], field.type))
        elif field.name in numbers:
            columns.append(pa.array(np.full(num_videos, numbers[field.name]), field.type))
        elif field.type == pa.string() and not field.nullable:
            columns.append(pa.array(["ok"] * num_videos))
        else:
            columns.append(pa.nulls(num_videos, field.type))
    return pa.table(columns, schema=schema_of(Video))


def write_half(output: Folder, manifest: pa.Table, duration_us: int) -> int:
    """Write every other unit through the writer of `nrray relabel`; returns the number of units."""
    units = plan_units(manifest, Sampling(), Packing()).units
    ledger = Ledger(output)
    ledger.create()
    generator = np.random.default_rng(0)
    half = units.take(pa.array(np.arange(0, units.num_rows, 2)))
    with (
        WriterLock(output) as lock,
        LedgerWriter(ledger, lock, max_units=FILE_UNITS, max_seconds=1e9, on_written=lambda _: None) as writer,
    ):
        for start in range(0, half.num_rows, 4096):
            for unit in rows_from_table(half.slice(start, 4096), Unit):
                writer.add(_result(unit, duration_us, generator))
    return int(half.num_rows)


def _result(unit: Unit, duration_us: int, generator: np.random.Generator) -> UnitResult:
    count = unit.num_windows
    starts, ends = window_spans_us(
        Sampling(), start_us=0, duration_us=duration_us, first_window=unit.first_window, num_windows=count
    )
    scores = generator.random(count * NUM_ACTIVITIES, np.float32)
    return UnitResult(
        unit_id=unit.unit_id,
        video_id=unit.video_id,
        first_window=unit.first_window,
        num_windows=count,
        status=UnitStatus.OK,
        error_kind=None,
        error=None,
        shortfall=None,
        attempts=1,
        window_start_us=starts,
        window_end_us=ends,
        window_labelled=np.ones(count, bool),
        window_damage=None,
        scores=scores,
        states=(scores < 0.5).astype(np.uint8),
        questions=None,
        answers=None,
        answer_states=None,
        answer_tokens=None,
        answer_seconds=None,
        looks_distances=np.ones(count, np.float32),
        num_frames=4 * count + 8,
        decode_seconds=1.5,
        label_seconds=0.5,
        finished_us=1_700_000_000_000_000,
        run_id="20260101T000000-abcdef",
        device="cuda:0",
    )


def measured_resume(folder: Path) -> ResumeFigures:
    """Plan, index, missing units and counts of the ledger of `write_half`, with seconds of each and this process's peak."""
    seconds: dict[str, float] = {}
    started = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal started
        now = time.perf_counter()
        seconds[name] = now - started
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
        raise NrrayError(f"counts {counts} and {todo.num_rows} to do do not sum to the plan's {plan.units.num_rows}")
    return ResumeFigures(
        windows=plan.num_windows,
        units=plan.units.num_rows,
        units_to_do=todo.num_rows,
        seconds={**seconds, "total": sum(seconds.values())},
        peak_memory_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(measured_resume(Path(sys.argv[1])))) + "\n")
