"""An open video whose pictures come out one after the other, each with its time; where one request ends, the next can go on."""

import heapq
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack

import av
import av.error
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from nrray.decode.container_damage import ContainerDamage
from nrray.decode.display_order import DisplayOrder
from nrray.decode.forward_pass import MAX_REORDERED_FRAMES, ForwardPass, Picture
from nrray.decode.packets import read_packets
from nrray.decode.parameter_sets import allows_gaps
from nrray.decode.request import DecodeConfig, FrameRequest
from nrray.decode.seeking import rewind, seek, start_us
from nrray.decode.selection import bridged_us, rounded_us
from nrray.decode.skipping import TIMED_CONTAINERS, Skipper, SkippingError, can_skip
from nrray.decode.soundness import (
    Message,
    Soundness,
    lost_packets,
    lost_references,
    misfits,
    overread_settings,
    told_damage,
)
from nrray.decode.source import demuxed, opened_video, require_clear, require_scanned
from nrray.decode.strict_decoder import drained, strict_decoder
from nrray.errors import DecodeError, ErrorKind
from nrray.types import US_PER_SECOND, ClockKind

# Packets that cannot even be read, one after the other, before the file is taken to end there.
_MAX_READ_ERRORS = 64


class Reading:
    """One pass of a decoder over a file, from its start or from where a seek arrives; requests in a row share it."""

    def __init__(
        self, request: FrameRequest, config: DecodeConfig, *, seek_us: int | None, sorts_times: bool, skips: bool
    ) -> None:
        """Opens the file; a seek to its start or before is none. Raises DecodeError."""
        self.request, self.config = request, config
        self.seek_us = seek_us
        self.has_ended = False
        self.messages: list[Message] = []
        self._stack = ExitStack()
        try:
            self._opened = self._stack.enter_context(opened_video(request.uri, config))
            require_scanned(request, config, stream_index=self._opened.stream.index)
            self._decoder = strict_decoder(self._opened)
            self._decoder.copy_opaque = True
            self._times = None if _has_own_times(request) else _times_of_packets(request, config)
            is_plain = request.clock in (ClockKind.STEADY, ClockKind.UNCHECKED) and not sorts_times
            time_base = self._opened.stream.time_base
            assert time_base is not None  # opened_video refuses others
            self._time_base = time_base
            if seek_us is not None and seek_us <= start_us(self._opened):
                self.seek_us = None
            self._container = ContainerDamage(request, config, container=self._opened.container.format.name)
            self._stack.callback(self._container.close)
            samples = request.sample_us.tolist()
            self._skipper = Skipper(self._opened, samples) if skips and is_plain and can_skip(self._opened) else None
            self.soundness = Soundness()
            self.forward = ForwardPass(
                request=request,
                claimed_fps=float(self._opened.stream.average_rate or 0),
                soundness=self.soundness,
                is_strict=self._skipper is not None,
            )
        except BaseException:
            self._stack.close()
            raise
        self._awaited: dict[int, int] = {}  # packets since damage began, and when their pictures are shown
        self._raw_number = 0
        self._stamp_us: int | None = None
        self._is_behind_gap = False
        self._is_timed = self._opened.container.format.name.split(",")[0] in TIMED_CONTAINERS
        self._is_lost = False
        self._has_decoded = False
        self._may_miss_frames = allows_gaps(self._opened.stream.codec_context)
        self._order = DisplayOrder() if self._decoder.name in ("mpeg1video", "mpeg2video") else None
        self._has_times_of_showing = False  # that are not those of decoding
        self._bridged_us = bridged_us(request.frame_interval_us or 0)
        pictures = self._pictures()
        self._ordered = _sorted_by_time(pictures, moved=self._note_moved) if sorts_times else pictures

    def close(self) -> None:
        """Close the file."""
        self._ordered.close()
        self._stack.close()

    def go_on(self, request: FrameRequest) -> None:
        """Take up a request that `forward` is followed by."""
        self.forward = self.forward.continued(request)
        if self._skipper is not None:
            self._skipper.wants(request.sample_us.tolist())

    def read(self) -> ForwardPass:
        """Decode until the samples of the request are served or the video ends; after a seek, give up at a first frame that is
        late. Raises DecodeError, TimesGoBackError, SkippingError."""
        if self.forward.is_complete:
            return self.forward
        first_us = int(self.forward.request.sample_us[0])
        for picture in self._ordered:
            forward = self.forward
            if self._skipper is not None and picture.frame.pts is not None:
                for passed in self._skipper.passed_over(picture.frame.pts):
                    if forward.pass_over(rounded_us(passed, self._time_base)):
                        self._settle_dropped(is_over=False)
            self._note_gap(picture)
            if self._is_late(picture):
                forward.dropped_us.append(picture.pts_us)
                continue
            is_complete = forward.offer(picture)
            if is_complete or (self.seek_us is not None and forward.frame_us[0] > first_us):
                self._settle_dropped(is_over=False)
                return forward
        if self._skipper is not None:
            self._skipper.finish()
        self.has_ended = True
        self._settle_dropped(is_over=True)
        self.forward.finish()
        return self.forward

    def _pictures(self) -> Generator[Picture, None, None]:
        """Pictures as the decoder gives them; damage is noted."""
        opened, codec = self._opened, self._decoder
        if self.seek_us is None:
            rewind(opened)
        elif not seek(opened, self.seek_us):
            return
        is_waiting = self.seek_us is not None
        has_begun = False
        key_us: int | None = None
        number = -1
        num_without_time = 0
        readable = self._readable_packets()
        # While it was opened, the first packets were read ahead: what was told of them then is not told again.
        self._container.told_at_opening(self.messages)
        self.messages.clear()
        for packet in readable if self._skipper is None else self._skipper.packets(readable):
            if packet.dts is not None and packet.pts != packet.dts:
                self._has_times_of_showing = True
            if packet.is_keyframe:  # asking costs a hundredth of decoding; nobody encrypts all but key frames
                require_clear(packet, self.request.uri)
            number += 1 if packet.size else 0
            is_misfit = misfits(self.messages)
            if self.messages and has_begun and (reason := self._told_of_container(packet)):
                # The container lost its place: what it took for the packet before may be none.
                self.soundness.damaged_from(max(0, number - 1))
                self.forward.note_damage(reason)
            self.messages.clear()
            if (reason := self._container.before(packet)) and has_begun:  # else it is of the header
                self.soundness.damaged_from(max(0, number - 1))
                self.forward.note_damage(reason)
            time_us = self._packet_time_us(packet, number)
            if is_waiting and packet.size:
                if not packet.is_keyframe:
                    continue
                is_waiting, key_us = False, time_us
            has_begun = has_begun or packet.is_keyframe
            if packet.is_keyframe and self.soundness.is_damaged and self.request.seekable and not self._is_lost:
                for frame in drained(codec):
                    yield from self._shown(frame, key_us=key_us)
                codec.flush_buffers()
                self.soundness.begins_anew(number)
                self._settle_dropped(is_over=True)
                key_us = time_us
                self.messages.clear()
            if has_begun and self._is_behind_restart(packet) and not packet.is_keyframe:
                self.soundness.damaged_from(number)
                self.forward.note_damage(_WITHOUT_KEY)
            if self._container.is_lost(packet):
                self._is_lost = True
                self.soundness.damaged_from(number)
            if self._order is not None and self._order.is_broken_at(bytes(packet)) and not packet.is_keyframe:
                self.soundness.damaged_from(number)
                self.forward.note_damage(_MISSING)
            if self._container.is_unsound(packet):  # which of its pictures are damaged, nobody knows
                if self._skipper is not None:
                    raise SkippingError(_MISFIT)
                self.soundness.damaged_from(number)
            if reason := _MISFIT if is_misfit else self._container.at_end() if not packet.size else "":
                self.soundness.damaged_from(number)
                self.forward.note_damage(reason)
            packet.opaque = number
            is_leading = key_us is not None and time_us is not None and time_us < key_us
            frames, reason = self._decoded(packet)
            if reason and has_begun and not is_leading:
                self.soundness.damaged_from(number)
                self.forward.note_damage(reason)
            if self.soundness.is_damaged and packet.size and not packet.is_discard and time_us is not None:
                self._awaited[number] = time_us
            for frame in frames:
                has_begun = True
                num_without_time += frame.pts is None
                yield from self._shown(frame, key_us=key_us)
        if num_without_time and not self.forward.frame_us:
            raise DecodeError(
                ErrorKind.UNSUPPORTED,
                f"{self.request.uri} has no presentation times (a raw stream): give its rate, "
                f"--set decode.raw_frames_per_second=25, and scan it again.",
            )

    def _told_of_container(self, packet: "Packet[VideoStream]") -> str:
        """What was said while `packet` was read."""
        if reason := told_damage(self.messages):
            return reason
        # What was lost before a key frame, nothing behind it misses.
        is_lost = not packet.is_keyframe and lost_packets(self.messages, pid=self._opened.stream.id)
        return "packets were lost" if is_lost else ""

    def _is_behind_restart(self, packet: "Packet[VideoStream]") -> bool:
        """Whether the file's clock starts again here."""
        if packet.pts is None or self.request.clock is not ClockKind.RESTARTS:
            return False
        before_us, self._stamp_us = self._stamp_us, rounded_us(packet.pts, self._time_base)
        return before_us is not None and before_us - self._stamp_us > self._bridged_us

    def _note_gap(self, picture: Picture) -> None:
        """Behind a gap longer than what one frame serves, the encoder may have started again: unless a key frame follows,
        pictures may refer to some that are not in the file."""
        before_us = self.forward.position_us
        if picture.frame.key_frame:
            if self._is_behind_gap:
                self.soundness.begins_anew(picture.number)
            self._is_behind_gap = False
        elif before_us is not None and picture.pts_us - before_us > self._bridged_us:
            self._is_behind_gap = True
            self.forward.note_damage(_WITHOUT_KEY)
        if self._is_behind_gap:
            self.soundness.damaged_from(picture.number)

    def _note_moved(self, number: int) -> None:
        """A picture came out in its turn and not at its time: in a container that has such times, one of them is damaged."""
        if self._is_timed and self._has_times_of_showing:
            self.soundness.closed.append((number, number + 1))

    def _is_late(self, picture: Picture) -> bool:
        """Whether a damaged picture comes out behind one that is shown later."""
        before_us = self.forward.position_us
        return self._is_timed and self.soundness.is_damaged and before_us is not None and picture.pts_us < before_us

    def _decoded(self, packet: "Packet[VideoStream]") -> tuple[list[VideoFrame], str]:
        """The frames that come out, and what says that the picture of the packet is damaged."""
        reason = "packets were lost" if packet.is_corrupt else ""
        frames: list[VideoFrame] = []
        try:
            frames = self._decoder.decode(packet if packet.size or packet.pts is not None else None)
        except av.error.FFmpegError as error:
            reason = error.strerror or str(error)
        if self.messages:
            reason = told_damage(self.messages) or reason
            if not self._has_decoded and (overread := overread_settings(self.messages)):
                reason, self._is_lost = overread, True  # all key frames have the same parameter sets
            if not packet.is_keyframe and not self._may_miss_frames and lost_references(self.messages):
                reason = reason or _MISSING
            self.messages.clear()
        self._has_decoded = True
        return frames, reason

    def _shown(self, frame: VideoFrame, *, key_us: int | None) -> Iterator[Picture]:
        """The picture, unless it has no time, or is shown before the key frame that the decoder began at, and so refers to
        frames that it has not seen."""
        opaque = frame.opaque
        number = opaque if isinstance(opaque, int) else -1
        self._awaited.pop(number, None)
        time_us = self._frame_time_us(frame, number)
        if time_us is None or (key_us is not None and time_us < key_us):
            return
        if frame.is_corrupt and not self.soundness.holds(number):
            self.soundness.damaged_from(number)
            self.forward.note_damage("the decoder marked pictures as corrupt")
        yield Picture(frame=frame, pts_us=time_us, number=number)

    def _packet_time_us(self, packet: "Packet[VideoStream]", number: int) -> int | None:
        if self._times is not None:
            return int(self._times[number]) if 0 <= number < len(self._times) else None
        if self.request.clock is ClockKind.NONE:
            return None
        return None if packet.pts is None else rounded_us(packet.pts, self._time_base)

    def _frame_time_us(self, frame: VideoFrame, number: int) -> int | None:
        if self.request.clock is ClockKind.NONE:
            fps = self.config.raw_frames_per_second or 25.0
            # A key frame is shown after all whose packets stand before its own: lost ones do not shift the rest.
            at = max(self._raw_number, number) if frame.key_frame else self._raw_number
            self._raw_number = at + 1
            return round(at * US_PER_SECOND / fps)
        if self._times is not None:
            time_us = int(self._times[number]) if 0 <= number < len(self._times) else _NO_TIME
            return None if time_us == _NO_TIME else time_us
        return None if frame.pts is None else rounded_us(frame.pts, self._time_base)

    def _settle_dropped(self, *, is_over: bool) -> None:
        """Note packets whose pictures did not come out: those that were overtaken, or all that wait where nothing more comes."""
        if not self._awaited:
            return
        newest = max(self._awaited)
        lost = [number for number in self._awaited if is_over or number < newest - MAX_REORDERED_FRAMES]
        self.forward.dropped_us += [self._awaited.pop(number) for number in lost]

    def _readable_packets(self) -> Iterator["Packet[VideoStream]"]:
        num_errors = 0
        has_key = False
        while num_errors < _MAX_READ_ERRORS:
            try:
                for packet in demuxed(self._opened):
                    num_errors = 0
                    if self._skipper is not None and has_key and self.messages and self._told_of_container(packet):
                        raise SkippingError("damage among packets that are read ahead: of which, is not known any more")
                    has_key = has_key or packet.is_keyframe
                    yield packet
                return
            except (av.error.FFmpegError, OSError) as error:
                num_errors += 1
                self.forward.note_damage(error.strerror or str(error))


_NO_TIME = -(1 << 62)
_MISFIT = "a part of the container is not as it says"
_MISSING = "pictures are missing that others refer to"
_WITHOUT_KEY = "no key frame follows where the recording was interrupted"


def _has_own_times(request: FrameRequest) -> bool:
    return request.clock in (ClockKind.STEADY, ClockKind.UNCHECKED, ClockKind.LOST)


def _times_of_packets(request: FrameRequest, config: DecodeConfig) -> NDArray[np.int64] | None:
    """(M,) int64 times on one line, _NO_TIME of outliers; None of a raw stream."""
    if request.clock is ClockKind.NONE:
        return None
    stamps = read_packets(request.uri, config).stamps()
    times: NDArray[np.int64] = np.where(stamps.is_outlier, _NO_TIME, stamps.time_us)
    return times


def _sorted_by_time(pictures: Iterator[Picture], *, moved: Callable[[int], None]) -> Generator[Picture, None, None]:
    waiting: deque[Picture] = deque()
    times: list[int] = []

    def next_one() -> Picture:
        first, time_us = waiting.popleft(), heapq.heappop(times)
        if time_us != first.pts_us:
            moved(first.number)
        return Picture(frame=first.frame, pts_us=time_us, number=first.number)

    for picture in pictures:
        if picture.frame.key_frame and times and max(times) < picture.pts_us:
            # A closed group ends here: times of frames that it lost must not move to frames of the next.
            while waiting:
                yield next_one()
        waiting.append(picture)
        heapq.heappush(times, picture.pts_us)
        if len(waiting) > MAX_REORDERED_FRAMES:
            yield next_one()
    while waiting:
        yield next_one()
