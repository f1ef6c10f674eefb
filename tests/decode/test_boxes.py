"""Encrypted tracks in MP4 boxes made by hand."""

import struct
from io import BytesIO

import pytest

from nrray.decode.boxes import has_encrypted_track


def box(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), name) + body


def large_box(name: bytes, *parts: bytes) -> bytes:
    """With its size in 64 bits."""
    body = b"".join(parts)
    return struct.pack(">I4sQ", 1, name, 16 + len(body)) + body


def last_box(name: bytes, *parts: bytes) -> bytes:
    """Of size 0: to the end of the file."""
    return struct.pack(">I4s", 0, name) + b"".join(parts)


def track(*entries: bytes) -> bytes:
    descriptions = box(b"stsd", struct.pack(">II", 0, len(entries)), *(box(name, bytes(20)) for name in entries))
    samples = box(b"stbl", box(b"stts", bytes(4)), descriptions)
    return box(b"trak", box(b"tkhd", bytes(80)), box(b"mdia", box(b"minf", samples)))


def is_encrypted(*boxes: bytes) -> bool:
    return has_encrypted_track(BytesIO(b"".join(boxes)))


@pytest.mark.parametrize("name", [b"encv", b"drmi", b"resv"])
def test_a_track_of_an_encrypted_kind_is_found(name):
    assert is_encrypted(box(b"ftyp", bytes(8)), box(b"moov", track(name)))
    assert not is_encrypted(box(b"ftyp", bytes(8)), box(b"moov", track(b"avc1")))


def test_every_track_and_every_description_is_looked_at():
    assert is_encrypted(box(b"moov", track(b"avc1"), track(b"encv")))
    assert is_encrypted(box(b"moov", track(b"avc1", b"encv")))


def test_large_boxes_and_a_last_box_without_a_size_are_read():
    assert is_encrypted(large_box(b"mdat", bytes(100)), large_box(b"moov", track(b"encv")))
    assert is_encrypted(box(b"mdat", bytes(100)), last_box(b"moov", track(b"encv")))


def test_a_name_elsewhere_is_no_description():
    assert not is_encrypted(box(b"mdat", box(b"encv", bytes(20))), box(b"moov", box(b"encv", bytes(20))))


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\x00\x00\x00",
        struct.pack(">I4s", 4, b"moov") + track(b"encv"),  # shorter than its own header
        struct.pack(">I4s", 1, b"moov") + b"\x00\x00",  # ends within its size
        box(b"moov", track(b"avc1"))[:-10],
    ],
)
def test_damaged_boxes_end_the_search(damaged):
    assert not is_encrypted(damaged)
