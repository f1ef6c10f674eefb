"""Ray's own processes are watched while a run goes on: where one of them ends, so does the run, in seconds and with a sentence.

Ray itself waits 15 s for its raylet and 60 s for its store of state, and then ends this process at once, without a word.
"""

import os
import shlex
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import ray
from ray._private import ray_constants, worker
from ray.exceptions import LocalRayletDiedError, RaySystemError

from nrray.errors import NrrayError, RayLostError, StorageError
from nrray.interrupts import be_interruptible, interrupt_main_thread
from nrray.pipelines.on_ray.ray_errors import errors_behind

CLUSTER_PATIENCE_SECONDS = 45.0
"""A cluster's store of state may be started again on another machine; Ray waits a minute for that."""

_POLL_SECONDS = 0.5
_GRACE_SECONDS = 8.0  # for the run to write what is pending: Ray ends this process 15 s after its raylet
_EXIT_SECONDS = 5.0  # for the process to end of itself: Ray's exit hooks may wait for those that are gone
_LATE_SECONDS = 5.0  # from Ray's own error to the end of the process that it tells of
_OF_A_LOSS = (LocalRayletDiedError, RaySystemError)  # they tell of a process of Ray's own that is gone
_FULL_BYTES = 2**20

CORE = {
    ray_constants.PROCESS_TYPE_GCS_SERVER: "gcs_server, which keeps Ray's state",
    ray_constants.PROCESS_TYPE_RAYLET: "raylet, which runs Ray's workers",
}
_REASONS = {  # as Ray's log has them
    "Too many open files": "it had too many files open: raise the limit (ulimit -n)",
    "No space left on device": "its disk was full: make room there, or name another folder in RAY_TMPDIR",
    "Cannot allocate memory": "the machine had no memory left",
}


@contextmanager
def ended_with_ray(
    loss: Callable[[], str | None],
    *,
    explained: Callable[[Exception], str | None] = lambda _: None,
    is_interrupted: Callable[[], bool] = lambda: False,
    before_exit: Callable[[], object] = lambda: None,
    grace_seconds: float = _GRACE_SECONDS,
    exit_seconds: float = _EXIT_SECONDS,
) -> Iterator[None]:
    """The block is ended where `loss` finds Ray gone, and gives the sentence that says so: as by Ctrl-C, so that pending results
    are written, then with a RayLostError. A process that has not ended the block after `grace_seconds`, or not itself
    `exit_seconds` later, is ended with the same sentence and exit code 1. Where the user has interrupted the run
    (`is_interrupted`), Ray's processes end for that reason, and nothing is said. An error of the block whose cause lies in Ray is
    told in the words of `explained`. `before_exit` is called where all has been said and this process is ended."""
    be_interruptible()
    watch = _Watch(loss, is_interrupted, before_exit, grace_seconds=grace_seconds, exit_seconds=exit_seconds)
    watch.start()
    try:
        yield
    except KeyboardInterrupt as error:
        if watch.sentence is None:
            raise
        raise RayLostError(watch.sentence) from error
    except Exception as error:  # Ray's own may come before the next look
        sentence = watch.sentence or loss() or explained(error)
        if sentence is None and any(isinstance(cause, _OF_A_LOSS) for cause in errors_behind(error)):
            sentence = watch.late_sentence()
        if sentence is None:
            raise
        raise RayLostError(sentence) from error
    finally:
        watch.end()


class _Watch(threading.Thread):
    def __init__(
        self,
        loss: Callable[[], str | None],
        is_interrupted: Callable[[], bool],
        before_exit: Callable[[], object],
        *,
        grace_seconds: float,
        exit_seconds: float,
    ) -> None:
        super().__init__(name="nrray-watch-ray", daemon=True)
        self.sentence: str | None = None
        self._loss, self._is_interrupted, self._before_exit = loss, is_interrupted, before_exit
        self._grace_seconds, self._exit_seconds = grace_seconds, exit_seconds
        self._is_over = threading.Event()
        self._owner = threading.current_thread()

    def end(self) -> None:
        self._is_over.set()

    def late_sentence(self) -> str | None:
        """The sentence, where the loss is seen within `_LATE_SECONDS`. The interrupt that comes with it is no other's."""
        until = time.monotonic() + _LATE_SECONDS
        try:
            while self.sentence is None and time.monotonic() < until:
                time.sleep(_POLL_SECONDS)
        except KeyboardInterrupt:
            if self.sentence is None:
                raise
        return self.sentence

    def run(self) -> None:
        sentence = None
        while sentence is None:
            if self._is_over.wait(_POLL_SECONDS):
                return
            sentence = self._loss()
        # One signal may have ended this process's group, all of Ray included.
        if self._is_over.wait(_POLL_SECONDS) or self._is_interrupted():
            return
        self.sentence = sentence
        if self._owner is threading.main_thread():
            interrupt_main_thread()
        if not self._is_over.wait(self._grace_seconds):
            sys.stderr.write(f"error: {sentence}\n")
        else:
            time.sleep(self._exit_seconds)
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        self._before_exit()
        os._exit(1)


def private_loss() -> str | None:
    """What became of the private instance of this process, or None while its processes live."""
    node = worker._global_node
    logs = Path(node.get_logs_dir_path())
    for kind, process in node.dead_processes():
        if kind in CORE:
            return (
                f"Ray was lost: its {CORE[kind]}, {how_it_ended(process.returncode, logs / f'{kind}.out')}. {way_on()}"
            )
    return None


class ClusterLoss:
    """Looks after a cluster: its store of state at HOST:PORT, and this machine's raylet at a Unix socket. The state may be away
    for `patience_seconds`."""

    def __init__(
        self, *, gcs_address: str, raylet_socket: str, logs: Path, patience_seconds: float = CLUSTER_PATIENCE_SECONDS
    ) -> None:
        host, _, port = gcs_address.rpartition(":")
        self._gcs, self._raylet, self._logs = (host.strip("[]"), int(port)), raylet_socket, logs
        self._patience_seconds = patience_seconds
        self._answered = time.monotonic()

    @classmethod
    def of_connection(cls) -> "ClusterLoss":
        """Of the cluster that this process is connected to."""
        node = worker._global_node
        return cls(
            gcs_address=ray.get_runtime_context().gcs_address,
            raylet_socket=str(node.raylet_socket_name),
            logs=Path(node.get_logs_dir_path()),
        )

    def __call__(self) -> str | None:
        """What became of it, or None while it answers."""
        if not _answers(socket.AF_UNIX, self._raylet):
            return (
                f"Ray was lost: the raylet of this machine, which runs Ray's workers here, does not answer any more. Its log is "
                f"{self._logs / 'raylet.out'}; start the node again. {way_on()}"
            )
        if _answers(socket.AF_INET6 if ":" in self._gcs[0] else socket.AF_INET, self._gcs):
            self._answered = time.monotonic()
        elif time.monotonic() - self._answered > self._patience_seconds:
            return (
                f"Ray was lost: the head of the cluster at {self._gcs[0]}:{self._gcs[1]} did not answer for "
                f"{self._patience_seconds:.0f} s. Start the cluster again. {way_on()}"
            )
        return None


def full_disk(error: Exception) -> str | None:
    """What there is to say of an error where the disk of Ray's folder is full; an error of storage says it itself."""
    node = worker._global_node
    folder = Path(node.get_session_dir_path())
    if isinstance(error, StorageError) or shutil.disk_usage(folder).free >= _FULL_BYTES:
        return None
    reason = str(error) if isinstance(error, NrrayError) else type(error).__name__
    return (
        f"Ray has no room: the disk of its folder {folder.parent} is full, so that no worker starts ({reason}). Make room there, "
        f"or name another folder in RAY_TMPDIR. {way_on()}"
    )


def how_it_ended(code: int, log: Path) -> str:
    """How one of Ray's processes ended, from its exit code (minus the signal that killed it), and why, from its log."""
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    said = _tail(log) + _tail(log.with_suffix(".err"))
    for words, reason in _REASONS.items():
        if words in said:
            return f"{how}: {reason}"
    if code == -signal.SIGKILL:
        free_gib = psutil.virtual_memory().available / 2**30
        return f"{how}: by somebody, or by the system where memory ran out ({free_gib:.1f} GiB are free now)"
    return f"{how}; its log is {log}"


def command_line() -> str:
    """The command that this process is, to be typed again."""
    program, *arguments = sys.argv
    path = Path(program)
    if path.name == "__main__.py":
        return shlex.join(["python", "-m", path.parent.name, *arguments])
    return shlex.join(["python", program, *arguments] if path.suffix == ".py" else [path.name, *arguments])


def way_on() -> str:
    """What a sentence about a lost Ray ends with."""
    return f"All that was written is kept; the same command goes on from there: {command_line()}"


def _tail(log: Path, num_bytes: int = 20_000) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - num_bytes))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _answers(family: socket.AddressFamily, address: str | tuple[str, int]) -> bool:
    """Whether somebody listens at an address."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(address)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:  # a machine that is gone gives no answer; a full queue of this machine's is an answer
            return family is socket.AF_UNIX
        return True
