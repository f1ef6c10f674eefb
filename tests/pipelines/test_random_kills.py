"""A process of a run, any one, is killed at any moment, again and again: the run ends in words or goes on, and the same command
completes the output to what an undisturbed run leaves."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import fsspec
import psutil
import pyarrow.parquet as pq
import pytest

from nrray.pipelines.tune.trials import TrialStatus, read_trials
from tests.flaky_s3 import flaky_s3, uploaded
from tests.pipelines.support import SMALL_UNITS, assert_same_tables, make_archive, nrray, wait_until, words
from tests.pipelines.training_support import settings
from tests.pipelines.weights import assert_same_weights

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

# Of one verb; `NRRAY_KILLS=20 NRRAY_SEED=7 python -m pytest -m slow -s FILE` kills more, at other moments.
NUM_KILLS, SEED = int(os.environ.get("NRRAY_KILLS", "3")), int(os.environ.get("NRRAY_SEED", "0"))
NOBODY = "nobody"  # the run was done before its time
ENDS_IN_WORDS = ("error: ", "Stopped. ")
WITHOUT_LAST_WORDS = {0, 3, -signal.SIGKILL}  # done, done with failures, and the run's own process was the one
PATIENCE_SECONDS = 400
LAST_WORDS_SECONDS = 10  # where Ray's core has ended the run, another process says so


@dataclass(frozen=True, kw_only=True)
class Killed:
    """A round: which process was killed when, and how the run ended."""

    process: str
    after_seconds: float
    exit_code: int
    stderr: str

    def __str__(self) -> str:
        last = self.stderr.strip().splitlines()[-1:]
        return f"{self.process} after {self.after_seconds:.1f} s: exit {self.exit_code} {' '.join(last)[:160]}"


def killed_round(command: list[str], moments: random.Random, *, within_seconds: float, log: Path) -> Killed:
    """Start a command, kill one of its processes at a random moment, and wait for the run's end."""
    with log.open("wb") as file:
        process = subprocess.Popen([sys.executable, "-m", "nrray", *command], stdout=subprocess.DEVNULL, stderr=file)
    after_seconds, victim = moments.uniform(1.0, within_seconds), NOBODY
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=after_seconds)
    with suppress(psutil.Error):
        driver = psutil.Process(process.pid)
        family = [one for one in driver.children(recursive=True) if one.status() != psutil.STATUS_ZOMBIE]
        chosen = moments.choice([driver, *family])
        name = "the run itself" if chosen == driver else chosen.name()
        chosen.send_signal(signal.SIGKILL)
        victim = name
    try:
        code = process.wait(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
    if code not in WITHOUT_LAST_WORDS:
        with suppress(AssertionError):
            wait_until(lambda: ends_in_words(log.read_text()), timeout_seconds=LAST_WORDS_SECONDS)
    return Killed(process=victim, after_seconds=after_seconds, exit_code=code, stderr=log.read_text())


def ends_in_words(stderr: str) -> bool:
    return any(words in stderr for words in ENDS_IN_WORDS)


def assert_completes(
    command: Callable[[Path], list[str]],
    assert_same: Callable[[Path, Path], None],
    folder: Path,
    *,
    completing: tuple[str, ...] = (),
    remove: Callable[[Path], object] = shutil.rmtree,
) -> None:
    """A run of which `NUM_KILLS` processes were killed leaves what an undisturbed one does; one that is done all the same is
    checked, and begun anew."""
    whole, disturbed = folder / "whole", folder / "disturbed"
    began = time.monotonic()
    undisturbed = nrray(*command(whole), timeout_seconds=900)
    assert undisturbed.returncode == 0, undisturbed.stderr
    within_seconds, moments = time.monotonic() - began, random.Random(SEED)
    num_killed = 0
    while num_killed < NUM_KILLS:
        found = killed_round(command(disturbed), moments, within_seconds=within_seconds, log=folder / "log")
        num_killed += found.process != NOBODY
        print(f"{num_killed}: {found}", flush=True)
        assert found.exit_code in WITHOUT_LAST_WORDS or ends_in_words(found.stderr), found
        assert "Traceback" not in found.stderr, found.stderr
        assert "ray::" not in found.stderr, f"symbols of a stack: {found.stderr}"
        if found.exit_code in (0, 3) or num_killed >= NUM_KILLS:
            finished = nrray(*command(disturbed), *completing, timeout_seconds=900)
            assert finished.returncode == 0, finished.stdout + finished.stderr
            assert_same(disturbed, whole)
            remove(disturbed)


def test_a_manifest_is_equal_whatever_is_killed(tmp_path):
    archive = make_archive(tmp_path / "archive", num_videos=4, seconds=2.0)

    def command(output: Path) -> list[str]:
        return ["scan", *words(archive=archive, output=output)]

    def assert_same(found: Path, expected: Path) -> None:
        ours, theirs = (pq.read_table(output / "manifest.parquet") for output in (found, expected))
        assert ours.equals(theirs)

    # A file whose decoder was killed is a row that says so; the next scan looks at it again.
    assert_completes(command, assert_same, tmp_path)


def test_tables_of_relabel_are_equal_whatever_is_killed(tmp_path):
    archive = make_archive(tmp_path / "archive", num_videos=4, seconds=11.0)
    scanned = nrray("scan", *words(archive=archive, output=tmp_path / "scan"))
    assert scanned.returncode == 0, scanned.stderr

    def command(output: Path) -> list[str]:
        set_ = [word for setting in SMALL_UNITS for word in ("--set", setting)]
        return ["relabel", *words(manifest=tmp_path / "scan" / "manifest.parquet", output=output), *set_]

    # A unit that was in a killed decoder is a failed row that names the crash; it is tried again on request.
    assert_completes(command, assert_same_tables, tmp_path, completing=("--retry-failed",))


def test_tables_on_an_object_store_are_equal_whatever_is_killed(tmp_path):
    archive = make_archive(tmp_path / "archive", num_videos=4, seconds=11.0)
    with flaky_s3(failing=0.02):
        uploaded(archive, "s3://bucket/archive")
        scanned = nrray("scan", *words(archive="s3://bucket/archive", output="s3://bucket/scan"))
        assert scanned.returncode == 0, scanned.stderr
        filesystem = fsspec.filesystem("s3")

        def command(output: Path) -> list[str]:
            set_ = [word for setting in SMALL_UNITS for word in ("--set", setting)]
            places = {"manifest": "s3://bucket/scan/manifest.parquet", "output": f"s3://bucket/{output.name}"}
            return ["relabel", *words(**places), *set_]

        def assert_same(found: Path, expected: Path) -> None:
            for output in (found, expected):
                shutil.rmtree(output, ignore_errors=True)
                filesystem.get(f"bucket/{output.name}/versions/v0001", str(output / "latest"), recursive=True)
            assert_same_tables(found, expected)

        def remove(output: Path) -> None:
            filesystem.rm(f"bucket/{output.name}", recursive=True)
            filesystem.invalidate_cache()

        assert_completes(command, assert_same, tmp_path, completing=("--retry-failed",), remove=remove)


def test_an_adapter_is_equal_whatever_is_killed(annotated_archive, tmp_path):
    def command(output: Path) -> list[str]:
        return ["finetune", *words(**settings(annotated_archive, output, store__folder=tmp_path / "frames"))]

    def assert_same(found: Path, expected: Path) -> None:
        assert_same_weights(found / "adapter", expected / "adapter")

    assert_completes(command, assert_same, tmp_path)


def test_the_best_trial_of_a_search_is_equal_whatever_is_killed(annotated_archive, tmp_path):
    search = {
        "space__learning_rate": "{low: 1.0e-5, high: 1.0e-3, scale: log}",
        "search__num_trials": 2,
        "search__seed": 0,
        "search__grace_percent": 100,  # which are pruned depends on when they run
        "training__num_steps": 8,
        "store__folder": tmp_path / "frames",
    }

    def command(output: Path) -> list[str]:
        return ["tune", *words(**settings(annotated_archive, output, **search))]

    def assert_same(found: Path, expected: Path) -> None:
        trials = [
            sorted((str(t.values), t.status, t.macro_f1) for t in read_trials(output / "trials"))
            for output in (found, expected)
        ]
        assert trials[0] == trials[1]
        assert {status for _, status, _ in trials[0]} == {TrialStatus.FINISHED}
        assert_same_weights(found / "best" / "adapter", expected / "best" / "adapter")

    assert_completes(command, assert_same, tmp_path)
