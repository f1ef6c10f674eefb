"""One writer per output: a flock on a file system, a lease on an object store, which a clock keeps."""

import fcntl
import json
import math
import os
import secrets
import socket
import threading
import time
from contextlib import ExitStack
from types import TracebackType

from nrray.clock import Clock
from nrray.errors import OutputBusyError
from nrray.nested import json_from
from nrray.storage import PRIVATE_FILE, Folder, storage_errors

FLOCK_PATIENCE_SECONDS = 0.2
LEASE_SECONDS = 600.0
_RENEWALS = 5  # in the time of a lease: one may fail to be made in time


def owner_text() -> str:
    """The holder of a lock, for the message that other runs get; no two are equal."""
    owner = {"host": socket.gethostname(), "pid": os.getpid(), "since_unix": time.time()}
    return json.dumps({**owner, "token": secrets.token_hex(8)})


class WriterLock:
    """One writer per output. On a file system a flock, which the kernel drops when its process dies.

    On an object store a lease object, created only if absent and renewed by the lock's clock; a lease that was not renewed for
    `lease_seconds` is taken over, which only happens to a run that died or lost its network. A writer that lost its lease
    finds out by the clock, or by `renew` before it writes, and stops; a file that it was just writing is harmless, because ledger
    files are whole and carry their units' ids.
    """

    def __init__(self, folder: Folder, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self.clock = Clock()
        self._folder = folder
        self._lease_seconds = lease_seconds
        self._descriptor: int | None = None
        self._lease: bytes | None = None
        self._renewing = threading.Lock()
        self._exits = ExitStack()

    def __enter__(self) -> "WriterLock":
        if self._folder.is_local:
            self._flock()
        else:
            self._take_lease()
        self.clock.start()
        if self._lease is not None:
            self._exits.enter_context(self.clock.every(self._lease_seconds / _RENEWALS, self.renew))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Raises the failure of the clock, as `Clock.stop` says."""
        try:
            self._exits.close()
            self.clock.stop(error)
        finally:
            self._give_back()

    def renew(self) -> None:
        """Show that this writer lives, from any thread. Raises OutputBusyError where another took over."""
        with self._renewing:
            if self._lease is None:
                return
            if self._current_lease() != self._lease:
                raise OutputBusyError(
                    f"{self._folder}: another run has taken this output over; this run stops. Watch the other with "
                    f"`nrray status {self._folder}`; what this run has not written is done again."
                )
            self._lease = self._lease_text()
            self._folder.write_bytes("lock", self._lease)

    def _give_back(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        if self._lease is not None and self._current_lease() == self._lease:
            self._folder.remove("lock")
        self._lease = None

    def _lease_text(self) -> bytes:
        return json.dumps({**json.loads(owner_text()), "lease_seconds": self._lease_seconds}).encode()

    def _flock(self) -> None:
        path = self._folder.path("lock")
        with storage_errors(f"cannot lock {path}"), ExitStack() as on_failure:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
            on_failure.callback(os.close, descriptor)
            if not _locked_within(descriptor, seconds=FLOCK_PATIENCE_SECONDS):
                owner = os.pread(descriptor, 4096, 0).decode(errors="replace")
                raise OutputBusyError(
                    f"{self._folder} is being written by another run ({owner or 'unknown'}). "
                    f"Wait for it, watch it with `nrray status {self._folder}`, or choose another output."
                )
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, owner_text().encode(), 0)
            on_failure.pop_all()
        self._descriptor = descriptor

    def _take_lease(self) -> None:
        lease = self._lease_text()
        path = self._folder.path("lock")
        try:
            self._folder.filesystem.pipe_file(path, lease, mode="create")
        except FileExistsError:
            current = self._current_lease()
            left_seconds = _lease_left_seconds(current)
            if left_seconds > 0:
                raise OutputBusyError(
                    f"{self._folder} is being written by another run ({(current or b'').decode(errors='replace')}); "
                    f"if that run is dead, its lease ends in {left_seconds:.0f} s."
                ) from None
            self._folder.write_bytes("lock", lease)
            if self._current_lease() != lease:
                raise OutputBusyError(f"{self._folder} was taken over by another run at the same moment.") from None
        self._lease = lease

    def _current_lease(self) -> bytes | None:
        try:
            return self._folder.read_bytes("lock")
        except FileNotFoundError:
            return None


def _lease_left_seconds(lease: bytes | None) -> float:
    """Seconds until a lease may be taken over, by the time that it states of itself; below 0 where it cannot be read."""
    try:
        stated = json_from(lease or b"")
        return float(stated["since_unix"] + stated.get("lease_seconds", LEASE_SECONDS) - time.time())
    except (ValueError, KeyError, TypeError):
        return -math.inf


def _locked_within(descriptor: int, *, seconds: float) -> bool:
    """Take the flock. `is_locked` holds a shared one for an instant, which is no reason to refuse a run."""
    until = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.02)


def is_locked(folder: Folder) -> bool:
    """Whether a run is writing `folder` right now (on a file system; on an object store, whether a lease stands)."""
    if not folder.exists("lock"):
        return False
    if not folder.is_local:
        return _lease_left_seconds(folder.read_bytes("lock")) > 0
    with storage_errors(f"cannot read {folder.path('lock')}"):
        descriptor = os.open(folder.path("lock"), os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
