"""One pass forward over a video: pictures in, in order of presentation; those that samples need come out scaled."""

from bisect import bisect_left
from dataclasses import dataclass, field

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from nrray.decode.interlace import Deinterlacer
from nrray.decode.orientation import Orientation, frame_orientation
from nrray.decode.request import FrameRequest, SampledFrames
from nrray.decode.scaling import Scaler
from nrray.decode.selection import MAX_BRIDGED_US, DecodedTimes, rounded_us, serve_samples, typical_interval_us
from nrray.decode.skipping import SkippingError
from nrray.decode.soundness import Soundness, is_filler
from nrray.errors import DecodeError, ErrorKind

# H.264 and HEVC reorder at most 16 frames.
MAX_REORDERED_FRAMES = 16


class TimesGoBackError(Exception):
    """Frames came out with falling presentation times."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A decoded picture. number: of its packet, in the order of the file."""

    frame: VideoFrame
    pts_us: int
    number: int


@dataclass(kw_only=True)
class ForwardPass:
    """The state of one pass. `offer` takes pictures in order of presentation and keeps those that samples need."""

    request: FrameRequest
    claimed_fps: float
    soundness: Soundness
    is_strict: bool = False  # damage, and suspected damage, is a SkippingError
    frame_us: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)  # of packets; -1 of a picture that was passed over
    after_damage: list[bool] = field(default_factory=list)
    stop_reason: str = ""
    damage_window: int = 0  # frames still to come that damage may lie just before
    has_ended: bool = False
    dropped_us: list[int] = field(default_factory=list)  # pictures that were announced and did not come out
    fillers: set[int] = field(
        default_factory=set
    )  # decoded frames of which there is nothing but what a decoder fills in
    _rows: dict[int, int] = field(default_factory=dict)  # decoded frame -> row of _pixels
    _before: Picture | None = None
    _last: Picture | None = None
    _last_index: int = -1
    _orientation: Orientation | None = None
    _num_served: int = 0

    def __post_init__(self) -> None:
        height, width = self.request.height_px, self.request.width_px
        self._samples: list[int] = self.request.sample_us.tolist()
        self._pixels: NDArray[np.uint8] = np.empty((len(self._samples) + 1, height, width, 3), np.uint8)
        self._scaler = Scaler()
        self._deinterlacer = Deinterlacer()

    @property
    def position_us(self) -> int | None:
        """The time of the latest picture."""
        return self.frame_us[-1] if self.frame_us else None

    @property
    def is_complete(self) -> bool:
        """Whether all samples are served."""
        return self._num_served == len(self._samples)

    def follows(self, request: FrameRequest) -> bool:
        """Whether a pass for `request` can go on from here: what it wants of the time that is over was kept."""
        wanted = request.sample_us.tolist()
        if not self._samples or self.position_us is None or wanted[0] < self._samples[0]:
            return False
        over = [time for time in wanted if time < self.position_us]
        return set(over) <= set(self._samples[: self._num_served])

    def continued(self, request: FrameRequest) -> "ForwardPass":
        """A pass for `request`, which `follows` this one, with what was kept."""
        assert self.position_us is not None
        first_us = int(request.sample_us[0])
        # The frame that serves the first sample, or the last one but one, whose successor is not decided yet.
        start = max(0, min(bisect_left(self.frame_us, first_us + 1) - 1, len(self.frame_us) - 2))
        going_on = ForwardPass(
            request=request,
            claimed_fps=self.claimed_fps,
            soundness=self.soundness,
            is_strict=self.is_strict,
            frame_us=self.frame_us[start:],
            numbers=self.numbers[start:],
            after_damage=self.after_damage[start:],
            stop_reason=self.stop_reason,
            damage_window=self.damage_window,
            dropped_us=self.dropped_us,
            fillers={index - start for index in self.fillers},
            _before=self._before,
            _last=self._last,
            _last_index=self._last_index - start,
            _orientation=self._orientation,
            _num_served=bisect_left(request.sample_us.tolist(), self.position_us),
        )
        going_on._scaler, going_on._deinterlacer = self._scaler, self._deinterlacer
        for index, row in self._rows.items():
            if index >= start:
                going_on._pixels_of(index - start)[:] = self._pixels[row]
        return going_on

    def offer(self, picture: Picture) -> bool:
        """Take the next picture; True when all samples are served. Raises TimesGoBackError, SkippingError."""
        if not self._is_later(picture.pts_us, number=picture.number):
            return False
        self._serve_before(picture.pts_us, first=picture)
        self._before = self._last
        self._last, self._last_index = picture, len(self.frame_us) - 1
        return self.is_complete

    def pass_over(self, pts_us: int) -> bool:
        """Note that the next frame was not decoded, as no sample needs it; True when all samples are served. Raises
        TimesGoBackError, SkippingError."""
        if self._is_later(pts_us, number=-1):
            self._serve_before(pts_us, first=None)
        return self.is_complete

    def note_damage(self, reason: str) -> None:
        """Pictures are damaged, near the latest one: decoding has another order than showing. Raises SkippingError in a strict
        pass."""
        if self.is_strict:
            raise SkippingError(reason)
        self.damage_window = MAX_REORDERED_FRAMES + 1
        # A picture that was lost may have been shown before others that the decoder has given out already.
        count = min(len(self.after_damage), MAX_REORDERED_FRAMES)
        self.after_damage[len(self.after_damage) - count :] = [True] * count
        self.stop_reason = reason

    def finish(self) -> None:
        """No frame follows: the last one serves the samples that are left."""
        self.has_ended = True
        if self._last is not None and not self.is_complete:
            self._keep(self._last, len(self.frame_us) - 1, after=None)

    def sampled_frames(self) -> SampledFrames:
        """The result. Raises DecodeError DECODE_FAILED or NO_FRAMES when not one sample has a frame, SkippingError where a
        strict pass lacks any."""
        frame_us = np.array(self.frame_us, np.int64)
        interval_us = self.request.frame_interval_us or typical_interval_us(frame_us, claimed_fps=self.claimed_fps)
        times = DecodedTimes(
            frame_us=frame_us,
            after_damage=np.array(self.after_damage, np.bool_),
            interval_us=interval_us,
            last_duration_us=self._duration_us(self._last),
            stop_reason=self.stop_reason,
            ends_damaged=self.has_ended and self.damage_window > 0,
        )
        service = serve_samples(times, sample_us=self.request.sample_us, video_end_us=self.request.video_end_us)
        if self.is_strict and service.is_short_by_damage:
            raise SkippingError(service.shortfall)
        used = np.unique(service.frame_of_sample[service.frame_of_sample >= 0])
        if not len(used):
            kind = ErrorKind.DECODE_FAILED if self.stop_reason or self.frame_us else ErrorKind.NO_FRAMES
            reason = f" ({self.stop_reason})" if self.stop_reason and not self.frame_us else ""
            raise DecodeError(kind, f"{self.request.uri}: {service.shortfall}{reason}")
        rows = [self._rows[int(frame)] for frame in used]
        in_a_row = rows == list(range(rows[0], rows[0] + len(rows)))
        frame_of_sample = np.searchsorted(used, service.frame_of_sample).astype(np.int32)
        frame_of_sample[service.frame_of_sample < 0] = -1
        return SampledFrames(
            pixels=self._pixels[rows[0] : rows[-1] + 1] if in_a_row else self._pixels[rows],
            pts_us=frame_us[used],
            frame_of_sample=frame_of_sample,
            shortfall=service.shortfall,
            is_concealed=np.array(
                [int(frame) in self.fillers or self.soundness.holds(self.numbers[int(frame)]) for frame in used],
                np.bool_,
            ),
            is_repeated=service.is_repeated,
            dropped_us=np.array(sorted(self.dropped_us), np.int64),
        )

    def _is_later(self, pts_us: int, *, number: int) -> bool:
        """Whether a frame is later than the one before; if so, its time is noted. A frame at the same time is dropped."""
        if self.frame_us and pts_us <= self.frame_us[-1]:
            if pts_us == self.frame_us[-1]:
                return False
            fall = f"fall from {self.frame_us[-1] / 1e6:.3f} s to {pts_us / 1e6:.3f} s"
            raise SkippingError(fall) if self.is_strict else TimesGoBackError(fall)
        if self.is_strict and self.frame_us and pts_us - self.frame_us[-1] > MAX_BRIDGED_US:
            raise SkippingError("a hole, which may be damage")
        self.frame_us.append(pts_us)
        self.numbers.append(number)
        self.after_damage.append(self.damage_window > 0)
        self.damage_window -= 1
        return True

    def _serve_before(self, pts_us: int, *, first: Picture | None) -> None:
        """Samples before the frame at `pts_us` get the frame before it; where there is none, `first`."""
        samples = self._samples
        if self.is_complete or samples[self._num_served] >= pts_us:
            return
        index = len(self.frame_us) - 1
        if self._last is not None:
            self._keep(self._last, index - 1, after=first)
        elif first is not None:
            self._keep(first, index, after=None)
        else:
            raise SkippingError("the first picture did not come out")
        while not self.is_complete and samples[self._num_served] < pts_us:
            self._num_served += 1

    def _keep(self, picture: Picture, index: int, *, after: Picture | None) -> None:
        if index in self._rows:
            return
        if picture is self._last and index != self._last_index:
            raise SkippingError("a picture that a sample needs did not come out")
        frame = picture.frame
        if frame.interlaced_frame:
            if self.is_strict:
                raise SkippingError("an interlaced picture, which needs its neighbours")
            frame = self._deinterlacer.progressive(
                None if self._before is None else self._before.frame, frame, None if after is None else after.frame
            )
        if self._orientation is None:
            self._orientation = frame_orientation(picture.frame)
        width_px, height_px = self.request.width_px, self.request.height_px
        if self._orientation.is_transposed:
            width_px, height_px = height_px, width_px
        scaled = self._scaler.scaled_rgb(frame, width_px=width_px, height_px=height_px)
        self._pixels_of(index)[:] = self._orientation.upright(scaled)
        if is_filler(scaled):
            self.fillers.add(index)

    def _pixels_of(self, index: int) -> NDArray[np.uint8]:
        """A new row of pixels, for the decoded frame `index`."""
        row = len(self._rows)
        if row == len(self._pixels):  # frames kept for samples that this request repeats
            self._pixels = np.concatenate([self._pixels, np.empty_like(self._pixels[:8])])
        self._rows[index] = row
        pixels: NDArray[np.uint8] = self._pixels[row]
        return pixels

    @staticmethod
    def _duration_us(last: Picture | None) -> int:
        if last is None or last.frame.time_base is None:
            return 0
        return rounded_us(last.frame.duration or 0, last.frame.time_base)
