"""One holder of a folder on an object store, by leases that are numbered. Knows no thread.

A lease is an object `lock`, `lock.1`, `lock.2`, ...: the highest number counts. Taking it over is making the next number, which a
store lets one alone do; renewing is writing one's own object anew, which nobody else writes. So a holder that slept while another
took over finds a higher number, whatever it wrote meanwhile. The last object stays, as released, so that numbers never fall.
"""

import json
import math
import os
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nrray.errors import OutputBusyError
from nrray.nested import json_from
from nrray.storage import Folder, storage_errors

NAME = "lock"
LEASE_SECONDS = 120.0
MARGIN = 0.1
"""Share of a lease's time by which one who takes over waits longer than the holder holds: for clocks that differ."""


def owner_text() -> str:
    """The holder of a lock, for the message that other runs get; no two are equal."""
    owner = {"host": socket.gethostname(), "pid": os.getpid(), "since_unix": time.time()}
    return json.dumps({**owner, "token": secrets.token_hex(8)})


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The lease that counts. left_seconds: until another may take it over, 0 or less where it may now."""

    number: int  # -1: there was never one
    text: str
    left_seconds: float


class Lease:
    """`take` it, `renew` it more often than it lasts, `give_back`. `wall` and `steady` are clocks in seconds."""

    def __init__(
        self,
        folder: Folder,
        *,
        lease_seconds: float = LEASE_SECONDS,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._lease_seconds = lease_seconds
        self._wall, self._steady = wall, steady
        self._number: int | None = None
        self._until = -math.inf
        self._loss: OutputBusyError | None = None

    @property
    def is_held(self) -> bool:
        """Whether this holds it, as far as it can know without asking the store."""
        return self._number is not None and self._steady() < self._until

    def take(self) -> None:
        """Raises OutputBusyError where another holds it, StorageError."""
        before = standing(self._folder, wall=self._wall)
        if before.left_seconds > 0:
            raise OutputBusyError(
                f"{self._folder} is being written by another run ({before.text}); "
                f"if that run is dead, its lease ends in {math.ceil(before.left_seconds)} s."
            )
        number, begun = before.number + 1, self._steady()
        with storage_errors(f"cannot write {self._folder.path(_name(number))}"):
            try:
                self._folder.filesystem.pipe_file(self._folder.path(_name(number)), self._text(), mode="create")
            except FileExistsError:
                raise self._overtaken() from None
        again = _standing_of(self._folder, before.number, wall=self._wall) if before.number >= 0 else before
        if again.left_seconds > 0:  # its holder renewed it in the very moment: it finds this number, and both stop
            self._write_released(number)
            raise self._overtaken()
        self._number, self._until = number, begun + self._lease_seconds
        for old in _numbers(self._folder):
            if old < number:
                self._folder.remove(_name(old))

    def renew(self) -> None:
        """Raises OutputBusyError where another took over, or this came too late, and from then on always; StorageError."""
        number, begun = self._number, self._steady()
        if self._loss is not None:
            raise self._loss
        if number is None:
            return
        if not self.is_held:
            raise self._lost(
                f"{self._folder}: this run could not renew its lease for {self._lease_seconds:g} s, so that another may have "
                f"taken the output over; this run stops. Run the same command again: what it has not written is done again."
            )
        self._folder.write_bytes(_name(number), self._text())
        if max(_numbers(self._folder), default=-1) != number:
            raise self._lost(
                f"{self._folder}: another run has taken this output over; this run stops. Watch the other with "
                f"`nrray status {self._folder}`; what this run has not written is done again."
            )
        self._until = begun + self._lease_seconds

    def give_back(self) -> None:
        """Let others take it at once. One that is another's by now stays as it is."""
        number, self._number = self._number, None
        if number is not None and max(_numbers(self._folder), default=-1) == number:
            self._write_released(number)

    def _lost(self, sentence: str) -> OutputBusyError:
        self._number, self._loss = None, OutputBusyError(sentence)
        return self._loss

    def _write_released(self, number: int) -> None:
        self._folder.write_bytes(_name(number), json.dumps({"released_unix": self._wall()}).encode())

    def _text(self) -> bytes:
        stated = {"since_unix": self._wall(), "lease_seconds": self._lease_seconds, **_process()}
        return json.dumps({**json.loads(owner_text()), **stated}).encode()

    def _overtaken(self) -> OutputBusyError:
        return OutputBusyError(f"{self._folder} was taken over by another run at the same moment.")


def standing(folder: Folder, *, wall: Callable[[], float] = time.time) -> Standing:
    """The lease that counts now, and how long it stands."""
    return _standing_of(folder, max(_numbers(folder), default=-1), wall=wall)


def _standing_of(folder: Folder, number: int, *, wall: Callable[[], float]) -> Standing:
    try:
        content = folder.read_bytes(_name(number)) if number >= 0 else b""
    except FileNotFoundError:
        content = b""
    return Standing(
        number=number, text=content.decode(errors="replace"), left_seconds=_left_seconds(content, now=wall())
    )


def _left_seconds(content: bytes, *, now: float) -> float:
    """By the time that a lease states of itself; none where it cannot be read, is released, or of a process that is dead."""
    try:
        stated = json_from(content or b"")
        seconds = float(stated.get("lease_seconds", 600.0))  # of a release that did not state it
        left = float(stated["since_unix"] + seconds * (1 + MARGIN) - now)
        return -math.inf if _is_known_dead(stated) else min(left, seconds * (1 + MARGIN))  # a clock may have been ahead
    except (ValueError, KeyError, TypeError, AttributeError):
        return -math.inf


def _name(number: int) -> str:
    return NAME if number == 0 else f"{NAME}.{number}"


def _numbers(folder: Folder) -> list[int]:
    found = [name.removeprefix(NAME).removeprefix(".") for name in folder.names() if name.split(".")[0] == NAME]
    return [int(text or 0) for text in found if not text or text.isdecimal()]


def _process() -> dict[str, object]:
    """This process, so that another on the same machine can tell whether it lives."""
    return {"machine": _machine(), "started_ticks": _started_ticks(os.getpid())}


def _machine() -> str | None:
    """This boot of this machine, and the processes that can be seen from here: those of another container have ids of their own.
    None where the system does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None


def _started_ticks(pid: int) -> int | None:
    """When a process was started, in ticks since the boot, which no setting of a clock moves; None where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def _is_known_dead(stated: dict[str, object]) -> bool:
    """Whether the holder ran on this machine, and runs no more."""
    machine, pid = _machine(), stated.get("pid")
    if machine is None or stated.get("machine") != machine or not isinstance(pid, int):
        return False
    return _started_ticks(pid) != stated.get("started_ticks")
