"""Verbs with all of their processes run no module of the working folder, which is an archive that somebody else filled."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nrray.isolation import PACKAGE_PARENT
from tests.marker_modules import lay_markers, left_marks
from tests.pipelines.support import words
from tests.pipelines.training_support import settings

pytestmark = [
    pytest.mark.harsh,
    pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has no safe path for what it starts itself"),
]

NRRAY = ("-P", "-m", "nrray")  # as the command `nrray`, which Python starts without the working folder on its path
JOBS = Path(__file__).parents[2] / "jobs"


def run_in(folder: Path, *arguments: object) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    finished = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env={**environment, "PYTHONPATH": PACKAGE_PARENT, "RAY_ADDRESS": "", "RAY_raylet_start_wait_time_s": "300"},
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert left_marks(folder) == []


@pytest.fixture
def hostile(annotated_archive, tmp_path):
    folder = tmp_path / "archive"
    shutil.copytree(annotated_archive / "sim" / "videos", folder)
    lay_markers(folder)
    return folder


def test_scan_then_relabel(hostile, tmp_path):
    run_in(hostile, *NRRAY, "scan", *words(archive=".", output=tmp_path / "scan"))
    manifest = tmp_path / "scan" / "manifest.parquet"
    run_in(hostile, *NRRAY, "relabel", *words(manifest=manifest, output=tmp_path / "labels"))


def test_finetune(hostile, annotated_archive, tmp_path):
    changes = {"store__folder": tmp_path / "frames", "training__num_steps": 4, "training__loader_processes": 1}
    run_in(hostile, *NRRAY, "finetune", *words(**settings(annotated_archive, tmp_path / "tuned", **changes)))


def test_demo(hostile):
    run_in(hostile, *NRRAY, "demo", "nrray-demo", "--cases", "1")


def test_the_script_of_a_job(hostile, tmp_path):
    run_in(hostile, JOBS / "scan.py", *words(archive=".", output=tmp_path / "scan"))
