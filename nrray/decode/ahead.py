"""Small reads of a large file, one behind the other."""

from typing import IO

_READ_AHEAD = 1 << 16


class Ahead:
    """Small reads of a file, most of them from one large one."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._start, self._data = 0, b""

    def read(self, at: int, size: int) -> bytes:
        """`size` bytes from byte `at` on, with zeros for those behind the end."""
        if not self._start <= at <= at + size <= self._start + len(self._data):
            self._file.seek(at)
            self._start, self._data = at, self._file.read(max(size, _READ_AHEAD))
        return self._data[at - self._start : at - self._start + size].ljust(size, b"\0")
