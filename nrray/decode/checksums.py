"""Checksums of Matroska clusters, which FFmpeg's reader passes over: a master element may begin with the CRC-32 of all that
follows in it (RFC 8794, 11.3.1)."""

import zlib
from dataclasses import dataclass
from typing import IO

_CLUSTER = b"\x1f\x43\xb6\x75"
_SEGMENT = 0x18538067
_CRC = b"\xbf\x84"  # its name, and its size of four bytes
_CRC_BYTES = 6
_MOST_HEADER_BYTES = 12  # name and size
_SEARCHED_BYTES = (1 << 16, 1 << 20, 1 << 24, 1 << 27)
_READ_BYTES = 1 << 20
_ELEMENTS_TRIED = 8


@dataclass(frozen=True, kw_only=True)
class _Element:
    """The bytes of an element: of its contents [body, end)."""

    start: int
    body: int
    end: int
    name: int


class ClusterChecksums:
    """Of one file, whose `read` and `seek` are used."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._num_bytes = file.seek(0, 2)
        self._checked: _Element | None = None
        self._is_wrong = False
        self.is_believed = self._holds_once()

    def contradict(self, byte: int) -> bool:
        """Whether `byte` lies in a cluster that its checksum does not fit, or in none of those of a file that has checksums."""
        if not self.is_believed:
            return False
        if self._checked is None or not self._checked.start <= byte < self._checked.end:
            is_first = self._checked is None
            cluster = self._cluster_around(byte)
            told = None if cluster is None else self._told(cluster)
            if is_first and told is None:
                self.is_believed = False  # clusters of this file have none
                return False
            self._checked = cluster or _Element(start=byte, body=byte, end=byte + 1, name=0)
            self._is_wrong = cluster is None or (told is not None and self._found(cluster) not in (None, told))
        return self._is_wrong

    def _holds_once(self) -> bool:
        """Whether one of the first elements fits its checksum: not all writers count as the standard does."""
        at = 0
        for _ in range(_ELEMENTS_TRIED):
            element = self._element(at)
            if element is None:
                return False
            told = self._told(element)
            if told is not None and told == self._found(element):
                return True
            at = element.body if element.name == _SEGMENT else element.end
        return False

    def _cluster_around(self, byte: int) -> _Element | None:
        searched_to = byte + len(_CLUSTER)
        for length in _SEARCHED_BYTES:
            first = max(0, byte - length)
            self._file.seek(first)
            data = self._file.read(searched_to - first)
            at = data.rfind(_CLUSTER)
            while at >= 0:
                element = self._element(first + at)
                if element is not None and element.start <= byte < element.end:
                    return element
                at = data.rfind(_CLUSTER, 0, at)
            if not first:
                break
        return None

    def _element(self, at: int) -> _Element | None:
        """RFC 8794, 4 to 6; None of one that does not say how long it is."""
        self._file.seek(at)
        head = self._file.read(_MOST_HEADER_BYTES)
        num_name = 9 - head[0].bit_length() if head else 9
        num_size = 9 - head[num_name].bit_length() if num_name < min(5, len(head)) else 9
        body = num_name + num_size
        if num_size > 8 or body > len(head):
            return None
        size = int.from_bytes(head[num_name:body], "big") & ((1 << 7 * num_size) - 1)
        name = int.from_bytes(head[:num_name], "big")
        if size == (1 << 7 * num_size) - 1:
            if name != _SEGMENT:
                return None
            size = self._num_bytes - at - body  # to the end, as in streams
        return _Element(start=at, body=at + body, end=at + body + size, name=name)

    def _told(self, element: _Element) -> int | None:
        self._file.seek(element.body)
        head = self._file.read(_CRC_BYTES)
        return int.from_bytes(head[2:], "little") if head.startswith(_CRC) and len(head) == _CRC_BYTES else None

    def _found(self, element: _Element) -> int | None:
        """None of an element that the end of the file cuts off."""
        at, crc = element.body + _CRC_BYTES, 0
        self._file.seek(at)
        while at < element.end and (data := self._file.read(min(_READ_BYTES, element.end - at))):
            crc = zlib.crc32(data, crc)
            at += len(data)
        return crc if at == element.end else None
