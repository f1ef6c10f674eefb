"""Archives, command lines and comparisons that the pipeline tests share."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray

from nrray.results.ledger import Ledger
from nrray.storage import Folder
from tests.videos import write_video

TABLES = ("labels", "segments", "coverage")

# Two windows a unit and one unit a file: small archives with many units, and a kill at any moment has something to hit.
# Barcodes are unlike what the embedded model was trained on.
SMALL_UNITS = (
    "packing.max_unit_windows=2",
    "ledger.file_units=1",
    "pools.stall_timeout_seconds=240",
    "outside_domain=label",
)


def make_archive(folder: Path, *, num_videos: int, seconds: float) -> Path:
    """Short videos of one kind, each with its own pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(num_videos):
        write_video(folder / f"video-{number:02d}.mp4", fps=12.5 + number, num_frames=int((12.5 + number) * seconds))
    return folder


def words(**settings: object) -> list[str]:
    """`--set` words; double underscores are dots."""
    return [word for key, value in settings.items() for word in ("--set", f"{key.replace('__', '.')}={value}")]


def nrray(
    *arguments: str, timeout_seconds: float = 400, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """One command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "nrray", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        env={**os.environ, **(env or {})},
        check=False,
    )


@contextmanager
def started(*arguments: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A command line that goes on in the background; what is left of it ends with the block."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "nrray", *arguments], stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)


@contextmanager
def one_ray(*, dashboard: bool = False, num_cpus: int = 2, num_gpus: int = 0) -> Iterator[None]:
    """Ray with CPUs and GPUs that are only counted, in this process; every command line within the block connects to it, as on a
    cluster. To start it takes longer than most runs of a test."""
    ray.init(
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        include_dashboard=dashboard,
        log_to_driver=False,
        object_store_memory=200 * 2**20,
    )
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RAY_ADDRESS", ray.get_runtime_context().gcs_address)
            yield
    finally:
        ray.shutdown()


def wait_until(condition: Callable[[], Any], *, timeout_seconds: float = 300, what: str = "") -> Any:
    """The first truthy value of `condition`."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {timeout_seconds} s in vain for {what or condition}")


def ledger_units(output: Path) -> int:
    """How many units the ledger of `output` has."""
    return Ledger(Folder(str(output))).index().num_rows


def tables(output: Path) -> dict[str, pa.Table]:
    """The latest published tables, dictionaries decoded, in key order."""
    return {name: _decoded(pq.read_table(output / "latest" / f"{name}.parquet")) for name in TABLES}


def assert_same_tables(found: Path, expected: Path) -> None:
    """Every column of every published table is equal."""
    ours, theirs = tables(found), tables(expected)
    for name in TABLES:
        assert ours[name].num_rows == theirs[name].num_rows, name
        assert ours[name].equals(theirs[name]), name


def assert_same_answers(found: Path, expected: Path) -> None:
    """Every answer of the latest versions is equal, word for word; the seconds that it took are not."""
    ours, theirs = (
        _decoded(pq.read_table(output / "latest" / "answers.parquet").drop_columns("seconds"))
        for output in (found, expected)
    )
    assert ours.num_rows == theirs.num_rows
    assert ours.equals(theirs)


def run_json(output: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((output / "latest" / "run.json").read_text())
    return document


def descendants(pid: int, text: str) -> list[psutil.Process]:
    """Live processes below `pid` whose command line holds `text`."""
    found = []
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    for child in children:
        try:
            if text in " ".join(child.cmdline()):
                found.append(child)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def _decoded(table: pa.Table) -> pa.Table:
    columns = [
        column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        for column in table.columns
    ]
    decoded = pa.table(columns, names=table.column_names)
    keys = [name for name in ("video_id", "start_us", "activity", "question") if name in table.column_names]
    return decoded.sort_by([(key, "ascending") for key in keys])
