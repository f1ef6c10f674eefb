import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from nrray.errors import DataError, DecodeError, ErrorKind, OutputBusyError, StorageError
from nrray.storage import (
    Folder,
    absolute_uri,
    check_unchanged,
    is_local,
    read_table,
    source_facts,
)
from nrray.writer_lock import WriterLock, is_locked

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


HOLDER = (
    "import sys; from nrray.storage import Folder; from nrray.writer_lock import WriterLock\n"
    "with WriterLock(Folder(sys.argv[1])):\n"
    "    print('held', flush=True); sys.stdin.read()"
)


@contextmanager
def holder_of(path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_second_writer_is_told_who_the_first_is(tmp_path):
    folder = Folder(str(tmp_path))
    with holder_of(tmp_path) as process:
        assert is_locked(folder)
        with pytest.raises(OutputBusyError, match=f'"pid": {process.pid}'), WriterLock(folder):
            pass


def test_a_lock_dies_with_its_process(tmp_path):
    folder = Folder(str(tmp_path))
    with holder_of(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not is_locked(folder)
        with WriterLock(folder) as lock:
            lock.renew()
            assert is_locked(folder)
    assert not is_locked(folder)


def test_a_folder_that_was_never_written_is_not_locked(folder):
    assert not is_locked(folder)


def test_asking_whether_a_folder_is_locked_never_stops_a_writer(tmp_path):
    folder = Folder(str(tmp_path))
    with WriterLock(folder):
        pass
    done = threading.Event()

    def ask():
        while not done.is_set():
            is_locked(folder)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(200):
            with WriterLock(folder):
                pass
    finally:
        done.set()
        asking.join()


@pytest.fixture
def store(tmp_path):
    return Folder(f"memory://{tmp_path.name}-lease")


def age_lease(store, seconds):
    lease = store.read_json("lock")
    store.write_bytes("lock", json.dumps({**lease, "since_unix": lease["since_unix"] - seconds}).encode())


def test_a_lease_keeps_others_out_until_it_is_given_back(store):
    with WriterLock(store) as lock:
        assert is_locked(store)
        with pytest.raises(OutputBusyError, match="lease ends in"), WriterLock(store):
            pass
        lock.renew()
    assert not is_locked(store)
    with WriterLock(store):
        pass


def test_a_stale_lease_is_taken_over_and_the_zombie_finds_out(store):
    zombie = WriterLock(store)
    zombie.__enter__()
    age_lease(store, WriterLock.LEASE_SECONDS + 1)
    assert not is_locked(store)
    with WriterLock(store) as heir:
        with pytest.raises(OutputBusyError, match="took this output over"):
            zombie.renew()
        zombie.__exit__(None, None, None)
        assert is_locked(store), "a zombie does not give back what is not its own"
        heir.renew()
    assert not is_locked(store)


def test_a_renewed_lease_does_not_go_stale(store):
    with WriterLock(store) as lock:
        before = store.read_json("lock")["since_unix"]
        lock.renew()
        assert before <= store.read_json("lock")["since_unix"] <= time.time()
        lock.renew()
