"""The packets of MPEG transport streams (ITU-T H.222.0, 2.4.3.2): how long they are, and whether they are scrambled, which FFmpeg
hands to the decoder all the same (transport_scrambling_control)."""

from dataclasses import dataclass
from typing import IO

_SYNC, _PACKET_BYTES = 0x47, (188, 192, 204)  # plain, with a time, with a checksum
_LOOKED_AT_BYTES = 1 << 20
_MIN_IN_STEP = 5


def is_scrambled(file: IO[bytes], *, pid: int) -> bool:
    """Whether most packets of the stream `pid` near the start of `file` are scrambled."""
    file.seek(0)
    data = file.read(_LOOKED_AT_BYTES)
    step = _step(data)
    return step is not None and _is_scrambled(data, pid=pid, first=step.first, size=step.size)


def packet_bytes(file: IO[bytes]) -> int | None:
    """How long packets are, None where none are found near the start of `file`."""
    file.seek(0)
    step = _step(file.read((_MIN_IN_STEP + 1) * max(_PACKET_BYTES)))
    return None if step is None else step.size


@dataclass(frozen=True, kw_only=True)
class _Step:
    """Packets of `size` bytes from byte `first` on."""

    first: int
    size: int


def _step(data: bytes) -> _Step | None:
    for size in _PACKET_BYTES:
        for first in range(min(size, len(data))):
            if all(data[first + n * size : first + n * size + 1] == bytes([_SYNC]) for n in range(_MIN_IN_STEP)):
                return _Step(first=first, size=size)
    return None


def _is_scrambled(data: bytes, *, pid: int, first: int, size: int) -> bool:
    controls = [
        data[at + 3] >> 6
        for at in range(first, len(data) - 4, size)
        if data[at] == _SYNC and ((data[at + 1] & 0x1F) << 8 | data[at + 2]) == pid
    ]
    return len(controls) > 0 and sum(control >= 2 for control in controls) > len(controls) / 2
