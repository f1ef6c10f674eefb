import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from nrray.errors import OutputBusyError, StorageError
from nrray.lease import LEASE_SECONDS, owner_text
from nrray.storage import Folder
from nrray.writer_lock import WriterLock, is_locked
from tests import object_store  # noqa: F401  for URIs objects://

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


@pytest.mark.parametrize("uri", ["{}/never", "memory://{}/never"])
def test_a_folder_that_was_never_written_is_not_locked(tmp_path, uri):
    assert not is_locked(Folder(uri.format(tmp_path)))


def test_a_refused_writer_leaves_no_descriptor_open(tmp_path):
    folder = Folder(str(tmp_path))
    with holder_of(tmp_path):
        before = os.listdir("/proc/self/fd")
        with pytest.raises(OutputBusyError), WriterLock(folder):
            pass
        assert len(os.listdir("/proc/self/fd")) == len(before)


def test_the_owner_that_is_named_is_the_one_that_holds_the_lock(tmp_path):
    (tmp_path / "lock").write_bytes(b"somebody with a longer name" * 20)
    with WriterLock(Folder(str(tmp_path))):
        assert json.loads((tmp_path / "lock").read_bytes())["pid"] == os.getpid()


def test_no_two_owners_are_equal():
    assert owner_text() != owner_text()


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


@contextmanager
def asked(path):
    """Somebody asks whether the folder is locked, and takes long over it."""
    descriptor = os.open(path / "lock", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def test_one_who_asks_is_not_taken_for_a_writer(tmp_path):
    with WriterLock(Folder(str(tmp_path))):
        pass
    with asked(tmp_path):
        assert not is_locked(Folder(str(tmp_path)))


def test_a_writer_waits_a_little_for_one_who_asks(tmp_path, monkeypatch):
    monkeypatch.setattr("nrray.writer_lock.FLOCK_PATIENCE_SECONDS", 30.0)  # a busy machine is slow to let go
    folder = Folder(str(tmp_path))
    with WriterLock(folder):
        pass
    with asked(tmp_path) as descriptor:
        threading.Timer(0.1, fcntl.flock, (descriptor, fcntl.LOCK_UN)).start()
        with WriterLock(folder):
            assert is_locked(folder)


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


def test_a_lease_is_respected_until_its_time_is_over(store):
    with WriterLock(store):
        age_lease(store, LEASE_SECONDS - 20)
        assert is_locked(store)
        with pytest.raises(OutputBusyError, match=r"lease ends in 3\d s"), WriterLock(store):  # and a tenth of 120
            pass


@pytest.mark.parametrize("text", [b"", b"rubbish", b"{}", b"[1]", b'{"since_unix": null}'])
def test_a_lease_that_cannot_be_read_is_none(store, text):
    store.write_bytes("lock", text)
    assert not is_locked(store)
    with WriterLock(store) as lock:
        lock.renew()


def test_a_stale_lease_is_taken_over_and_the_zombie_finds_out(store):
    zombie = WriterLock(store)
    zombie.__enter__()
    age_lease(store, 1.1 * LEASE_SECONDS + 1)
    assert not is_locked(store)
    with WriterLock(store) as heir:
        with pytest.raises(OutputBusyError, match="has taken this output over"):
            zombie.renew()
        zombie.__exit__(None, None, None)
        assert is_locked(store), "a zombie does not give back what is not its own"
        heir.renew()
    assert not is_locked(store)


def test_a_renewed_lease_does_not_go_stale(store):
    with WriterLock(store) as lock:
        text, before = store.read_bytes("lock"), store.read_json("lock")["since_unix"]
        lock.renew()
        assert store.read_bytes("lock") != text
        assert before <= store.read_json("lock")["since_unix"] <= time.time()
        lock.renew()


@pytest.fixture
def objects(tmp_path):
    """An object store that other processes see too."""
    return Folder(f"objects://{tmp_path}/output")


LEASE_HOLDER = (
    "import sys, tests.object_store; from nrray.storage import Folder; from nrray.writer_lock import WriterLock\n"
    "with WriterLock(Folder(sys.argv[1]), lease_seconds=float(sys.argv[2])):\n"
    "    print('held', flush=True); sys.stdin.read()"
)


@contextmanager
def lease_holder(objects, lease_seconds):
    words = [sys.executable, "-c", LEASE_HOLDER, objects.uri, str(lease_seconds)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def wait_until(holds, seconds=60.0):
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "the condition did not come true"
        time.sleep(0.02)


def test_a_holder_that_does_nothing_keeps_its_lease_over_many_lease_times(objects):
    with lease_holder(objects, 3.0):
        first = objects.read_json("lock")["since_unix"]
        wait_until(lambda: objects.read_json("lock")["since_unix"] > first + 2.5 * 3.0)
        assert is_locked(objects)
        with pytest.raises(OutputBusyError, match="lease ends in"), WriterLock(objects):
            pass


def elsewhere(objects):
    """The lease of a process on another machine, of which nothing is known."""
    lease = objects.read_json("lock")
    objects.write_bytes("lock", json.dumps({**lease, "machine": "another"}).encode())


def test_a_lease_of_another_machine_outlives_a_killed_holder_by_its_own_time(objects):
    with lease_holder(objects, 3.0) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        elsewhere(objects)
        with pytest.raises(OutputBusyError, match="lease ends in"), WriterLock(objects):
            pass
        until = objects.read_json("lock")["since_unix"] + 3.0
        wait_until(lambda: not is_locked(objects))
        assert time.time() >= until
        with WriterLock(objects) as heir:
            heir.renew()
            assert is_locked(objects)
    assert not is_locked(objects)


def test_the_successor_of_a_run_that_is_known_to_be_dead_waits_for_nothing(objects):
    with lease_holder(objects, 3600.0) as process:
        assert is_locked(objects)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not is_locked(objects), "status tells a dead run from a live one"
        with WriterLock(objects) as heir:
            heir.renew()


def test_the_thread_that_renews_ends_with_the_lock(objects):
    before = threading.active_count()
    with WriterLock(objects):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
    with pytest.raises(KeyError), WriterLock(objects):
        raise KeyError
    assert threading.active_count() == before


def test_a_store_that_fails_to_take_a_renewal_ends_the_run_that_waits(objects, monkeypatch):
    def failing_write(self, name, data, *, durable=True):
        raise StorageError("the store is gone")

    def run():
        with WriterLock(objects, lease_seconds=0.5):
            monkeypatch.setattr(Folder, "write_bytes", failing_write)
            threading.Event().wait(60)

    with pytest.raises(StorageError, match="the store is gone"):
        run()


def test_a_lease_of_a_release_that_stated_no_time_holds_for_its_usual_one(store):
    lease = {"host": "h", "pid": 1, "since_unix": int(time.time()) - 600 + 20, "token": "t"}
    store.write_bytes("lock", json.dumps(lease).encode())
    with pytest.raises(OutputBusyError, match=r"lease ends in \d\d s"), WriterLock(store):
        pass
    store.write_bytes("lock", json.dumps({**lease, "since_unix": lease["since_unix"] - 90}).encode())
    assert not is_locked(store)


def test_a_store_that_fails_for_a_while_costs_nothing(objects, monkeypatch):
    write, failing_until = Folder.write_bytes, time.monotonic() + 1.5

    def sometimes(self, name, data, *, durable=True):
        if time.monotonic() < failing_until:
            raise StorageError("the store is away")
        write(self, name, data, durable=durable)

    with WriterLock(objects, lease_seconds=8.0):
        monkeypatch.setattr(Folder, "write_bytes", sometimes)
        first = objects.read_json("lock")["since_unix"]
        wait_until(lambda: objects.read_json("lock")["since_unix"] > first + 1.0)
