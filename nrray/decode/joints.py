"""Where a second recording begins in a file of several that were joined byte by byte, in containers of which FFmpeg reads the
first alone, or the others with the parameters of the first."""

import struct
from typing import IO

from nrray.decode.ahead import Ahead
from nrray.decode.boxes import boxes

_FLV_HEADER = b"FLV\x01"
_FLV_TAG_BYTES, _FLV_LENGTH_BYTES = 11, 4  # before its data; the length behind it, and behind the header
_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067


def second_recording(file: IO[bytes], *, container: str) -> int | None:
    """The byte at which it begins, None where there is none, or where damage hides it. container: FFmpeg's name for it."""
    try:
        match container.split(",")[0]:
            case "mov":
                return _second_mp4(file)
            case "flv":
                return _second_flv(file)
            case "matroska":
                return _second_matroska(file)
    except (struct.error, ValueError):
        pass
    return None


def _second_mp4(file: IO[bytes]) -> int | None:
    """ISO/IEC 14496-12, 4.3 and 8.2.1: a file has one `ftyp`, at its beginning, and one `moov`. Old QuickTime has no `ftyp`."""
    seen: set[bytes] = set()
    begin: int | None = None  # of what may be a second recording
    start = 0
    for name, _, end in boxes(file, 0, file.seek(0, 2)):
        if name == b"moov" and name in seen and begin is not None:
            return begin
        is_second = name in seen if name == b"ftyp" else b"ftyp" not in seen and {b"moov", b"mdat"} <= seen
        if is_second and begin is None:
            begin = start
        seen.add(name)
        start = end
    return None


def _second_flv(file: IO[bytes]) -> int | None:
    """Adobe Flash Video File Format Specification 10.1, annex E: a header, then tags."""
    end = file.seek(0, 2)
    ahead = Ahead(file)
    at = int.from_bytes(ahead.read(5, 4), "big") + _FLV_LENGTH_BYTES
    while at + _FLV_TAG_BYTES <= end:
        head = ahead.read(at, 4)
        if head == _FLV_HEADER:
            return at
        at += _FLV_TAG_BYTES + int.from_bytes(head[1:], "big") + _FLV_LENGTH_BYTES
    return None


def _second_matroska(file: IO[bytes]) -> int | None:
    """RFC 8794, 4 to 6: elements of a name and a size, both of variable length; a file begins with an EBML header."""
    end = file.seek(0, 2)
    at = 0
    while at + 2 <= end:
        file.seek(at)
        head = file.read(12)
        num_name = 9 - head[0].bit_length()
        name = int.from_bytes(head[:num_name], "big")
        if name == _EBML and at > 0:
            return at
        if name not in (_EBML, _SEGMENT) and at == 0:
            return None
        num_size = 9 - head[num_name].bit_length()
        size = int.from_bytes(head[num_name : num_name + num_size], "big") & ((1 << 7 * num_size) - 1)
        if size == (1 << 7 * num_size) - 1:
            return None  # not known, as in streams: what follows belongs to it
        at += num_name + num_size + size
    return None


class Tail:
    """A file from some byte on, as a file."""

    def __init__(self, file: IO[bytes], start: int) -> None:
        self._file, self._start = file, start
        self.seek(0)

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """As of files."""
        if whence == 0:
            return self._file.seek(self._start + offset) - self._start
        return self._file.seek(offset, whence) - self._start

    def tell(self) -> int:
        """As of files."""
        return self._file.tell() - self._start
