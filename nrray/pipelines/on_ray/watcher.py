"""A run on Ray is watched from another process: Ray's core may end this one without a word. While Ray starts, it may also wait
without end and let no thread of it run.

Run as a program, this module is that process. It imports no Ray, so that it is there before Ray's first process is.
"""

import atexit
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
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
_NO_START = "Ray could not start"
_AGAIN, _STARTED, _OVER = b"again\n", b"begun\n", b"over_\n"  # of one length


@dataclass(frozen=True, kw_only=True)
class Start:
    """What is watched. needed: names of the child processes without which Ray does not start; folder: of Ray, whose disk may fill
    up; way_on: what is said last."""

    needed: Collection[str]
    folder: str
    way_on: str
    limit_seconds: float = START_SECONDS
    loss_seconds: float = LOSS_SECONDS


class Watcher:
    """The other process, as long as it lives: it may have been killed, and Ray runs all the same."""

    def __init__(self, process: "subprocess.Popen[bytes]", starting: ExitStack) -> None:
        self._process, self._starting = process, starting
        self.is_started = False

    def begin_again(self) -> None:
        """Before a second try to start Ray: deaths in the first do not count any more."""
        self._tell(_AGAIN)

    def has_started(self) -> None:
        """Ray runs; what is watched from now on is that this process does not end without a word."""
        self._starting.close()
        self.is_started = True
        self._tell(_STARTED)

    def is_over(self) -> None:
        """This process may end now."""
        self._starting.close()
        self._tell(_OVER)

    def end(self) -> None:
        """It is over, and the other process too."""
        self.is_over()
        pipe = self._process.stdin
        assert pipe is not None
        pipe.close()
        try:
            self._process.wait(timeout=_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _tell(self, word: bytes) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        with suppress(OSError):
            os.write(pipe.fileno(), word)


@contextmanager
def watched(start: Start) -> Iterator[Watcher]:
    """Where this process ends within the block, or without its exit functions after the block raised, or where Ray does not start
    in time, another one says so on stderr. A start is ended with exit code 1."""
    words = json.dumps({**asdict(start), "needed": list(start.needed), "pid": os.getpid()})
    process = subprocess.Popen(
        isolated_python(__name__, words), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
    )
    starting = ExitStack()
    watcher = Watcher(process, starting)
    starting.enter_context(_hangup_exits())
    try:
        yield watcher
    except BaseException:
        if watcher.is_started:
            # Whoever catches it has yet to say why, and Ray's core may end this process before.
            atexit.register(watcher.end)
        else:  # a start that failed in words: this process may go on for long
            watcher.end()
        raise
    watcher.end()


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
    reason, has_started = _reason_to_end(psutil.Process(pid), start)
    if has_started:
        if os.read(0, len(_OVER)) == _OVER:
            return
        reason = f"this run was ended by Ray's core, or from outside{_logs(start, pid)}"
    if reason is None:
        return
    with suppress(OSError):
        if shutil.disk_usage(start.folder).free < _FULL_BYTES:
            what = "Ray was lost" if has_started else _NO_START
            full = f"the disk of its folder {start.folder} is full"
            reason = f"{what}: {full}. Make room there, or name another one in RAY_TMPDIR"
    with suppress(OSError):  # the terminal may be gone
        sys.stderr.write(f"error: {reason}. {start.way_on}\n")
        sys.stderr.flush()
    if has_started:
        return
    for number in (signal.SIGHUP, signal.SIGKILL):
        with suppress(OSError):
            os.kill(pid, number)
        if select.select([0], [], [], _EXIT_SECONDS)[0]:
            return


def _reason_to_end(process: psutil.Process, start: Start) -> tuple[str | None, bool]:
    """Waits for the start. None where Ray has started, or has failed in words; and whether it has started."""
    began = time.monotonic()
    of_first_try: set[psutil.Process] = set()
    found_dead: dict[psutil.Process, float] = {}  # to when
    while True:
        if select.select([0], [], [], _POLL_SECONDS)[0]:
            word = os.read(0, len(_AGAIN))
            if word != _AGAIN:
                reason = None if word else f"{_NO_START}: it ended this process, or somebody else did"
                return reason, word == _STARTED
            of_first_try.update(_dead_children(process, start.needed))
        now = time.monotonic()
        for child in _dead_children(process, start.needed):
            if child not in of_first_try and now - found_dead.setdefault(child, now) > start.loss_seconds:
                how = f"its {child.name()} was killed, or ended by itself{_logs(start, process.pid)}"
                return f"{_NO_START}: {how}", False
        if now - began > start.limit_seconds:
            return f"{_NO_START}: it took more than {start.limit_seconds:.0f} s", False


def _logs(start: Start, pid: int) -> str:
    """Where the logs are of a Ray that a process started, as the end of a sentence."""
    sessions = sorted(Path(start.folder).glob(f"session_*_{pid}"))
    return f"; Ray's logs are in {sessions[-1] / 'logs'}" if sessions else ""


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
