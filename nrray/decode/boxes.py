"""MP4 boxes, as far as needed to see whether a track is encrypted. FFmpeg hides that behind the original codec."""

import struct
from collections.abc import Iterator
from typing import IO

import numpy as np

_PATH_TO_SAMPLES = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
# Boxes in and around a track's tables (ISO/IEC 14496-12, 6.2.3; QuickTime File Format, movie atoms), and those that hold others.
_HOLDERS = frozenset({b"moov", b"trak", b"edts", b"mdia", b"minf", b"stbl"})
_NAMES = _HOLDERS | frozenset(
    (
        b"mvhd tkhd elst mdhd hdlr elng vmhd smhd hmhd nmhd sthd dinf dref stsd stts ctts cslg stsc stsz stz2 stco "
        b"co64 stss stsh stps padb stdp sdtp sbgp sgpd subs saiz saio tref trgr mvex mehd trex leva udta meta iods "
        b"cprt clip crgn matt kmat load imap tapt clef prof enof gmhd gmin prfl ctab free skip wide uuid txas code "
        b"cdsc hint pssh ainf gsst tmcd tsel"
    ).split()
)
_HEAD_BYTES = 1 << 20
_ENCRYPTED_ENTRIES = frozenset({b"encv", b"drmi", b"resv"})


def has_encrypted_track(file: IO[bytes]) -> bool:
    """Whether a video sample description of the MP4 in `file` is encrypted. Damaged boxes end the search."""
    try:
        end = file.seek(0, 2)
        return any(_is_encrypted(file, start, stop) for start, stop in _descriptions(file, 0, end, 0))
    except (struct.error, ValueError):
        return False


def dolby_vision_profile(file: IO[bytes]) -> int | None:
    """The Dolby Vision profile that a configuration record in the file's head names (`dvcC`, `dvvC`, in MP4 and Matroska alike;
    Dolby Vision Streams Within the ISO Base Media File Format, 2.2), None where there is none."""
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    for name in (b"dvcC", b"dvvC"):
        at = head.find(name)
        record = head[at + 4 : at + 7]
        if at >= 0 and len(record) == 3 and record[0] in (1, 2):  # dv_version_major
            return record[2] >> 1
    return None


def contradicting_tables(file: IO[bytes]) -> str:
    """What is wrong where the tables of an MP4's track do not speak of the same number of samples (ISO/IEC 14496-12, 8.6 and
    8.7), so that times and sizes are given to the wrong ones, or where one of them has lost its name; "" where all agree."""
    try:
        end = file.seek(0, 2)
        if misnamed := _misnamed(file, 0, end, is_inside=False):
            return misnamed
        for start, stop in _tables(file, 0, end, 0):
            counts = _sample_counts(file, start, stop)
            if len(set(counts.values())) > 1:
                return ", ".join(f"{name} has {count:,} samples" for name, count in counts.items())
    except (struct.error, ValueError):
        pass
    return ""


def _misnamed(file: IO[bytes], start: int, end: int, *, is_inside: bool) -> str:
    """Of a box whose name nobody knows, and is one bit away from one that readers need; is_inside: of the index."""
    for name, body, stop in boxes(file, start, end):
        if is_inside and name not in _NAMES:
            near = next((known for known in sorted(_NAMES) if _bits_between(name, known) == 1), None)
            if near is not None:
                return f"a box is named {name.decode('latin-1')!a}, one bit away from {near.decode()!r}"
        if name in _HOLDERS and (found := _misnamed(file, body, stop, is_inside=True)):
            return found
    return ""


def _bits_between(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count()


def _tables(file: IO[bytes], start: int, end: int, depth: int) -> Iterator[tuple[int, int]]:
    for name, body, stop in boxes(file, start, end):
        if name != _PATH_TO_SAMPLES[depth]:
            continue
        if name == b"stbl":
            yield body, stop
        else:
            yield from _tables(file, body, stop, depth + 1)


def _sample_counts(file: IO[bytes], start: int, end: int) -> dict[str, int]:
    """How many samples the tables of times, of offsets of times, and of sizes have."""
    counts: dict[str, int] = {}
    for name, body, stop in boxes(file, start, end):
        if name in (b"stts", b"ctts"):
            file.seek(body + 4)  # behind version and flags
            (num_entries,) = struct.unpack(">I", file.read(4))
            runs = np.frombuffer(file.read(min(8 * num_entries, stop - body - 8)), ">u4")
            counts[name.decode()] = int(runs[::2].sum())
        elif name in (b"stsz", b"stz2"):
            file.seek(body + 8)
            (counts[name.decode()],) = struct.unpack(">I", file.read(4))
    return counts


def _descriptions(file: IO[bytes], start: int, end: int, depth: int) -> Iterator[tuple[int, int]]:
    for name, body, stop in boxes(file, start, end):
        if name != _PATH_TO_SAMPLES[depth]:
            continue
        if depth == len(_PATH_TO_SAMPLES) - 1:
            yield body, stop
        else:
            yield from _descriptions(file, body, stop, depth + 1)


def _is_encrypted(file: IO[bytes], start: int, end: int) -> bool:
    # stsd: version and flags, number of entries, then the entries as boxes
    return any(name in _ENCRYPTED_ENTRIES for name, _, _ in boxes(file, start + 8, end))


def boxes(file: IO[bytes], start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(name, start of body, end) of the boxes between `start` and `end`."""
    while start + 8 <= end:
        file.seek(start)
        size, name = struct.unpack(">I4s", file.read(8))
        body = start + 8
        if size == 1:
            (size,) = struct.unpack(">Q", file.read(8))
            body += 8
        stop = end if size == 0 else min(start + size, end)
        if stop < body:
            return
        yield name, body, stop
        start = stop
