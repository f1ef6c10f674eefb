"""What a walk over an archive finds, and what it says of the rest."""

from collections import Counter

import pytest

from nrray.errors import DataError
from nrray.pipelines.scan.listing import DANGLING_LINKS, LINKED_FOLDERS, listed_files


def test_links_that_are_not_followed_are_counted(tmp_path):
    archive, elsewhere = tmp_path / "archive", tmp_path / "elsewhere"
    for folder in (archive, elsewhere):
        folder.mkdir()
        (folder / "a.mp4").write_bytes(b"video")
    (archive / "case").symlink_to(elsewhere)
    (archive / "b.mp4").symlink_to(elsewhere / "a.mp4")  # a file under another name
    (archive / "c.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (archive / "notes.txt").write_text("")
    found, ignored = listed_files(str(archive), {".mp4"})
    assert [file.path for file in found] == ["a.mp4", "b.mp4"]
    assert ignored == Counter({LINKED_FOLDERS: 1, DANGLING_LINKS: 1, ".txt": 1})


def test_an_unknown_protocol_is_an_error_that_says_so():
    with pytest.raises(DataError, match=r"Protocol not known: nowhere.*Expected a local path, or a URI"):
        listed_files("nowhere://archive", {".mp4"})
