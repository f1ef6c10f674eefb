"""What a scan does with the parts of an archive that it cannot look into, and with an archive that has no video."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nrray.archive.manifest import manifest_table, video_id_of
from nrray.cli import main
from nrray.storage import Folder, read_table, source_facts
from nrray.types import ProbeStatus, Video
from tests.pipelines.scan.support import under_permissions


def known_video(archive: Path, path: str) -> Video:
    """The row of a file that an earlier scan could read."""
    size_bytes, modified_us = source_facts(str(archive / path))
    return Video(
        video_id=video_id_of("content", path),
        content_id=path,
        uri=str(archive / path),
        path=path,
        size_bytes=size_bytes,
        modified_us=modified_us,
        status=ProbeStatus.OK,
        start_us=0,
        duration_us=1_000_000,
    )


def known_paths(output: Path) -> list[str]:
    return read_table(f"{output}/manifest.parquet")["path"].to_pylist()


def words(archive: Path, output: Path) -> list[str]:
    return ["scan", "--set", f"archive={archive}", "--set", f"output={output}"]


def scanned(archive: Path, output: Path, *options: str) -> tuple[int, str]:
    """Exit code and printed text of a scan by a user who is not above permissions."""
    done = subprocess.run(
        [*under_permissions(), sys.executable, "-m", "nrray", *words(archive, output), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def known(tmp_path):
    """An archive and the output of a scan that could read all of it."""
    archive, output = tmp_path / "archive", tmp_path / "output"
    names = ["a.mp4", "case1/b.mp4", "case10/d.mp4", "case1/deep/c.mp4"]
    for name in names:
        (archive / name).parent.mkdir(parents=True, exist_ok=True)
        (archive / name).write_bytes(b"video")
    Folder(str(output)).create()
    Folder(str(output)).write_table("manifest.parquet", manifest_table([known_video(archive, name) for name in names]))
    yield archive, output
    if (archive / "case1").exists():
        (archive / "case1").chmod(0o755)


def test_what_was_known_of_a_folder_that_cannot_be_read_is_kept_and_the_exit_code_is_3(known):
    archive, output = known
    (archive / "case1").chmod(0)
    code, text = scanned(archive, output)
    assert code == 3, text
    assert "1 folders or links cannot be looked into, first case1: permission denied" in text
    assert "2 videos that earlier scans found there are kept" in text
    assert known_paths(output) == ["a.mp4", "case1/b.mp4", "case1/deep/c.mp4", "case10/d.mp4"]
    (archive / "case1").chmod(0o755)
    assert scanned(archive, output)[0] == 0


def test_the_document_for_programs_names_them(known):
    archive, output = known
    (archive / "case1").chmod(0)
    code, text = scanned(archive, output, "--json")
    assert code == 3
    assert json.loads(text)["not_looked_into"] == [{"path": "case1", "reason": "permission denied"}]


def test_what_is_gone_goes_beside_a_folder_that_cannot_be_read(known):
    archive, output = known
    shutil.rmtree(archive / "case10")
    (archive / "case1").chmod(0)
    code, text = scanned(archive, output)
    assert (code, known_paths(output)) == (3, ["a.mp4", "case1/b.mp4", "case1/deep/c.mp4"])
    assert "1 gone, 2 known that cannot be looked at now" in text


def test_a_video_whose_link_leads_nowhere_now_is_kept(known, capsys):
    archive, output = known
    (archive / "a.mp4").unlink()
    (archive / "a.mp4").symlink_to("/nowhere/a.mp4")
    assert main(words(archive, output)) == 3
    assert "a link to /nowhere/a.mp4: no such file or directory" in capsys.readouterr().out
    assert known_paths(output)[0] == "a.mp4"


@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_an_archive_without_a_video_is_an_error_that_says_what_was_looked_for(options, tmp_path, capsys):
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive/notes.txt").write_text("")
    (tmp_path / "archive/lost.mp4").symlink_to("/nowhere/lost.mp4")
    assert main([*words(tmp_path / "archive", tmp_path / "output"), *options]) == 1
    said = capsys.readouterr().err
    for part in ("no video in", "found 1 .txt", ".mp4", "suffixes", "lost.mp4 (a link to /nowhere/lost.mp4"):
        assert part in said
    assert not (tmp_path / "output").exists()


def test_an_archive_that_lost_all_videos_changes_nothing(known, capsys):
    archive, output = known
    shutil.rmtree(archive)
    archive.mkdir()
    assert main(words(archive, output)) == 1
    assert "none of the 4 known videos is in" in capsys.readouterr().err
    assert len(known_paths(output)) == 4
