"""A machine on which Ray would not come up is told so at once, with the setting to change."""

import os
import resource
import subprocess
import tempfile
from pathlib import Path

import pytest

from nrray.errors import ResourcesError
from nrray.pipelines.on_ray import startable
from nrray.pipelines.on_ray.startable import (
    check_open_files,
    check_startable,
    object_store_bytes,
    object_store_folder,
    ray_folder,
)
from tests.test_storage import mounted_tmpfs


def test_this_machine_can_start_ray():
    check_startable()


@pytest.mark.parametrize(("name", "told"), [("x" * 60, "letters too long"), ("bäß", "beyond ASCII")])
def test_a_folder_that_ray_cannot_use_is_refused_by_name(name, told, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / name))
    with pytest.raises(ResourcesError, match=told) as refused:
        check_startable()
    assert str(ray_folder()) in str(refused.value)
    assert "RAY_TMPDIR=" in str(refused.value)


@pytest.fixture
def short():
    """A folder of a short name."""
    with tempfile.TemporaryDirectory(prefix="nrr") as folder:
        yield Path(folder)


def test_a_folder_that_cannot_be_made_is_refused(short, monkeypatch):
    (short / "file").touch()
    monkeypatch.setenv("RAY_TMPDIR", str(short / "file"))
    with pytest.raises(ResourcesError, match="cannot be made"):
        check_startable()


def test_a_folder_that_cannot_be_written_is_refused(short, monkeypatch):
    with mounted_tmpfs(short / "d", kib=1024):
        (short / "d" / "ray").mkdir()
        subprocess.run(["mount", "-o", "remount,ro", str(short / "d")], check=True)
        monkeypatch.setenv("RAY_TMPDIR", str(short / "d"))
        with pytest.raises(ResourcesError, match=r"ray cannot be written: .* RAY_TMPDIR=DIR"):
            check_startable()


def test_a_disk_without_room_for_logs_is_refused(short, monkeypatch):
    with mounted_tmpfs(short / "d", kib=1024):
        monkeypatch.setenv("RAY_TMPDIR", str(short / "d"))
        with pytest.raises(ResourcesError, match="MiB free, and Ray needs 64 MiB"):
            check_startable()


def test_too_few_open_files_are_refused_and_no_limit_is_enough():
    with pytest.raises(ResourcesError, match=r"64 files open at once .* need \d+ at least"):
        check_open_files(64)
    check_open_files(128 + 16 * (os.cpu_count() or 1))
    check_open_files(resource.RLIM_INFINITY)


def test_shared_memory_that_cannot_be_written_is_not_waited_for(tmp_path, monkeypatch):
    assert object_store_folder() is None
    with mounted_tmpfs(tmp_path / "shm", kib=64):
        subprocess.run(["mount", "-o", "remount,ro", str(tmp_path / "shm")], check=True)
        monkeypatch.setattr(startable, "_SHARED_MEMORY", tmp_path / "shm")
        assert object_store_folder() == str(ray_folder())
        assert object_store_bytes() >= 100 * 2**20
    monkeypatch.setattr(startable, "_SHARED_MEMORY", tmp_path / "none")
    assert object_store_folder() is None, "Ray's own way"
