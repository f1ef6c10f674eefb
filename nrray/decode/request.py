"""Requests to a decoder and its answers. Time is int64 microseconds of presentation time."""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nrray.config import Section


class DecodeBackend(str, Enum):
    """The library that decodes. All give the same times; pixels agree within `PSNR_DB_BETWEEN_BACKENDS`."""

    PYAV = "pyav"
    DECORD = "decord"
    TORCHCODEC = "torchcodec"


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


@dataclass(frozen=True, kw_only=True)
class FrameRequest:
    """A request for frames of one video, for one unit of work.

    uri: local path or fsspec URI; sample_us: (S,) int64 presentation times, rising; video_end_us: end of the video as
    the manifest has it; seekable: False decodes from the start, for files that seek to wrong pictures.
    """

    uri: str
    sample_us: NDArray[np.int64]
    width_px: int
    height_px: int
    video_end_us: int
    seekable: bool = True


@dataclass(frozen=True, kw_only=True)
class SampledFrames:
    """The frames of one request, each once.

    pixels: (N, H, W, 3) uint8 RGB, upright; pts_us: (N,) int64, rising; frame_of_sample: (S,) int32 row in `pixels`,
    -1 where the sample has no frame; shortfall: why some samples have none, else "".
    """

    pixels: NDArray[np.uint8]
    pts_us: NDArray[np.int64]
    frame_of_sample: NDArray[np.int32]
    shortfall: str


@dataclass(frozen=True, kw_only=True)
class ProbeResult:
    """Facts of one video, from its header and its first pictures.

    width_px, height_px: as stored, before rotation; rotation_degrees: clockwise turn that makes the picture upright
    (0, 90, 180, 270); start_us: PTS of the first picture; nominal_fps: the header's frame rate, 0.0 where it has
    none; seekable: False where a seek gives other pictures than decoding from the start.
    """

    container: str
    codec: str
    pixel_format: str
    start_us: int
    duration_us: int
    nominal_fps: float
    measured_fps: float
    is_variable_fps: bool
    width_px: int
    height_px: int
    rotation_degrees: int
    seekable: bool
