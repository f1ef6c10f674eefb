"""One request with torchcodec: frames by index, indices chosen by PTS and checked against the times it returns."""

from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from nrray.decode.request import DecodeConfig, FrameRequest, SampledFrames, undamaged
from nrray.decode.scaling import Scaler
from nrray.decode.source import local_path, require_scanned
from nrray.decode.stream_index import StreamIndex, read_stream_index, serve_from_index
from nrray.errors import DecodeError, ErrorKind
from nrray.types import US_PER_SECOND, ClockKind

_TOLERANCE_US = 1000
# Full-size RGB pictures in memory at a time: 16 of 1080p are 100 MB.
_BATCH_PIXELS = 16 * 1920 * 1080


def sample_torchcodec_frames(request: FrameRequest, config: DecodeConfig) -> SampledFrames:
    """The frames of `request`. Raises DecodeError, UNSUPPORTED where torchcodec is missing or gets the file wrong."""
    try:
        from torchcodec.decoders import VideoDecoder
    except (ImportError, RuntimeError, OSError) as error:
        raise _unusable(error) from None
    path = local_path(request.uri)
    if path is None:
        raise _refusal(request, "reads local files only here")
    index = read_stream_index(request.uri, config)
    require_scanned(request, config, stream_index=index.stream_index)
    _refuse_unsafe(index, request)
    service = serve_from_index(index, request)
    used = np.unique(service.frame_of_sample[service.frame_of_sample >= 0])
    try:
        decoder = VideoDecoder(
            path,
            stream_index=index.stream_index,
            dimension_order="NHWC",
            num_ffmpeg_threads=config.threads,
            seek_mode="exact",
        )
        if decoder.metadata.num_frames != len(index.frame_us):
            raise _refusal(request, f"counts {decoder.metadata.num_frames} frames instead of {len(index.frame_us)}")
        pixels = _scaled_frames(decoder, used, index.frame_us[used], request)
    except (RuntimeError, ValueError, IndexError) as error:
        if "libtorchcodec" in str(error):  # loaded with the first decoder, not with the import
            raise _unusable(error) from None
        raise DecodeError(ErrorKind.DECODE_FAILED, f"{request.uri}: torchcodec: {_first_line(error)}") from None
    frame_of_sample = np.searchsorted(used, service.frame_of_sample).astype(np.int32)
    frame_of_sample[service.frame_of_sample < 0] = -1
    return undamaged(
        pixels=pixels, pts_us=index.frame_us[used], frame_of_sample=frame_of_sample, shortfall=service.shortfall
    )


def _scaled_frames(
    decoder: Any, used: NDArray[np.int64], frame_us: NDArray[np.int64], request: FrameRequest
) -> NDArray[np.uint8]:
    # torchcodec's own resize is bilinear, down to 24 dB from bicubic on fine patterns: its full pictures are scaled.
    scaler = Scaler()
    pixels = np.empty((len(used), request.height_px, request.width_px, 3), np.uint8)
    num_per_batch = max(1, _BATCH_PIXELS // (decoder.metadata.width * decoder.metadata.height))
    for start in range(0, len(used), num_per_batch):
        batch = decoder.get_frames_at(used[start : start + num_per_batch].tolist())
        times_us = np.rint(batch.pts_seconds.numpy() * US_PER_SECOND).astype(np.int64)
        if np.abs(times_us - frame_us[start : start + num_per_batch]).max() > _TOLERANCE_US:
            raise _refusal(request, "gives other frame times than the file has")
        for row, picture in enumerate(batch.data.numpy(), start):
            full = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            pixels[row] = scaler.scaled_rgb(full, width_px=request.width_px, height_px=request.height_px)
    return pixels


def _unusable(error: BaseException) -> DecodeError:
    return DecodeError(
        ErrorKind.UNSUPPORTED,
        f"torchcodec cannot be used here ({_first_line(error)}): install it with pip install 'nrray[torchcodec]' "
        f"and FFmpeg 4 to 8 of the system (apt-get install ffmpeg), or use decode.backend=pyav",
    )


def _refuse_unsafe(index: StreamIndex, request: FrameRequest) -> None:
    if request.clock not in (ClockKind.STEADY, ClockKind.UNCHECKED):
        raise _refusal(request, f"goes by the stamps of the file, and these are not steady ({request.clock.value})")
    if not request.seekable:
        raise _refusal(request, "always seeks, and this file seeks to wrong pictures")
    if index.orientation.is_reflection:
        raise _refusal(request, "cannot mirror")


def _refusal(request: FrameRequest, reason: str) -> DecodeError:
    return DecodeError(ErrorKind.UNSUPPORTED, f"{request.uri}: torchcodec {reason}: use decode.backend=pyav")


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0][:200]
