"""One request with PyAV: one open, one seek, one forward pass, and only wanted frames are scaled, and decoded where that is
possible. Frames come out in order of presentation; damaged ones are left out, and damage is distinguished from a sparse video."""

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import av.error
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from nrray.decode.orientation import Orientation, frame_orientation
from nrray.decode.request import DecodeConfig, FrameRequest, SampledFrames
from nrray.decode.scaling import Scaler
from nrray.decode.selection import MAX_BRIDGED_US, DecodedTimes, rounded_us, serve_samples, typical_interval_us
from nrray.decode.skipping import Skipper, SkippingError, can_skip
from nrray.decode.source import OpenedVideo, demuxed, opened_video, require_clear
from nrray.errors import DecodeError, ErrorKind
from nrray.types import US_PER_SECOND

# Where a seek lands after the first sample (MPEG-TS, AVI, open groups of pictures), seek this much earlier.
_BACK_OFF_SECONDS = (0, 1, 4, 16, 64)
# H.264 and HEVC reorder at most 16 frames.
_MAX_REORDERED_FRAMES = 16
# Packets that cannot even be read, one after the other, before the file is taken to end there.
_MAX_READ_ERRORS = 64


class _TimesGoBackError(Exception):
    """Frames came out with falling presentation times."""


def sample_pyav_frames(request: FrameRequest, config: DecodeConfig) -> SampledFrames:
    """The frames of `request`. Raises DecodeError."""
    try:
        return _sampled(request, config, skips=True)
    except SkippingError:  # damage and a sparse video are distinguished only where every frame is decoded
        return _sampled(request, config, skips=False)


def _sampled(request: FrameRequest, config: DecodeConfig, *, skips: bool) -> SampledFrames:
    try:
        forward = _forward_pass(request, config, sorts_times=False, skips=skips)
    except _TimesGoBackError:
        # AVI has no presentation times: with B-frames each time is right, but on a neighbouring frame. Frames come
        # out in the right order, so that sorting their times puts them right.
        try:
            forward = _forward_pass(request, config, sorts_times=True, skips=False)
        except _TimesGoBackError as error:
            raise DecodeError(
                ErrorKind.UNSUPPORTED,
                f"{request.uri}: presentation times {error}, more than reordering explains. Remux it, for example with "
                f"ffmpeg -fflags +genpts -i IN -c copy OUT.mkv",
            ) from None
    return forward.sampled_frames()


@dataclass(kw_only=True)
class ForwardPass:
    """The state of one pass over a video. `offer` takes frames in order of presentation and keeps those that samples need."""

    request: FrameRequest
    claimed_fps: float
    is_strict: bool = False  # damage, and suspected damage, is a SkippingError
    frame_us: list[int] = field(default_factory=list)
    after_damage: list[bool] = field(default_factory=list)
    stop_reason: str = ""
    damage_window: int = 0  # frames still to come that damage may lie just before
    _rows: dict[int, int] = field(default_factory=dict)  # decoded frame -> row of _pixels
    _last: VideoFrame | None = None
    _last_index: int = -1
    _orientation: Orientation | None = None
    _num_served: int = 0

    def __post_init__(self) -> None:
        height, width = self.request.height_px, self.request.width_px
        self._samples: list[int] = self.request.sample_us.tolist()
        self._pixels = np.empty((len(self._samples) + 1, height, width, 3), np.uint8)
        self._scaler = Scaler()

    def offer(self, frame: VideoFrame, pts_us: int) -> bool:
        """Take the next frame; True when all samples are served. Raises _TimesGoBackError, SkippingError."""
        if not self._is_later(pts_us):
            return False
        self._serve_before(pts_us, first=frame)
        self._last, self._last_index = frame, len(self.frame_us) - 1
        return self._num_served == len(self._samples)

    def pass_over(self, pts_us: int) -> bool:
        """Note that the next frame was not decoded, as no sample needs it; True when all samples are served. Raises
        _TimesGoBackError, SkippingError."""
        if self._is_later(pts_us):
            self._serve_before(pts_us, first=None)
        return self._num_served == len(self._samples)

    def _is_later(self, pts_us: int) -> bool:
        """Whether a frame is later than the one before; if so, its time is noted. A frame at the same time is dropped."""
        if self.frame_us and pts_us <= self.frame_us[-1]:
            if pts_us == self.frame_us[-1]:
                return False
            fall = f"fall from {self.frame_us[-1] / 1e6:.3f} s to {pts_us / 1e6:.3f} s"
            raise SkippingError(fall) if self.is_strict else _TimesGoBackError(fall)
        if self.is_strict and self.frame_us and pts_us - self.frame_us[-1] > MAX_BRIDGED_US:
            raise SkippingError("a hole, which may be damage")
        self.frame_us.append(pts_us)
        self.after_damage.append(self.damage_window > 0)
        self.damage_window -= 1
        return True

    def _serve_before(self, pts_us: int, *, first: VideoFrame | None) -> None:
        """Samples before the frame at `pts_us` get the frame before it; where there is none, `first`."""
        samples = self._samples
        if self._num_served == len(samples) or samples[self._num_served] >= pts_us:
            return
        index = len(self.frame_us) - 1
        if self._last is not None:
            self._keep(self._last, index - 1)
        elif first is not None:
            self._keep(first, index)
        else:
            raise SkippingError("the first picture did not come out")
        while self._num_served < len(samples) and samples[self._num_served] < pts_us:
            self._num_served += 1

    def note_damage(self, reason: str) -> None:
        """A packet could not be decoded. It lies before one of the next frames, as the decoder still holds some back.
        Raises SkippingError in a strict pass."""
        if self.is_strict:
            raise SkippingError(reason)
        self.damage_window = _MAX_REORDERED_FRAMES + 1
        self.stop_reason = reason

    def finish(self) -> None:
        """No frame follows: the last one serves the samples that are left."""
        if self._last is not None and self._num_served < len(self._samples):
            self._keep(self._last, len(self.frame_us) - 1)

    def sampled_frames(self) -> SampledFrames:
        """The result. Raises DecodeError DECODE_FAILED or NO_FRAMES when not one sample has a frame, SkippingError where a
        strict pass lacks any."""
        frame_us = np.array(self.frame_us, np.int64)
        last = self._last
        duration_us = 0
        if last is not None and last.time_base is not None:
            duration_us = rounded_us(last.duration or 0, last.time_base)
        times = DecodedTimes(
            frame_us=frame_us,
            after_damage=np.array(self.after_damage, np.bool_),
            interval_us=typical_interval_us(frame_us, claimed_fps=self.claimed_fps),
            last_duration_us=duration_us,
            stop_reason=self.stop_reason,
        )
        service = serve_samples(times, sample_us=self.request.sample_us, video_end_us=self.request.video_end_us)
        if self.is_strict and service.shortfall:
            raise SkippingError(service.shortfall)
        used = np.unique(service.frame_of_sample[service.frame_of_sample >= 0])
        if not len(used):
            kind = ErrorKind.DECODE_FAILED if self.stop_reason or self.frame_us else ErrorKind.NO_FRAMES
            reason = f" ({self.stop_reason})" if self.stop_reason and not self.frame_us else ""
            raise DecodeError(kind, f"{self.request.uri}: {service.shortfall}{reason}")
        rows = [self._rows[int(frame)] for frame in used]
        whole = rows == list(range(len(rows)))
        pixels = self._pixels[: len(rows)] if whole else self._pixels[rows]
        frame_of_sample = np.searchsorted(used, service.frame_of_sample).astype(np.int32)
        frame_of_sample[service.frame_of_sample < 0] = -1
        return SampledFrames(
            pixels=pixels, pts_us=frame_us[used], frame_of_sample=frame_of_sample, shortfall=service.shortfall
        )

    def _keep(self, frame: VideoFrame, index: int) -> None:
        if index in self._rows:
            return
        if frame is self._last and index != self._last_index:
            raise SkippingError("a picture that a sample needs did not come out")
        if self._orientation is None:
            self._orientation = frame_orientation(frame)
        row = len(self._rows)
        width_px, height_px = self.request.width_px, self.request.height_px
        if self._orientation.is_transposed:
            width_px, height_px = height_px, width_px
        scaled = self._scaler.scaled_rgb(frame, width_px=width_px, height_px=height_px)
        self._pixels[row] = self._orientation.upright(scaled)
        self._rows[index] = row


def _forward_pass(request: FrameRequest, config: DecodeConfig, *, sorts_times: bool, skips: bool) -> ForwardPass:
    ways = {"sorts_times": sorts_times, "skips": skips}
    first_us = int(request.sample_us[0])
    if request.seekable:
        for seconds in _BACK_OFF_SECONDS:
            seek_us = first_us - seconds * US_PER_SECOND
            with opened_video(request.uri, config) as opened:
                if seek_us <= _start_us(opened):
                    return _decoded(opened, request, seek_us=None, **ways)
                forward = _decoded(opened, request, seek_us=seek_us, **ways)
            if forward.frame_us and forward.frame_us[0] <= first_us:
                return forward
    with opened_video(request.uri, config) as opened:
        return _decoded(opened, request, seek_us=None, **ways)


def _decoded(
    opened: OpenedVideo, request: FrameRequest, *, seek_us: int | None, sorts_times: bool, skips: bool
) -> ForwardPass:
    """Decode until the samples are served or the video ends; after a seek, give up at a first frame that is late."""
    skipper = Skipper(opened, request.sample_us.tolist()) if skips and can_skip(opened) else None
    claimed_fps = float(opened.stream.average_rate or 0)
    forward = ForwardPass(request=request, claimed_fps=claimed_fps, is_strict=skipper is not None)
    time_base = opened.stream.time_base
    assert time_base is not None  # opened_video refuses others
    first_us = int(request.sample_us[0])
    frames = _output_frames(opened, forward, uri=request.uri, seek_us=seek_us, skipper=skipper)
    ordered = _sorted_by_time(frames) if sorts_times else frames
    for frame, pts in ordered:
        for passed in skipper.passed_over(pts) if skipper is not None else ():
            if forward.pass_over(rounded_us(passed, time_base)):
                return forward
        if frame.is_corrupt:  # dropped only here: sorting needs its time
            forward.note_damage("the decoder marked pictures as corrupt")
            continue
        is_complete = forward.offer(frame, rounded_us(pts, time_base))
        if is_complete or (seek_us is not None and forward.frame_us[0] > first_us):
            return forward
    if skipper is not None:
        skipper.finish()
    forward.finish()
    return forward


def _output_frames(
    opened: OpenedVideo, forward: ForwardPass, *, uri: str, seek_us: int | None, skipper: Skipper | None
) -> Iterator[tuple[VideoFrame, int]]:
    """Frames as the decoder gives them, with their PTS; damage is noted in `forward`."""
    num_without_pts = 0
    key_pts: int | None = None
    is_waiting = seek_us is not None
    if seek_us is not None and not _seek(opened, seek_us):
        return
    packets = _readable_packets(opened, forward)
    for packet in packets if skipper is None else skipper.packets(packets):
        require_clear(packet, uri)
        if is_waiting:
            if not packet.is_keyframe:
                continue
            is_waiting, key_pts = False, packet.pts
        try:
            frames = packet.decode()
        except av.error.FFmpegError as error:
            forward.note_damage(error.strerror or str(error))
            continue
        for frame in frames:
            pts = frame.pts
            if pts is None:
                num_without_pts += 1
            elif key_pts is None or pts >= key_pts:
                # Pictures before the key frame refer to frames that the seek has skipped.
                yield frame, pts
    if num_without_pts and not forward.frame_us:
        raise DecodeError(
            ErrorKind.UNSUPPORTED, f"{uri} has no presentation times (a raw stream): put it in a container, e.g. MKV."
        )


def _readable_packets(opened: OpenedVideo, forward: ForwardPass) -> Iterator["Packet[VideoStream]"]:
    num_errors = 0
    while num_errors < _MAX_READ_ERRORS:
        try:
            for packet in demuxed(opened):
                num_errors = 0
                yield packet
            return
        except (av.error.FFmpegError, OSError) as error:
            num_errors += 1
            forward.note_damage(error.strerror or str(error))


def _sorted_by_time(frames: Iterator[tuple[VideoFrame, int]]) -> Iterator[tuple[VideoFrame, int]]:
    waiting: deque[VideoFrame] = deque()
    times: list[int] = []
    for frame, pts in frames:
        if frame.key_frame and times and max(times) < pts:
            # A closed group ends here: times of frames that it lost must not move to frames of the next.
            while waiting:
                yield waiting.popleft(), heapq.heappop(times)
        waiting.append(frame)
        heapq.heappush(times, pts)
        if len(waiting) > _MAX_REORDERED_FRAMES:
            yield waiting.popleft(), heapq.heappop(times)
    while waiting:
        yield waiting.popleft(), heapq.heappop(times)


def _seek(opened: OpenedVideo, seek_us: int) -> bool:
    assert opened.stream.time_base is not None
    # Half a tick is added so that a rounded time does not fall before the frame that it belongs to.
    ticks = int(seek_us / US_PER_SECOND / opened.stream.time_base + 0.5)
    try:
        opened.container.seek(ticks, stream=opened.stream)
    except (av.error.FFmpegError, OSError):
        return False
    return True


def _start_us(opened: OpenedVideo) -> int:
    start, time_base = opened.stream.start_time, opened.stream.time_base
    return rounded_us(start, time_base) if start is not None and time_base else 0
