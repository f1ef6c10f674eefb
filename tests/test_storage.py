import os
import resource
import subprocess
import sys
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import ClassVar

import fsspec
import pyarrow as pa
import pytest

from nrray.errors import DataError, DecodeError, ErrorKind, StorageError
from nrray.storage import (
    Folder,
    absolute_uri,
    check_unchanged,
    is_local,
    make_private,
    read_table,
    source_facts,
)
from nrray.writer_lock import WriterLock
from tests.bytes_read import bytes_read

TABLE = pa.table({"a": [1, 2, 3]})


def mode_of(path):
    return os.stat(path).st_mode & 0o777


@contextmanager
def mounted_tmpfs(path: Path, *, kib: int):
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kib}k,mode=700", "tmpfs", str(path)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a tmpfs needs root")
    try:
        yield
    finally:
        # lazy: a process that was just started elsewhere may hold a descriptor for a moment
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.fixture(params=["local", "memory"])
def folder(request, tmp_path):
    made = Folder(str(tmp_path / "out")) if request.param == "local" else Folder(f"memory://{tmp_path.name}")
    made.create()
    return made


def test_what_is_written_is_read_back(folder):
    folder.write_bytes("bytes", b"\x00\x01")
    folder.write_json("value.json", {"a": [1, 2]})
    folder.write_table("table.parquet", TABLE)
    assert folder.read_bytes("bytes") == b"\x00\x01"
    assert folder.read_json("value.json") == {"a": [1, 2]}
    assert folder.read_table("table.parquet").equals(TABLE)
    assert folder.names() == ["bytes", "table.parquet", "value.json"]
    assert folder.names(suffix=".json") == ["value.json"]


def test_a_range_of_a_file_is_read(folder):
    folder.write_bytes("bytes", bytes(range(10)))
    assert folder.read_range("bytes", 2, 5) == b"\x02\x03\x04"
    assert folder.read_range("bytes", 8, 20) == b"\x08\x09"
    assert folder.read_range("bytes", 10, 20) == b""
    with pytest.raises(FileNotFoundError):
        folder.read_range("nothing", 0, 8)


def test_of_a_range_no_other_bytes_are_read(tmp_path):
    folder = Folder(str(tmp_path))
    folder.write_bytes("large", bytes(4 * 2**20))
    with bytes_read() as count:
        folder.read_range("large", 2**20, 2**20 + 100)
    assert 100 <= count() < 2**16  # a buffer may take a page or two


def test_a_file_is_replaced_whole(folder):
    folder.write_bytes("name", b"long content")
    folder.write_bytes("name", b"short")
    assert folder.read_bytes("name") == b"short"
    assert folder.names() == ["name"]


def test_removing_what_is_not_there_is_fine(folder):
    folder.write_bytes("name", b"")
    folder.remove("name")
    folder.remove("name")
    assert not folder.exists("name")


def test_a_folder_that_is_not_there_has_no_names(folder):
    assert (folder / "nothing").names() == []


def test_files_in_subfolders_are_not_named(folder):
    (folder / "sub").create()
    (folder / "sub").write_bytes("inner", b"x")
    assert "inner" not in folder.names()
    assert (folder / "sub").names() == ["inner"]


@pytest.mark.parametrize("name", ["a::b", "with space", "#hash?query=1", "ünï 日本", "100%", "[glob]*", "s3:"])
def test_any_folder_name_is_a_folder_name(tmp_path, name):
    folder = Folder(str(tmp_path / name))
    folder.create()
    folder.write_table("t.parquet", TABLE)
    assert folder.names() == ["t.parquet"]
    assert (tmp_path / name / "t.parquet").is_file()
    assert read_table(str(tmp_path / name / "t.parquet")).equals(TABLE)
    folder.remove("t.parquet")
    assert folder.names() == []


def test_files_and_folders_are_private_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        folder = Folder(str(tmp_path / "out"))
        folder.create()
        folder.write_bytes("data", b"x")
        folder.write_table("table.parquet", TABLE)
        with WriterLock(folder):
            assert [mode_of(tmp_path / "out" / name) for name in ("data", "table.parquet", "lock")] == [0o600] * 3
        assert mode_of(tmp_path / "out") == 0o700
    finally:
        os.umask(before)


def test_a_relative_folder_stays_where_it_was_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Folder("out")
    folder.create()
    monkeypatch.chdir("/")
    folder.write_bytes("x", b"1")
    assert (tmp_path / "out" / "x").read_bytes() == b"1"


def test_uris_of_object_stores_are_left_alone():
    assert absolute_uri("s3://bucket/a") == "s3://bucket/a"
    assert absolute_uri("file:///a/b") == "/a/b"
    assert [is_local(uri) for uri in ("a/b", "/a://b", "file:///a", "s3://b", "gs://b")] == [
        True,
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(("uri", "package"), [("s3://bucket/a", "s3fs"), ("gs://bucket/a", "gcsfs")])
def test_a_uri_whose_package_is_not_installed_says_what_to_install(monkeypatch, uri, package):
    monkeypatch.setitem(sys.modules, package, None)  # as Python notes a package that cannot be imported
    with pytest.raises(
        DataError, match=f"{uri}: the package .* is not installed: .*{'nrray.s3' if 's3' in uri else package}"
    ):
        Folder(uri)


def test_a_full_disk_is_an_error_and_leaves_no_half_file(tmp_path):
    with mounted_tmpfs(tmp_path / "small", kib=256):
        folder = Folder(str(tmp_path / "small"))
        folder.write_bytes("first", b"x" * 100_000)
        with pytest.raises(StorageError, match="no space is left"):
            folder.write_bytes("second", b"x" * 1_000_000)
        assert os.listdir(tmp_path / "small") == ["first"]
        folder.write_bytes("third", b"x" * 50_000)


def test_a_file_that_may_not_grow_is_an_error_and_leaves_no_half_file(tmp_path):
    program = (
        "import resource, signal; from nrray.errors import StorageError; from nrray.storage import Folder\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        f"folder = Folder({str(tmp_path)!r})\n"
        "try: folder.write_bytes('big', b'x' * 100_000)\n"
        "except StorageError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert "cannot write" in done.stdout
    assert os.listdir(tmp_path) == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 4096, "the limit was the child's"


def test_a_read_only_folder_is_an_error(tmp_path):
    with mounted_tmpfs(tmp_path / "ro", kib=256):
        folder = Folder(str(tmp_path / "ro"))
        folder.write_bytes("there", b"x")
        subprocess.run(["mount", "-o", "remount,ro", str(tmp_path / "ro")], check=True)
        with pytest.raises(StorageError, match="read-only"):
            folder.write_bytes("new", b"x")
        with pytest.raises(StorageError, match="read-only"):
            folder.remove("there")
        with pytest.raises(StorageError, match="read-only"):
            (folder / "sub").create()
        with pytest.raises(StorageError, match="read-only"), WriterLock(folder):
            pass
        assert folder.read_bytes("there") == b"x"


def test_a_file_in_the_way_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot"):
        Folder(str(tmp_path / "file" / "out")).create()
    with pytest.raises(StorageError, match="cannot"):
        Folder(str(tmp_path / "file")).create()


def test_writing_into_a_folder_that_is_gone_is_an_error(tmp_path):
    with pytest.raises(StorageError, match="cannot write"):
        Folder(str(tmp_path / "gone")).write_bytes("x", b"")


def test_leftovers_of_killed_writers_are_removed_and_nothing_else(tmp_path):
    folder = Folder(str(tmp_path))
    folder.write_bytes("kept", b"x")
    (tmp_path / ".tmp-1").write_bytes(b"half")
    (tmp_path / ".tmp-2").mkdir()
    (tmp_path / ".tmp-2" / "labels.parquet").write_bytes(b"half")
    folder.remove_leftovers()
    assert os.listdir(tmp_path) == ["kept"]


def test_a_link_among_leftovers_is_removed_and_what_it_leads_to_stays(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").write_bytes(b"x")
    folder = Folder(str(tmp_path / "out"))
    folder.create()
    (tmp_path / "out" / ".tmp-link").symlink_to(tmp_path / "elsewhere")
    folder.remove_leftovers()
    assert os.listdir(tmp_path / "out") == []
    assert os.listdir(tmp_path / "elsewhere") == ["kept"]


def test_what_is_being_written_has_no_name_yet(folder):
    folder.write_bytes(".tmp-1.parquet", b"half")
    folder.write_bytes("whole.parquet", b"")
    assert folder.names() == folder.names(suffix=".parquet") == ["whole.parquet"]


def test_a_folder_of_anothers_files_is_made_private(tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "model.safetensors").chmod(0o644)
    make_private(tmp_path)
    assert (mode_of(tmp_path), mode_of(tmp_path / "model.safetensors")) == (0o700, 0o600)


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    Folder("~/out").create()
    assert (tmp_path / "out").is_dir()


def test_a_storage_that_nobody_knows_is_named():
    with pytest.raises(DataError, match=r"nosuch://bucket/a: .*Expected a local path, or a URI"):
        Folder("nosuch://bucket/a")


def test_a_folder_where_a_table_is_expected_is_told(tmp_path):
    with pytest.raises(DataError, match="found a folder, expected a Parquet file in one"):
        read_table(str(tmp_path))


def test_a_damaged_document_is_named(folder):
    folder.write_bytes("run.json", b"{")
    with pytest.raises(DataError, match=r"run\.json"):
        folder.read_json("run.json")


def test_a_damaged_or_missing_table_is_named(folder):
    folder.write_bytes("bad.parquet", b"PAR1 not really")
    for name in ("bad.parquet", "missing.parquet"):
        with pytest.raises(DataError, match=name):
            folder.read_table(name)


def test_facts_of_a_source_file(tmp_path):
    path = tmp_path / "video.mp4"
    path.write_bytes(b"12345")
    os.utime(path, ns=(0, 1_700_000_000_123_456_000))
    assert source_facts(str(path)) == (5, 1_700_000_000_123_456)
    assert source_facts(f"file://{path}") == (5, 1_700_000_000_123_456)
    check_unchanged(str(path), size_bytes=5, modified_us=1_700_000_000_123_456)


def test_a_changed_or_missing_source_file_has_its_own_kind(tmp_path):
    path = tmp_path / "video.mp4"
    path.write_bytes(b"12345")
    size, modified = source_facts(str(path))
    for facts in ({"size_bytes": 4, "modified_us": modified}, {"size_bytes": size, "modified_us": modified - 1}):
        with pytest.raises(DecodeError) as caught:
            check_unchanged(str(path), **facts)
        assert caught.value.kind is ErrorKind.CHANGED
    for uri in (str(tmp_path / "gone.mp4"), "memory://gone.mp4"):
        with pytest.raises(DecodeError) as caught:
            source_facts(uri)
        assert caught.value.kind is ErrorKind.MISSING


def test_a_source_file_that_cannot_be_looked_at_is_unreadable(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DecodeError) as caught:
        source_facts(str(tmp_path / "file" / "video.mp4"))
    assert caught.value.kind is ErrorKind.UNREADABLE


class Store(fsspec.AbstractFileSystem):
    """A store that remembers what it was asked until it is told to ask again, as those of the clouds do."""

    protocol = "facts"
    cachable = False
    now: ClassVar[dict[str, object]] = {}
    remembered: ClassVar[dict[str, object]] = {}

    def info(self, path, **_):
        if not Store.remembered:
            Store.remembered.update(Store.now)
        return dict(Store.remembered)

    def ls(self, path, detail=True, **_):
        return [f"{path}/{name}" for name in self.info(path)["names"]]

    def invalidate_cache(self, path=None):
        Store.remembered.clear()


@pytest.fixture
def facts_of_store(monkeypatch):
    fsspec.register_implementation("facts", Store, clobber=True)
    monkeypatch.setattr(Store, "remembered", {})

    def facts(**info):
        Store.now = {"name": "video.mp4", "size": 7, "type": "file", **info}
        return source_facts("facts://video.mp4")

    return facts


@pytest.mark.parametrize(
    "info",
    [
        {"LastModified": datetime(2023, 11, 14, 22, 13, 20, 500_000, tzinfo=timezone.utc)},
        {"last_modified": datetime(2023, 11, 15, 0, 13, 20, 500_000, tzinfo=timezone(timedelta(hours=2)))},
        {"updated": "2023-11-14T22:13:20.500Z"},
        {"mtime": 1_700_000_000.5},
    ],
)
def test_stores_say_in_their_own_way_when_a_file_was_modified(facts_of_store, info):
    assert facts_of_store(**info) == (7, 1_700_000_000_500_000)


def test_a_store_that_does_not_say_when_a_file_was_modified(facts_of_store):
    assert facts_of_store() == (7, 0)


def test_a_file_on_a_store_is_looked_at_anew(facts_of_store):
    assert facts_of_store(mtime=1.0) == (7, 1_000_000)
    assert facts_of_store(mtime=2.0, size=8) == (8, 2_000_000)


def test_the_names_in_a_folder_on_a_store_are_looked_up_anew(facts_of_store):
    folder = Folder("facts://bucket")
    for names in (["a"], ["a", "b"]):
        Store.now = {"names": names}
        assert folder.names() == names
