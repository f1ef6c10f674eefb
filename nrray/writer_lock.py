"""One writer per output: a flock on a file system, a lease on an object store, which a clock keeps."""

import fcntl
import os
import threading
import time
from contextlib import ExitStack
from types import TracebackType

from nrray.clock import Clock
from nrray.errors import OutputBusyError
from nrray.lease import LEASE_SECONDS, Lease, owner_text, standing
from nrray.storage import PRIVATE_FILE, Folder, storage_errors

FLOCK_PATIENCE_SECONDS = 0.2
_RENEWALS = 5  # in the time of a lease: one may fail to be made in time


class WriterLock:
    """One writer per output. On a file system a flock, which the kernel drops when its process dies.

    On an object store a `Lease`, renewed by the lock's clock from the first second to the last; one that was not renewed for
    `lease_seconds`, or whose process is known to be dead, is taken over. A writer that lost its lease finds out by the clock, or
    by `renew` before it writes, and stops; a file that it was just writing is harmless, because ledger files are whole and carry
    their units' ids.
    """

    def __init__(self, folder: Folder, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self.clock = Clock()
        self._folder = folder
        self._lease_seconds = lease_seconds
        self._descriptor: int | None = None
        self._lease = None if folder.is_local else Lease(folder, lease_seconds=lease_seconds)
        self._renewing = threading.Lock()
        self._exits = ExitStack()

    def __enter__(self) -> "WriterLock":
        if self._lease is None:
            self._flock()
        else:
            self._lease.take()
        self.clock.start()
        if self._lease is not None:
            # A store may fail to answer for a while, as long as the lease stands.
            every = self._lease_seconds / _RENEWALS
            patience = self._lease_seconds - 2 * every
            self._exits.enter_context(self.clock.every(every, self.renew, patience_seconds=patience))
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
        if self._lease is not None:
            with self._renewing:
                self._lease.renew()

    def _give_back(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        if self._lease is not None:
            self._lease.give_back()

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
    """Whether a run is writing `folder` right now (on an object store, whether a lease stands whose process is not known to be
    dead)."""
    if not folder.is_local:
        return standing(folder).left_seconds > 0
    if not folder.exists("lock"):
        return False
    with storage_errors(f"cannot read {folder.path('lock')}"):
        descriptor = os.open(folder.path("lock"), os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
