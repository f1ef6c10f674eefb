"""Verbs whose inputs, and labels, are on an object store of which every tenth call fails: what they leave is what they leave on
a disk."""

from pathlib import Path

import fsspec
import pytest

from nrray.pipelines.tune.trials import TrialStatus, read_trials
from tests.flaky_s3 import FlakyS3, flaky_s3, uploaded
from tests.pipelines.support import SMALL_UNITS, assert_same_tables, make_archive, nrray, one_ray, words
from tests.pipelines.training_support import settings
from tests.pipelines.weights import assert_same_weights

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

SEARCH = {
    "space__learning_rate": "{low: 1.0e-5, high: 1.0e-3, scale: log}",
    "search__num_trials": 2,
    "search__seed": 0,
    "search__grace_percent": 100,
    "training__num_steps": 8,
}


@pytest.fixture
def store():
    with flaky_s3(failing=0.1) as found, one_ray():
        yield found
        print(f"{found.num_failures} of {found.num_calls} calls failed")
        assert found.num_failures


def run(*command: str) -> None:
    finished = nrray(*command, timeout_seconds=900)
    assert finished.returncode == 0, finished.stdout + finished.stderr


def on_store(archive: Path) -> dict[str, str]:
    """The settings that name inputs, of an annotated archive that is on the store."""
    uploaded(archive / "sim", "s3://bucket/sim")
    uploaded(archive / "truth-visible", "s3://bucket/truth")
    places = {"archive": "s3://bucket/sim/videos", "cases": "s3://bucket/sim/cases.csv", "output": "s3://bucket/scan"}
    run("scan", *words(**places))
    return {
        "manifest": "s3://bucket/scan/manifest.parquet",
        "annotations": "s3://bucket/truth",
        "cases": "s3://bucket/sim/cases.csv",
    }


def test_relabel(store: FlakyS3, tmp_path: Path) -> None:
    archive = make_archive(tmp_path / "archive", num_videos=4, seconds=11.0)
    small = [word for setting in SMALL_UNITS for word in ("--set", setting)]
    run("scan", *words(archive=archive, output=tmp_path / "scan"))
    run("relabel", *words(manifest=tmp_path / "scan/manifest.parquet", output=tmp_path / "here"), *small)
    uploaded(archive, "s3://bucket/archive")
    run("scan", *words(archive="s3://bucket/archive", output="s3://bucket/scan"))
    run("relabel", *words(manifest="s3://bucket/scan/manifest.parquet", output="s3://bucket/labels"), *small)
    filesystem = fsspec.filesystem("s3")
    filesystem.get("bucket/labels/versions/v0001", str(tmp_path / "there" / "latest"), recursive=True)
    assert_same_tables(tmp_path / "there", tmp_path / "here")


def test_finetune(store: FlakyS3, annotated_archive: Path, tmp_path: Path) -> None:
    places = {"here": tmp_path / "here", "there": tmp_path / "there"}
    run("finetune", *words(**settings(annotated_archive, places["here"], store__folder=tmp_path / "frames-here")))
    remote = {**on_store(annotated_archive), "store__folder": tmp_path / "frames-there"}
    run("finetune", *words(**settings(annotated_archive, places["there"], **remote)))
    assert_same_weights(places["there"] / "adapter", places["here"] / "adapter")


def test_tune(store: FlakyS3, annotated_archive: Path, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    run("tune", *words(**settings(annotated_archive, here, store__folder=tmp_path / "frames-here", **SEARCH)))
    remote = {**on_store(annotated_archive), "store__folder": tmp_path / "frames-there"}
    run("tune", *words(**settings(annotated_archive, there, **remote, **SEARCH)))
    found, expected = (
        sorted((str(trial.values), trial.status, trial.macro_f1) for trial in read_trials(output / "trials"))
        for output in (there, here)
    )
    assert found == expected
    assert {status for _, status, _ in found} == {TrialStatus.FINISHED}
    assert_same_weights(there / "best" / "adapter", here / "best" / "adapter")
