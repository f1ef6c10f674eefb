"""Pictures that no sample needs, and that no needed picture refers to, are not decoded: half of the work and more where a video
has B-frames, short groups of pictures, or nothing but key frames."""

import heapq
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from av.packet import Packet
from av.video.stream import VideoStream

from nrray.decode.references import PictureHeader, Role, header_reader, is_intra_only
from nrray.decode.selection import rounded_us
from nrray.decode.source import OpenedVideo

# Their packets carry the time at which a picture is shown; AVI has the order of decoding alone.
TIMED_CONTAINERS = frozenset({"mov", "matroska", "mpegts", "flv"})
_PROGRESSIVE = (0, 1)  # AVFieldOrder: unknown, progressive
# A picture is followed in time by one of the next so many packets: H.264 and HEVC reorder at most 16.
_REORDERED_PACKETS = 17
# So many packets further, a needed picture is looked for before one is taken to be of no use to any.
_SEARCHED_PACKETS = 32


class SkippingError(Exception):
    """The decoded pictures are not those that the packets announced: every picture has to be decoded."""


def can_skip(opened: OpenedVideo) -> bool:
    """Whether packets tell what their pictures are to others, and when they are shown."""
    stream = opened.stream
    is_timed = opened.container.format.name.split(",")[0] in TIMED_CONTAINERS or is_intra_only(stream)
    is_progressive = stream.codec_context.field_order in _PROGRESSIVE  # interlaced pictures need their neighbours
    return is_timed and is_progressive and header_reader(stream) is not None


@dataclass(kw_only=True)
class _Waiting:
    """A packet that was read ahead. is_needed: by a sample; None until the picture that is shown next is known."""

    packet: "Packet[VideoStream]"
    pts: int | None  # None of the packet without content that ends a stream
    time_us: int
    header: PictureHeader
    is_needed: bool | None = None


class Skipper:
    """Reads packets some way ahead, so that it is known which picture each sample needs before it is decoded."""

    def __init__(self, opened: OpenedVideo, sample_us: list[int]) -> None:
        assert opened.stream.time_base is not None  # opened_video refuses others
        self._time_base = opened.stream.time_base
        read_header = header_reader(opened.stream)
        assert read_header is not None  # can_skip says so
        self._read_header = read_header
        self._reordered = 1 if is_intra_only(opened.stream) else _REORDERED_PACKETS
        self._searched = 0 if is_intra_only(opened.stream) else _SEARCHED_PACKETS
        self._samples = sample_us
        self._known_us: list[int] = []  # when the pictures of all packets so far are shown, rising
        self._ahead: deque[_Waiting] = deque()
        self._entry_pts: int | None = None  # of the last entry that left `_ahead`
        self._unneeded: list[int] = []  # PTS of pictures that come out only if others refer to them, a heap
        self._has_begun = False

    def wants(self, sample_us: list[int]) -> None:
        """Go on for other samples: those before the last picture that came out are served."""
        self._samples = sample_us
        for waiting in self._ahead:
            if waiting.is_needed is not None:
                waiting.is_needed = self._is_needed(waiting)

    def packets(self, packets: Iterator["Packet[VideoStream]"]) -> Iterator["Packet[VideoStream]"]:
        """Those that are to be decoded. Raises SkippingError for a packet without PTS."""
        ahead = self._ahead
        for packet in packets:
            ahead.append(self._waiting(packet))
            if len(ahead) > self._reordered:
                decided = ahead[-1 - self._reordered]
                decided.is_needed = self._is_needed(decided)
            if len(ahead) > self._reordered + self._searched:
                yield from self._next()
        for waiting in ahead:
            waiting.is_needed = self._is_needed(waiting)
        while ahead:
            yield from self._next()

    def passed_over(self, pts: int) -> list[int]:
        """PTS of the skipped pictures before the decoded one at `pts`; each is returned once."""
        self._has_begun = True
        passed = []
        while self._unneeded and self._unneeded[0] <= pts:
            passed.append(heapq.heappop(self._unneeded))
        return [before for before in passed if before < pts]

    def finish(self) -> None:
        """No picture follows. Raises SkippingError where the packets announced more."""
        if self._unneeded:
            raise SkippingError("the last pictures did not come out")

    def _waiting(self, packet: "Packet[VideoStream]") -> _Waiting:
        if not packet.size:
            return _Waiting(packet=packet, pts=None, time_us=0, header=PictureHeader(role=Role.REFERENCE))
        if packet.pts is None:
            raise SkippingError("a packet has no presentation time")
        header = self._read_header(bytes(packet))
        if header is None:
            raise SkippingError("a packet does not say what its picture is to others")
        time_us = rounded_us(packet.pts, self._time_base)
        insort(self._known_us, time_us)
        return _Waiting(packet=packet, pts=packet.pts, time_us=time_us, header=header)

    def _next(self) -> Iterator["Packet[VideoStream]"]:
        """The packet that was read first, if it is to be decoded."""
        waiting = self._ahead.popleft()
        if waiting.header.role is Role.ENTRY:
            self._entry_pts = waiting.pts
        # The first decoded picture serves all samples before it, whatever time its packet has.
        if waiting.is_needed or not self._has_begun or waiting.pts is None:
            yield waiting.packet
            return
        heapq.heappush(self._unneeded, waiting.pts)
        if waiting.header.role is not Role.LEAF and self._may_be_used(waiting):
            yield waiting.packet

    def _may_be_used(self, waiting: _Waiting) -> bool:
        """Whether a needed picture may refer to this one, by way of others."""
        assert waiting.pts is not None
        before = self._entry_pts if waiting.header.role is not Role.ENTRY else None
        is_leading = before is not None and waiting.pts < before
        entry_pts = before if is_leading else None  # then pictures shown later refer to nothing so early
        for other in self._ahead:
            if other.is_needed is None or other.pts is None:
                return True
            if entry_pts is not None and other.pts > entry_pts:
                return False
            if other.header.role is Role.ENTRY:
                entry_pts = other.pts
            elif other.is_needed:
                return True
        return True

    def _is_needed(self, waiting: _Waiting) -> bool:
        if waiting.pts is None or waiting.packet.is_discard or waiting.header.has_settings:
            return True
        following = bisect_right(self._known_us, waiting.time_us)
        if following == len(self._known_us):
            return True  # the last one
        sample = bisect_left(self._samples, waiting.time_us)
        # A request that goes on may want what is behind the last sample.
        return sample == len(self._samples) or self._samples[sample] < self._known_us[following]
