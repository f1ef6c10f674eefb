"""A decoder in a process of its own: bad files hang, crash and eat memory there. Each such fault becomes a DecodeError,
and the next request gets a fresh process."""

import contextlib
import fcntl
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import IO, Any

import psutil

from nrray.decode import wire
from nrray.decode.request import DecodeConfig, FrameRequest, ProbeResult, SampledFrames
from nrray.errors import DecodeError, ErrorKind
from nrray.isolation import isolated_python

_TICK_SECONDS = 0.05
_START_SECONDS = 120.0  # imports on a cold disk
_MAX_REQUESTS_PER_CHILD = 2000  # libraries leak a little
_PIPE_BYTES = 1 << 20
_MAX_STDERR_TAIL = 1000


class _Starter:
    """The thread that starts children. The kernel kills a child when the *thread* that forked it ends, so it has to be
    one that lives as long as this process."""

    def __init__(self) -> None:
        self.renew()
        os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        self.thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="nrray-decoder-starter")


_starter = _Starter()


class GuardedDecoder:
    """`sample` and `probe` in a persistent child, with a wall-clock limit and a watch on resident memory.

    The child starts with the first request. Requests of several threads wait for each other.
    """

    def __init__(self, config: DecodeConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._child: _Child | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the live child, None where there is none."""
        child = self._child
        return child.process.pid if child is not None and child.process.poll() is None else None

    def sample(self, request: FrameRequest) -> SampledFrames:
        """The frames of `request`. Raises DecodeError."""
        header, pixels = self._ask(wire.sample_header(request, self._config), request.uri)
        return wire.sampled_frames(header, pixels)

    def probe(self, uri: str) -> ProbeResult:
        """The facts of the video at `uri`. Raises DecodeError."""
        header, _ = self._ask(wire.probe_header(uri, self._config), uri)
        return wire.probe_result(header)

    def check(self) -> None:
        """Decode a video that is made for it. Raises DecodeError where the backend does not work on this machine."""
        header, _ = self._ask(wire.check_header(self._config), f"decode.backend={self._config.backend.value}")
        wire.raise_error(header)

    def close(self) -> None:
        """End the child. Another request would start a new one."""
        with self._lock:
            self._drop()

    def __enter__(self) -> "GuardedDecoder":
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, header: dict[str, Any], uri: str) -> tuple[dict[str, Any], bytearray]:
        with self._lock:
            if self._child is not None and (
                self._child.process.poll() is not None or self._child.num_requests >= _MAX_REQUESTS_PER_CHILD
            ):
                self._drop()
            try:
                if self._child is None:
                    self._child = _Child(self._config)
                    self._child.exchange(b"", limit_seconds=_START_SECONDS)
                return self._child.exchange(wire.packed(header), limit_seconds=self._config.timeout_seconds)
            except _FaultError as fault:
                self._drop()
                raise DecodeError(fault.kind, f"{uri}: {fault}") from None
            except BaseException:
                self._drop()  # an answer may still be on its way: it must not meet the next request
                raise

    def _drop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()


class _FaultError(Exception):
    def __init__(self, kind: ErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class _Child:
    """One process and its pipes."""

    def __init__(self, config: DecodeConfig) -> None:
        self.num_requests = 0
        self._config = config
        self._stderr: IO[bytes] = tempfile.TemporaryFile("ab+")  # noqa: SIM115 (closed by kill)
        self.process: subprocess.Popen[bytes] = _starter.thread.submit(self._started).result()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._requests, self._answers = self.process.stdin.fileno(), self.process.stdout.fileno()
        self._memory = psutil.Process(self.process.pid)
        for pipe in (self._requests, self._answers):
            os.set_blocking(pipe, False)
            if sys.platform == "linux":
                with contextlib.suppress(OSError):  # above the user's limit: the default size works too
                    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def exchange(self, request: bytes, *, limit_seconds: float) -> tuple[dict[str, Any], bytearray]:
        """Send `request`, wait for the answer. Raises _FaultError."""
        self._stderr.truncate(0)
        self.num_requests += 1
        watch = _Watch(self, self._config, limit_seconds)
        left = memoryview(request)
        while left:
            watch.wait(self._requests, selectors.EVENT_WRITE)
            try:
                left = left[os.write(self._requests, left) :]
            except BrokenPipeError:
                raise self.death() from None
        num_header_bytes, num_pixel_bytes = wire.PREFIX.unpack(self._read(wire.PREFIX.size, watch))
        header: dict[str, Any] = json.loads(self._read(num_header_bytes, watch))
        return header, self._read(num_pixel_bytes, watch)

    def resident_mib(self) -> float:
        try:
            return float(self._memory.memory_info().rss) / 2**20
        except psutil.Error:
            return 0.0  # the process has ended, and the pipe reports it next

    def death(self) -> _FaultError:
        """The fault of a child whose pipe is closed."""
        try:
            code = self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            code = None
        how = "closed its pipe" if code is None else f"ended with exit code {code}"
        if code is not None and code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        return _FaultError(ErrorKind.DECODER_CRASHED, f"the decoder's process {how} on this file{self._stderr_tail()}")

    def kill(self) -> None:
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout, self._stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self.process.wait()

    def _read(self, num_bytes: int, watch: "_Watch") -> bytearray:
        data = bytearray(num_bytes)
        left = memoryview(data)
        while left:
            watch.wait(self._answers, selectors.EVENT_READ)
            try:
                count = os.readv(self._answers, [left])
            except BlockingIOError:
                continue
            if not count:
                raise self.death()
            left = left[count:]
        return data

    def _stderr_tail(self) -> str:
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - _MAX_STDERR_TAIL))
        tail = self._stderr.read().decode(errors="replace").strip()
        return f"; the end of its stderr: {tail}" if tail else ""

    def _started(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            isolated_python("nrray.decode.child"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            bufsize=0,
        )


class _Watch:
    """Waits for a pipe, within the limits of time and of the child's memory."""

    def __init__(self, child: _Child, config: DecodeConfig, limit_seconds: float) -> None:
        self._child = child
        self._config = config
        self._limit_seconds = limit_seconds
        self._start = time.monotonic()
        self._next_check = self._start

    def wait(self, pipe: int, event: int) -> None:
        """Return when `pipe` is ready. Raises _FaultError."""
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, event)
            while True:
                self._check_limits()
                if selector.select(_TICK_SECONDS):
                    return

    def _check_limits(self) -> None:
        now = time.monotonic()
        if now < self._next_check:
            return
        self._next_check = now + _TICK_SECONDS
        if now - self._start > self._limit_seconds:
            raise _FaultError(
                ErrorKind.DECODER_TIMEOUT,
                f"not decoded within {self._limit_seconds:g} s (decode.timeout_seconds)",
            )
        resident = self._child.resident_mib()
        if resident > self._config.max_memory_mib:
            raise _FaultError(
                ErrorKind.DECODER_MEMORY,
                f"the decoder took {resident:.0f} MiB of memory, more than decode.max_memory_mib = "
                f"{self._config.max_memory_mib}",
            )
