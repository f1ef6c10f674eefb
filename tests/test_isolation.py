"""No code comes from the working folder: an archive that holds `numpy.py` does not run it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nrray.decode import DecodeConfig, GuardedDecoder
from nrray.isolation import PACKAGE_PARENT, FixedPath, isolated_python, module_folders
from tests.marker_modules import STANDARD, lay_markers, left_marks
from tests.pipelines.support import make_archive

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="Python 3.10 has no safe path for what it starts itself"
)


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """An archive with modules in it, which is the working folder."""
    archive = make_archive(tmp_path / "archive", num_videos=1, seconds=3.0)
    lay_markers(archive)
    monkeypatch.chdir(archive)
    return archive


def test_a_decode_child_runs_no_module_of_the_archive(hostile):
    with GuardedDecoder(DecodeConfig()) as decoder:
        assert decoder.probe(str(hostile / "video-00.mp4")).duration_us > 2_000_000
    assert left_marks(hostile) == []


def test_an_empty_entry_of_the_path_is_not_handed_on(hostile, monkeypatch):
    monkeypatch.setattr(sys, "path", ["", str(hostile), *sys.path])
    assert not {"", str(hostile)} & set(module_folders())
    with GuardedDecoder(DecodeConfig()) as decoder:
        decoder.check()
    assert left_marks(hostile) == []


def test_nrray_is_found_where_it_lies_in_the_working_folder(monkeypatch):
    monkeypatch.chdir(PACKAGE_PARENT)
    monkeypatch.setattr(sys, "path", ["", *(p for p in sys.path if os.path.realpath(p) != PACKAGE_PARENT)])
    assert PACKAGE_PARENT in module_folders()


def test_a_deleted_working_folder_is_no_trouble(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert module_folders()


def test_the_path_of_workers_cannot_be_extended():
    path = FixedPath()
    path.extend(["/archive"])
    assert "/archive" not in path


@pytest.mark.parametrize("module", ["nrray.decode.checked_backend"])
def test_what_is_started_needs_no_variable_of_the_environment(module, tmp_path):
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": ""}
    command = isolated_python(module, "pyav")
    finished = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "PackageNotFoundError" in finished.stderr, "pyav is the name of a backend, and of no package"


def test_the_command_line_runs_no_module_of_the_archive_and_hands_none_on(hostile):
    for name in STANDARD:
        (
            hostile / f"{name}.py"
        ).unlink()  # Python itself looks for these in the working folder, before it knows of nrray
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    finished = subprocess.run(
        [sys.executable, "-m", "nrray", "doctor", "--json"],
        cwd=hostile,
        env={**environment, "PYTHONPATH": PACKAGE_PARENT},
        capture_output=True,
        text=True,
        check=False,
    )
    assert {"findings"} <= set(json.loads(finished.stdout)), finished.stderr
    assert left_marks(hostile) == []


def test_no_process_of_ours_is_started_by_another_way():
    """`sys.executable` stands in the one module that starts Python, and in tools that make the models of the package."""
    sources = Path(PACKAGE_PARENT, "nrray").rglob("*.py")
    found = {file.relative_to(PACKAGE_PARENT).as_posix() for file in sources if "sys.executable" in file.read_text()}
    assert {name for name in found if "workshop" not in name} == {"nrray/isolation.py"}
