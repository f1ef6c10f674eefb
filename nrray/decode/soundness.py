"""Which pictures are not what was filmed: those that the decoder concealed or could not find the references of, and those that
may refer to them. Damage goes on, in the order of decoding, until the decoder begins anew at a key frame."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import av.logging
import numpy as np
from numpy.typing import NDArray

Message = tuple[int, str, str]  # level, who, what

# What BT.601 and BT.709, limited and full range, make of 128, 128, 128 and of 0, 0, 0.
_FILLERS = ((130, 130, 130), (128, 128, 128), (0, 136, 0), (0, 77, 0), (0, 154, 0))
_FILLER_TOLERANCE = 2
_CONCEALED = re.compile(r"concealing|corrupt|damaged|invalid|missing", re.IGNORECASE)
_PLACE = re.compile(r"\bat (?:pos (?P<decimal>\d+)|0x(?P<hex>[0-9a-f]+))\b")
_OVERREAD = re.compile(r"Overread [VSP]PS")
# Errors of what says nothing of pixels.
_BESIDE_THE_PICTURE = re.compile(r"\bSEI\b|APP fields|EXIF|ICC|metadata|timecode|caption|user data", re.IGNORECASE)


@contextmanager
def captured_messages(*, of_all_threads: bool) -> Iterator[list[Message]]:
    """What FFmpeg says meanwhile; the list grows. A decoder of several threads speaks from all of them."""
    with av.logging.Capture(local=not of_all_threads) as messages:
        yield messages


def told_damage(messages: list[Message]) -> str:
    """The first message that tells of damage to pictures, "" where none does."""
    for level, _, text in messages:
        is_told = level <= av.logging.ERROR or (level <= av.logging.INFO and _CONCEALED.search(text) is not None)
        if is_told and _BESIDE_THE_PICTURE.search(text) is None:
            return text.strip()
    return ""


def misfits(messages: list[Message]) -> bool:
    """Whether a tag of FLV is not as long as what follows it says."""
    return any(text.startswith("Packet mismatch") for _, _, text in messages)


def overread_settings(messages: list[Message]) -> str:
    """What tells that parameter sets end within themselves, "" where nothing does."""
    return next((text.strip() for _, _, text in messages if _OVERREAD.match(text)), "")


def lost_packets(messages: list[Message], *, pid: int) -> bool:
    """Whether packets of the stream `pid` are missing in a transport stream (ITU-T H.222.0, 2.4.3.3: continuity_counter)."""
    return any(text.startswith(f"Continuity check failed for pid {pid} ") for _, _, text in messages)


def lost_references(messages: list[Message]) -> bool:
    """Whether pictures of H.264 are missing that others may refer to (ITU-T H.264, 7.4.3: frame_num)."""
    return any(text.startswith("Frame num gap") for _, _, text in messages)


def damaged_bytes(messages: list[Message]) -> list[int]:
    """Rising places in the file where Matroska's elements do not fit, as far as FFmpeg tells them."""
    found = (_PLACE.search(text) for level, _, text in messages if level <= av.logging.ERROR)
    return sorted(int(match["decimal"] or match["hex"], 10 if match["decimal"] else 16) for match in found if match)


def is_filler(pixels: NDArray[np.uint8]) -> bool:
    """Whether (H, W, 3) pixels are nothing but the grey or the green that decoders begin with."""
    grey_or_green = pixels[:: max(1, len(pixels) // 8), :: max(1, pixels.shape[1] // 8)].reshape(-1, 3).astype(np.int16)
    if np.abs(grey_or_green - grey_or_green[0]).max() > 2 * _FILLER_TOLERANCE:
        return False  # of several colours, as nearly all are
    return any(bool((np.abs(grey_or_green - colour) <= _FILLER_TOLERANCE).all()) for colour in _FILLERS)


@dataclass(kw_only=True)
class Soundness:
    """Damage by number of packet, in the order of decoding: spans [since, until), the last of them open until the decoder begins
    anew."""

    since: int | None = None
    closed: list[tuple[int, int]] = field(default_factory=list)

    def damaged_from(self, number: int) -> None:
        """The picture of packet `number` is damaged, and so may be all that are decoded after it."""
        self.since = number if self.since is None else min(self.since, number)

    def begins_anew(self, number: int) -> None:
        """The decoder starts at the key frame of packet `number`, with no memory of what was before."""
        if self.since is not None:
            self.closed.append((self.since, number))
        self.since = None

    @property
    def is_damaged(self) -> bool:
        """Whether pictures decoded from now on may be wrong."""
        return self.since is not None

    def holds(self, number: int) -> bool:
        """Whether the picture of packet `number` may be wrong."""
        return (self.since is not None and number >= self.since) or any(a <= number < b for a, b in self.closed)
