"""The start of Ray is watched from another process: Ray's core may end this one without a word, or wait without end and let no
thread of it run meanwhile.

Run as a program, this module is that process. It imports no Ray, so that it is there before Ray's first process is.
"""

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from nrray.isolation import isolated_python

START_SECONDS = 300.0
"""For a start of Ray, with its second try. Four minutes are the sum of Ray's own limits for the two."""
LOSS_SECONDS = 40.0
"""From the death of a process without which Ray does not start to the end of the run, where Ray has not noticed by itself. Ray's
own limits are 30 s."""

_POLL_SECONDS = 0.5
_EXIT_SECONDS = 10.0
_FULL_BYTES = 2**20
_AGAIN, _OVER = b"again\n", b"over\n"


@dataclass(frozen=True, kw_only=True)
class Start:
    """What is watched. needed: names of the child processes without which Ray does not start; folder: of Ray, whose disk may fill
    up; way_on: what is said last."""

    needed: Collection[str]
    folder: str
    way_on: str
    limit_seconds: float = START_SECONDS
    loss_seconds: float = LOSS_SECONDS


@contextmanager
def watched_start(start: Start) -> Iterator[Callable[[], None]]:
    """Where this process ends within the block, or Ray does not start in time, another one says so on stderr, and this one ends
    with exit code 1. Gives what is to be called before a second try: deaths in the first do not count any more."""
    words = json.dumps({**asdict(start), "needed": list(start.needed), "pid": os.getpid()})
    watcher = subprocess.Popen(
        isolated_python(__name__, words), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
    )
    assert watcher.stdin is not None
    pipe = watcher.stdin

    def tell(word: bytes) -> None:
        with suppress(OSError):  # it may have been killed: Ray starts all the same
            os.write(pipe.fileno(), word)

    try:
        with _hangup_exits():
            yield lambda: tell(_AGAIN)
    finally:
        tell(_OVER)
        pipe.close()
        try:
            watcher.wait(timeout=_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            watcher.kill()
            watcher.wait()


@contextmanager
def _hangup_exits() -> Iterator[None]:
    """SIGHUP ends this process with exit code 1, its own number, also while no thread of Python can run. Where it is ignored, as
    under nohup, it stays so."""
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_DFL:
        yield
        return
    library = ctypes.CDLL(None)
    library.signal.argtypes, library.signal.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
    before = library.signal(signal.SIGHUP, ctypes.cast(library._exit, ctypes.c_void_p))
    try:
        yield
    finally:
        library.signal(signal.SIGHUP, before)


def main() -> None:
    """Watch the process that started this one, until it says that it is over, or is gone."""
    words = json.loads(sys.argv[1])
    pid = words.pop("pid")
    start = Start(**words)
    reason = _reason_to_end(psutil.Process(pid), start)
    if reason is None:
        return
    with suppress(OSError):
        if shutil.disk_usage(start.folder).free < _FULL_BYTES:
            reason = (
                f"the disk of its folder {start.folder} is full. Make room there, or name another one in RAY_TMPDIR"
            )
    sys.stderr.write(f"error: Ray could not start: {reason}. {start.way_on}\n")
    sys.stderr.flush()
    for number in (signal.SIGHUP, signal.SIGKILL):
        with suppress(OSError):
            os.kill(pid, number)
        if select.select([0], [], [], _EXIT_SECONDS)[0]:
            return


def _reason_to_end(process: psutil.Process, start: Start) -> str | None:
    """Waits. None where Ray has started, or has failed in words."""
    began = time.monotonic()
    of_first_try: set[psutil.Process] = set()
    found_dead: dict[psutil.Process, float] = {}  # to when
    while True:
        if select.select([0], [], [], _POLL_SECONDS)[0]:
            word = os.read(0, len(_AGAIN))
            if word != _AGAIN:
                return None if word else "it ended this process, or somebody else did"
            of_first_try.update(_dead_children(process, start.needed))
        now = time.monotonic()
        for child in _dead_children(process, start.needed):
            if child not in of_first_try and now - found_dead.setdefault(child, now) > start.loss_seconds:
                sessions = sorted(Path(start.folder).glob(f"session_*_{process.pid}"))
                logs = f"; its log is in {sessions[-1] / 'logs'}" if sessions else ""
                return f"its {child.name()} was killed, or ended by itself{logs}"
        if now - began > start.limit_seconds:
            return f"it took more than {start.limit_seconds:.0f} s"


def _dead_children(process: psutil.Process, names: Collection[str]) -> list[psutil.Process]:
    """Children that have ended and that nobody has waited for."""
    found = []
    with suppress(psutil.Error):
        for child in process.children():
            with suppress(psutil.Error):
                if child.status() == psutil.STATUS_ZOMBIE and child.name() in names:
                    found.append(child)
    return found


if __name__ == "__main__":
    main()
