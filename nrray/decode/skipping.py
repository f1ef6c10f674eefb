"""Pictures that no sample needs and no other picture refers to are not decoded: half of the work where a video has B-frames.

Only H.264 marks each such picture for certain (ITU-T H.264, 7.4.1: nal_ref_idc); the similar mark of HEVC holds within one
temporal layer alone.
"""

import heapq
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterator

from av.packet import Packet
from av.video.stream import VideoStream

from nrray.decode.selection import rounded_us
from nrray.decode.source import OpenedVideo

# Their packets carry the time at which a picture is shown; AVI has the order of decoding alone.
TIMED_CONTAINERS = frozenset({"mov", "matroska", "mpegts", "flv"})
_PROGRESSIVE = (0, 1)  # AVFieldOrder: unknown, progressive
# A picture is followed in time by one of the next so many packets: H.264 reorders at most 16.
_AHEAD_PACKETS = 17


class SkippingError(Exception):
    """The decoded pictures are not those that the packets announced: every picture has to be decoded."""


def can_skip(opened: OpenedVideo) -> bool:
    """Whether the decoder can be set to skip packet by packet."""
    is_timed = opened.container.format.name.split(",")[0] in TIMED_CONTAINERS
    codec = opened.stream.codec_context
    is_progressive = codec.field_order in _PROGRESSIVE  # interlaced pictures need their neighbours
    return is_timed and codec.name == "h264" and codec.thread_count == 1 and is_progressive


class Skipper:
    """Reads packets some way ahead, so that it is known which picture each sample needs before it is decoded."""

    def __init__(self, opened: OpenedVideo, sample_us: list[int]) -> None:
        assert opened.stream.time_base is not None  # opened_video refuses others
        self._codec = opened.stream.codec_context
        self._time_base = opened.stream.time_base
        self._samples = sample_us
        self._known: list[int] = []  # PTS of packets, rising
        self._unneeded: list[int] = []  # PTS of pictures that come out only if others refer to them, a heap
        self._has_begun = False

    def wants(self, sample_us: list[int]) -> None:
        """Go on for other samples: those before the last picture that came out are served."""
        self._samples = sample_us

    def packets(self, packets: Iterator["Packet[VideoStream]"]) -> Iterator["Packet[VideoStream]"]:
        """The same packets; as each is yielded, the decoder is set to decode or to skip it. Raises SkippingError for a packet
        without PTS."""
        ahead: deque[Packet[VideoStream]] = deque()
        for packet in packets:
            if packet.pts is not None:
                insort(self._known, packet.pts)
            elif packet.size:
                raise SkippingError("a packet has no presentation time")
            ahead.append(packet)
            if len(ahead) > _AHEAD_PACKETS:
                yield self._with_skipping_set(ahead.popleft())
        while ahead:
            yield self._with_skipping_set(ahead.popleft())

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

    def _with_skipping_set(self, packet: "Packet[VideoStream]") -> "Packet[VideoStream]":
        needed = True
        # The first decoded picture serves all samples before it, whatever time its packet has.
        if self._has_begun and packet.pts is not None and not packet.is_keyframe and not packet.is_discard:
            needed = self._is_needed(packet.pts)
            if not needed:
                heapq.heappush(self._unneeded, packet.pts)
        self._codec.skip_frame = "DEFAULT" if needed else "NONREF"
        return packet

    def _is_needed(self, pts: int) -> bool:
        following = bisect_right(self._known, pts)
        if following == len(self._known):
            return True  # the last one
        span = (rounded_us(ticks, self._time_base) for ticks in (pts, self._known[following]))
        first, end = (bisect_left(self._samples, time_us) for time_us in span)
        # A request that goes on may want what is behind the last sample.
        return end > first or first == len(self._samples)
