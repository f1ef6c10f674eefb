"""What a walk over an archive finds, and what it says of the rest."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import fsspec
import pytest

from nrray.errors import DataError
from nrray.pipelines.scan.listing import (
    LINKED_FOLDERS,
    SPECIAL_FILES,
    VIDEO_FOLDERS,
    VIDEO_SUFFIXES,
    Listing,
    Unlisted,
    listed_files,
)
from tests.pipelines.scan.support import under_permissions
from tests.videos import write_video


def paths(listing: Listing) -> list[str]:
    return [file.path for file in listing.files]


def not_looked_into(listing: Listing) -> dict[str, str]:
    return {item.path: item.reason for item in listing.unlisted}


def test_links_to_files_are_followed_and_links_to_folders_counted(tmp_path):
    archive, elsewhere = tmp_path / "archive", tmp_path / "elsewhere"
    for folder in (archive, elsewhere):
        folder.mkdir()
        (folder / "a.mp4").write_bytes(b"video")
    (archive / "case").symlink_to(elsewhere)
    (archive / "b.mp4").symlink_to(elsewhere / "a.mp4")  # a file under another name
    (archive / "notes.txt").write_text("")
    found = listed_files(str(archive), {".mp4"})
    assert paths(found) == ["a.mp4", "b.mp4"]
    assert found.ignored == Counter({LINKED_FOLDERS: 1, ".txt": 1})
    assert found.unlisted == []


def test_links_to_nothing_and_in_a_circle_are_told_and_end_no_walk(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"video")
    (tmp_path / "c.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (tmp_path / "case").symlink_to("/nowhere/case")
    (tmp_path / "circle").symlink_to(tmp_path / "back")
    (tmp_path / "back").symlink_to(tmp_path / "circle")
    (tmp_path / "notes.txt").symlink_to("nowhere.txt")  # of no interest, whatever is behind it
    (tmp_path / "up").symlink_to(tmp_path)
    found = listed_files(str(tmp_path), {".mp4"})
    assert paths(found) == ["a.mp4"]
    assert found.ignored == Counter({LINKED_FOLDERS: 1})
    assert not_looked_into(found) == {
        "back": f"a link to {tmp_path}/circle, and so in a circle to itself",
        "c.mp4": f"a link to {tmp_path}/nowhere.mp4: no such file or directory",
        "case": "a link to /nowhere/case: no such file or directory",
        "circle": f"a link to {tmp_path}/back, and so in a circle to itself",
    }


@pytest.mark.skipif(sys.platform != "linux", reason="the file system may not take such a name")
def test_names_that_are_no_text_are_listed_with_their_bytes_escaped(tmp_path):
    folder = os.fsencode(tmp_path) + b"/case\xff"
    os.mkdir(folder)
    with open(folder + b"/b\xfe.mp4", "wb") as file:
        file.write(b"video")
    (found,) = listed_files(str(tmp_path), {".mp4"}).files
    assert (found.path, found.nameable) == ("case\\xff/b\\xfe.mp4", False)


_PROGRAM = """
import json, sys
from nrray.errors import NrrayError
from nrray.pipelines.scan.listing import listed_files
try:
    found = listed_files(sys.argv[1], {".mp4"})
except NrrayError as error:
    print(json.dumps([type(error).__name__, str(error)]))
else:
    print(json.dumps([[file.path for file in found.files], {item.path: item.reason for item in found.unlisted}]))
"""


def listed_under_permissions(archive: Path) -> list:
    """The paths of files and the reasons by path, or the kind and the text of the error, as a user finds them."""
    command = [*under_permissions(), sys.executable, "-c", _PROGRAM, str(archive)]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


@pytest.fixture
def forbidden(tmp_path):
    """An archive with a folder that its user may not list, one whose files it may not examine, and one to read."""
    archive = tmp_path / "archive"
    for name in ("closed", "names_only", "open"):
        (archive / name / "deep").mkdir(parents=True)
        (archive / name / "a.mp4").write_bytes(b"video")
        (archive / name / "notes.txt").write_bytes(b"notes")
        (archive / name / "deep" / "b.mp4").write_bytes(b"video")
    (archive / "closed").chmod(0)
    (archive / "names_only").chmod(0o444)
    yield archive
    for name in ("closed", "names_only"):
        (archive / name).chmod(0o700)


def test_a_folder_that_cannot_be_read_is_told_and_ends_no_walk(forbidden):
    files, unlisted = listed_under_permissions(forbidden)
    assert files == ["open/a.mp4", "open/deep/b.mp4"]
    assert unlisted == dict.fromkeys(["closed", "names_only/a.mp4", "names_only/deep"], "permission denied")


@pytest.mark.parametrize(("archive", "said"), [("closed", "cannot list "), ("closed/deep", "cannot be looked into")])
def test_an_archive_that_cannot_be_read_is_an_error(archive, said, forbidden):
    kind, text = listed_under_permissions(forbidden / archive)
    assert kind == "DataError"
    assert said in text
    assert "permission denied" in text


def test_what_cannot_be_looked_into_hides_itself_and_what_is_below():
    place = Unlisted(path="case1", reason="")
    assert [place.hides(path) for path in ("case1", "case1/a.mp4", "case10/a.mp4", "a/case1/a.mp4")] == [
        True,
        True,
        False,
        False,
    ]


def test_a_folder_of_a_store_that_cannot_be_listed_is_told_too(monkeypatch):
    store = fsspec.filesystem("memory")
    for name in ("closed/a.mp4", "open/b.mp4", "open/.hidden/c.mp4"):
        store.pipe_file(f"/walked/{name}", b"video")
    original = type(store).ls

    def ls(self, path, detail=True, **kwargs):
        if path.endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return original(self, path, detail=detail, **kwargs)

    monkeypatch.setattr(type(store), "ls", ls)
    monkeypatch.delattr(type(store), "find")  # as of stores that are walked folder by folder
    found = listed_files("memory://walked", {".mp4"})
    assert paths(found) == ["open/b.mp4"]
    assert not_looked_into(found) == {"closed": "permission denied"}


def test_an_unknown_protocol_is_an_error_that_says_so():
    with pytest.raises(DataError, match=r"Protocol not known: nowhere.*Expected a local path, or a URI"):
        listed_files("nowhere://archive", {".mp4"})


def test_videos_of_recorders_are_found_by_suffix_or_by_their_first_bytes(tmp_path):
    for suffix in (".264", ".265", ".m2t", ".mod", ".tod", ".dav", ".insv", ".lrv"):
        (tmp_path / f"a{suffix}").write_bytes(b"video")
    kinds = {"b.rec": "mp4", "c.part1": "avi", "d.001": "mpegts", "e.bin": "matroska", "f.xyz": "flv"}
    for name, container in kinds.items():
        write_video(tmp_path / name, container=container, num_frames=30, codec_options={"crf": "0"})
    (tmp_path / "g.xyz").write_bytes(b"no video, whatever it is called")
    write_video(tmp_path / "h.txt", container="mp4", num_frames=5)
    found = listed_files(str(tmp_path), set(VIDEO_SUFFIXES), sniffs=True)
    assert len(paths(found)) == 8 + len(kinds)
    assert set(kinds) <= set(paths(found))
    assert found.ignored == Counter({".xyz": 1, ".txt": 1})
    assert len(paths(listed_files(str(tmp_path), set(VIDEO_SUFFIXES)))) == 8


def test_pipes_and_folders_that_are_named_like_videos_are_counted(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "folder.mp4" / "a.mp4").write_bytes(b"x")
    found = listed_files(str(tmp_path), set(VIDEO_SUFFIXES))
    assert [file.path for file in found.files] == ["folder.mp4/a.mp4"]
    assert dict(found.ignored) == {SPECIAL_FILES: 1, VIDEO_FOLDERS: 1}
