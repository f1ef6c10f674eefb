"""One thread that calls actions at their times, whatever the main thread waits for. Knows no action."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from nrray.errors import StorageError
from nrray.interrupts import be_interruptible, interrupt_main_thread

_SECONDS_BETWEEN_SIGNALS = 1.0
_TRIES = 20  # within an action's patience
_LEAST_SECONDS_BETWEEN_TRIES = 0.05


@dataclass(kw_only=True, eq=False)
class _Entry:
    """An action and when it is due."""

    seconds: float
    action: Callable[[], None]
    due: float
    patience_seconds: float
    failing_since: float | None = None

    def forgives(self, now: float) -> bool:
        """Whether storage may still fail this action, and is asked again soon."""
        if self.failing_since is None:
            self.failing_since = now
        if now - self.failing_since >= self.patience_seconds:
            return False
        self.due = now + min(self.seconds, max(self.patience_seconds / _TRIES, _LEAST_SECONDS_BETWEEN_TRIES))
        return True


class Clock:
    """Calls each action every so many seconds, from one thread, between enter and exit.

    The first error of an action ends the clock, but for a StorageError that is over within the action's patience. It is
    raised by `check`, and when the clock is left. A main thread that entered the clock and waits for something else is
    interrupted, as by Ctrl-C, so that it does not work on in vain.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._entries: list[_Entry] = []
        self._running: _Entry | None = None
        self._is_over = False
        self._failure: Exception | None = None
        self._interrupts = False
        self._is_left = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nrray clock", daemon=True)

    def start(self) -> None:
        """Start the thread. Call it once."""
        self._interrupts = threading.current_thread() is threading.main_thread()
        be_interruptible()
        self._thread.start()

    def stop(self, error: BaseException | None) -> None:
        """End the thread. Raises its failure where `error`, with which the main thread ends, is none of its own: nothing, or
        the interrupt."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        self._is_left.set()
        try:
            self._thread.join()
        except KeyboardInterrupt:
            if self._failure is None:
                raise
            self._thread.join()  # it was the clock's own, which has nothing left to do
        if self._failure is not None and (error is None or isinstance(error, KeyboardInterrupt)):
            raise self._failure from None

    def check(self) -> None:
        """Raise the failure of an action, where one failed."""
        if self._failure is not None:
            raise self._failure

    @contextmanager
    def every(self, seconds: float, action: Callable[[], None], *, patience_seconds: float = 0.0) -> Iterator[None]:
        """Call `action` every so many seconds from now on; when this is left, no call of it runs any more. A StorageError is no
        failure where a later call succeeds within the patience."""
        due = time.monotonic() + seconds
        entry = _Entry(seconds=seconds, action=action, due=due, patience_seconds=patience_seconds)
        with self._changed:
            self._entries.append(entry)
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._entries.remove(entry)
                self._changed.wait_for(lambda: self._running is not entry)

    def _run(self) -> None:
        while (entry := self._next()) is not None:
            try:
                entry.action()
                entry.failing_since = None
            except StorageError as error:
                with self._changed:
                    is_forgiven = entry.forgives(time.monotonic())
                if not is_forgiven:
                    self._fail(error)
            except (
                Exception
            ) as error:  # of any kind: without this thread nothing would be renewed, and nobody would know
                self._fail(error)
            finally:
                with self._changed:
                    self._running = None
                    self._changed.notify_all()

    def _next(self) -> _Entry | None:
        """The next action that is due, noted as running; None when the clock is over."""
        with self._changed:
            while not self._is_over:
                now = time.monotonic()
                entry = min(self._entries, key=lambda each: each.due, default=None)
                if entry is not None and entry.due <= now:
                    entry.due = now + entry.seconds
                    self._running = entry
                    return entry
                self._changed.wait(None if entry is None else entry.due - now)
            return None

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self._failure = error
            self._is_over = True
        if self._interrupts:
            self._interrupt_main_thread()

    def _interrupt_main_thread(self) -> None:
        """A signal also ends a system call that the main thread waits in, but for one that comes in the moment before the call:
        so it is sent until the main thread handles the interrupt, or has left the clock."""
        main = threading.main_thread().ident or 0
        while interrupt_main_thread():
            if self._is_left.wait(_SECONDS_BETWEEN_SIGNALS) or _is_handling_an_exception(main):
                return


def _is_handling_an_exception(thread: int) -> bool:
    found: Any = sys._current_exceptions().get(thread)
    return (found[1] if isinstance(found, tuple) else found) is not None  # a tuple before Python 3.12
