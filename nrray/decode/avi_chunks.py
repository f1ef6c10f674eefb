"""The chain of chunks in an AVI file. AVI dates no frame, it counts them: where the chain is broken, frames may be lost or made
up, and all later times are off by as many."""

import re
import struct
from dataclasses import dataclass
from typing import IO

from nrray.decode.ahead import Ahead

_LISTS = frozenset({b"RIFF", b"LIST"})
# Frames and sound (##dc, ##db, ##wb ...), palettes, indexes, padding.
_NAME = re.compile(
    rb"(\d\d(dc|db|wb|pc|tx|iv|sb)|ix\d\d|JUNK|junk|idx1|indx|strh|strf|strd|strn|avih|odml|dmlh|vprp|INFO|I[A-Z0-9]{3})"
)
_FRAMES = b"movi"
_INSIDE = frozenset({b"AVI ", b"AVIX", _FRAMES, b"rec "})


@dataclass(frozen=True, kw_only=True)
class Break:
    """byte: at which something else stands where a chunk should begin; is_tail: whether it is a last chunk, cut off."""

    byte: int
    is_tail: bool


def first_break(file: IO[bytes]) -> Break | None:
    """Where the chain is broken, None in a whole file."""
    end = file.seek(0, 2)
    at = 0
    has_frames = False
    head = Ahead(file)
    while at + 8 <= end:
        name, size = struct.unpack("<4sI", head.read(at, 8))
        if name in _LISTS:
            kind = head.read(at + 8, 4)
            has_frames = has_frames or kind == _FRAMES
            # What a list holds follows within it; lists of no interest are passed over.
            at += 12 if kind in _INSIDE else 8 + size + size % 2
            continue
        if _NAME.fullmatch(name) is None:
            return Break(byte=at, is_tail=False)
        if at + 8 + size > end:
            return Break(byte=at, is_tail=True)
        at += 8 + size + size % 2
    return None if has_frames else Break(byte=0, is_tail=False)
