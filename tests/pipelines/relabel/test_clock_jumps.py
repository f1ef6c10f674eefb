"""The wall clock of a machine jumps by hours in the middle of a run: nothing waits, nothing is lost, and no duration is of it."""

import json
import os
import struct
import time
from pathlib import Path

import pytest

from nrray.storage import Folder
from tests.pipelines.support import (
    SMALL_UNITS,
    assert_same_tables,
    ledger_units,
    make_archive,
    nrray,
    one_ray,
    run_json,
    started,
    wait_until,
    words,
)

HOURS = 3600.0

# In every process of the run: the wall clock goes wrong by as many seconds as the file says now.
_SKEWED_CLOCK = """
import mmap, os, struct, time
with open(os.environ["SKEW_FILE"], "rb") as _file:
    _skew = mmap.mmap(_file.fileno(), 8, access=mmap.ACCESS_READ)
_true = time.time

def skewed():
    return _true() + struct.unpack("d", _skew[:8])[0]

def skewed_ns():
    return int(skewed() * 1e9)

time.time, time.time_ns = skewed, skewed_ns
"""
_IN_EVERY_PROCESS = "import skewed_clock, tests.object_store\n"


@pytest.fixture
def jump(tmp_path, monkeypatch):
    """A function that sets the clock wrong by some seconds, in Ray and in every command line."""
    skew, modules = tmp_path / "skew", tmp_path / "clock"

    def set_wrong(seconds: float) -> None:
        with skew.open("r+b") as file:
            file.write(struct.pack("d", seconds))

    skew.write_bytes(struct.pack("d", 0.0))
    modules.mkdir()
    (modules / "skewed_clock.py").write_text(_SKEWED_CLOCK)
    (modules / "sitecustomize.py").write_text(_IN_EVERY_PROCESS)
    monkeypatch.setenv("SKEW_FILE", str(skew))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(modules), str(Path(__file__).parents[3])]))
    with one_ray():
        yield set_wrong


@pytest.mark.slow
def test_a_clock_that_jumps_by_hours_changes_nothing(jump, tmp_path):
    archive = make_archive(tmp_path / "archive", num_videos=3, seconds=11.0)
    small = [word for setting in SMALL_UNITS for word in ("--set", setting)]
    scanned = nrray("scan", *words(archive=archive, output=tmp_path / "scan"))
    assert scanned.returncode == 0, scanned.stderr
    manifest, output = tmp_path / "scan" / "manifest.parquet", tmp_path / "out"
    command = ["relabel", *words(manifest=manifest, output=f"objects://{output}", ledger__lease_seconds=10), *small]
    began, log = time.monotonic(), tmp_path / "log"
    with started(*command, log=log) as run:
        for units, seconds in ((2, 6 * HOURS), (5, -12 * HOURS), (8, 0.0)):
            wait_until(lambda units=units: ledger_units(output) >= units or run.poll() is not None)
            jump(seconds)
        assert run.wait(timeout=400) == 0, log.read_text()
    elapsed_seconds = time.monotonic() - began
    (output / "latest").symlink_to("versions/v0001")  # an object store has no links
    assert 0 < run_json(output)["measured"]["wall_seconds"] < elapsed_seconds
    assert not Folder(str(output / "journal")).names()
    assert json.loads(nrray("status", f"objects://{output}", "--json").stdout)["is_running"] is False

    undisturbed = nrray("relabel", *words(manifest=manifest, output=tmp_path / "undisturbed"), *small)
    assert undisturbed.returncode == 0, undisturbed.stderr
    assert ledger_units(output) == ledger_units(tmp_path / "undisturbed") == 15
    assert_same_tables(output, tmp_path / "undisturbed")
