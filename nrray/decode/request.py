"""Requests to a decoder and its answers. Time is int64 microseconds of presentation time."""

from dataclasses import dataclass
from enum import Enum
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt

from nrray.config import Section
from nrray.types import ClockKind


class DecodeBackend(str, Enum):
    """The library that decodes. All give the same times; pixels agree within `PSNR_DB_BETWEEN_BACKENDS`."""

    PYAV = "pyav"
    DECORD = "decord"
    TORCHCODEC = "torchcodec"


DECODER_VERSION = 2  # of which frames are served: labels of two versions are not mixed


class Restarts(str, Enum):
    """What is done with a file whose clock starts again in its middle, such as several recordings joined into one."""

    UNROLL = "unroll"
    REFUSE = "refuse"


# Backends scale with different filters and chroma interpolation: measured 33 to 60 dB on smooth pictures.
PSNR_DB_BETWEEN_BACKENDS = 30.0


class DecodeConfig(Section):
    """How videos are decoded, and the limits at which a decoder is stopped."""

    backend: DecodeBackend = Field(
        default=DecodeBackend.PYAV,
        description="pyav brings its own FFmpeg; decord and torchcodec are choices that refuse more files",
    )
    timeout_seconds: float = Field(
        default=120.0, gt=0, description="wall-clock limit of one request to the decoder's process"
    )
    max_memory_mib: int = Field(
        default=2048, ge=16, description="resident memory at which the decoder's process is killed"
    )
    max_frame_pixels: int = Field(
        default=8192 * 4320, ge=256, description="width x height above which a video is refused before it is decoded"
    )
    threads: int = Field(
        default=1, ge=1, le=64, description="decoder threads; one scales best when many workers decode"
    )
    stream: Literal["best"] | NonNegativeInt = Field(
        default="best",
        description="the video stream that is decoded of files with several: the best, or its number, as scan tells it",
    )
    raw_frames_per_second: float | None = Field(
        default=None,
        gt=0,
        le=1000,
        description="rate of raw streams (.h264 and the like), which have no times of their own",
    )
    max_damaged_fraction: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="of a window's pictures, how many may be damaged: with more it fails, with fewer its coverage is degraded",
    )
    restarts: Restarts = Field(
        default=Restarts.UNROLL, description="clocks that start again in mid-file: unroll into one time line, or refuse"
    )

    @property
    def frames_identity(self) -> str:
        """All that decides which frames are served, as one text."""
        return self._text_of("stream", "raw_frames_per_second", "restarts")

    @property
    def identity(self) -> str:
        """All that decides which frames are served and which windows of them are labelled, as one text."""
        return self._text_of("stream", "raw_frames_per_second", "max_damaged_fraction", "restarts")

    def _text_of(self, *names: str) -> str:
        parts = [self.backend.value, str(DECODER_VERSION)]
        for name in names:
            if (value := getattr(self, name)) != type(self).model_fields[name].default:
                parts.append(f"{name}={value.value if isinstance(value, Enum) else value}")
        return " ".join(parts)


@dataclass(frozen=True, kw_only=True)
class FrameRequest:
    """A request for frames of one video, for one unit of work.

    uri: local path or fsspec URI; sample_us: (S,) int64 presentation times, rising; video_end_us: end of the video as
    the manifest has it; seekable: False decodes from the start, for files that seek to wrong pictures; clock: unless it is
    steady, the file is decoded from its start and its times are worked out from all of its stamps; frame_interval_us: usual
    distance of its frames, None: judged from those that are decoded; stream_index: of the video stream that all this is said of,
    None: of whichever the config chooses.
    """

    uri: str
    sample_us: NDArray[np.int64]
    width_px: int
    height_px: int
    video_end_us: int
    seekable: bool = True
    clock: ClockKind = ClockKind.STEADY
    frame_interval_us: int | None = None
    stream_index: int | None = None


@dataclass(frozen=True, kw_only=True)
class SampledFrames:
    """The N frames of one request of S samples, each once.

    pixels: (N, H, W, 3) uint8 RGB, upright; pts_us: (N,) int64, rising; frame_of_sample: (S,) int32 row in `pixels`,
    -1 where the sample has no frame; shortfall: why some samples have none, else ""; is_concealed: (N,) bool, frames that are
    damaged, or that may refer to damaged ones; is_repeated: (S,) bool, samples served by an earlier frame as theirs is damaged
    beyond showing; dropped_us: times of frames that should have been there and did not come out.
    """

    pixels: NDArray[np.uint8]
    pts_us: NDArray[np.int64]
    frame_of_sample: NDArray[np.int32]
    shortfall: str
    is_concealed: NDArray[np.bool_]
    is_repeated: NDArray[np.bool_]
    dropped_us: NDArray[np.int64]

    @property
    def is_sound(self) -> NDArray[np.bool_]:
        """(S,) bool: samples whose frame is what was filmed at their time."""
        concealed = np.append(self.is_concealed, True)[self.frame_of_sample]
        sound: NDArray[np.bool_] = ~concealed & ~self.is_repeated
        return sound


def undamaged(
    *, pixels: NDArray[np.uint8], pts_us: NDArray[np.int64], frame_of_sample: NDArray[np.int32], shortfall: str
) -> SampledFrames:
    """Frames of which no damage is known."""
    return SampledFrames(
        pixels=pixels,
        pts_us=pts_us,
        frame_of_sample=frame_of_sample,
        shortfall=shortfall,
        is_concealed=np.zeros(len(pixels), np.bool_),
        is_repeated=np.zeros(len(frame_of_sample), np.bool_),
        dropped_us=np.zeros(0, np.int64),
    )


@dataclass(frozen=True, kw_only=True)
class ProbeResult:
    """Facts of one video, from its packets and its first pictures.

    width_px, height_px: as stored, before rotation; rotation_degrees: clockwise turn that makes the picture upright
    (0, 90, 180, 270), is_mirrored: and then mirrored, left to right; start_us: time of the first picture; duration_us: to the end
    of the last one, whatever the header claims (claimed_duration_us, None where it claims nothing); nominal_fps: the header's
    frame rate, 0.0 where it has none; seekable: False where a seek gives other pictures than decoding from the start;
    field_order: `progressive`, `interlaced` or `mixed`, of the first pictures; transfer: `sdr`, `pq`, `hlg`, or `dolby vision`
    with its profile; remarks: sentences for a person, "" where there is nothing to say.
    """

    container: str
    codec: str
    pixel_format: str
    start_us: int
    duration_us: int
    claimed_duration_us: int | None
    clock: ClockKind
    nominal_fps: float
    measured_fps: float
    is_variable_fps: bool
    width_px: int
    height_px: int
    rotation_degrees: int
    is_mirrored: bool
    field_order: str
    transfer: str
    stream_index: int
    num_video_streams: int
    num_key_frames: int
    seekable: bool
    remarks: str
