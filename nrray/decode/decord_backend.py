"""One request with decord: frames by index, indices chosen by PTS. decord cannot tell damaged pictures from good ones
and normalizes times, so that it is only trusted where its times match the packets' own."""

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

# decord's times are float32: 0.5 ms at 2.3 hours.
_TOLERANCE_US = 1000
# Elsewhere (MPEG-TS, AVI) decord's own seeks arrive at other frames than it says.
_CONTAINERS = ("mov,mp4", "matroska")


def sample_decord_frames(request: FrameRequest, config: DecodeConfig) -> SampledFrames:
    """The frames of `request`. Raises DecodeError, UNSUPPORTED where decord is missing or gets the file wrong."""
    try:
        import decord
    except (ImportError, RuntimeError, OSError) as error:
        raise DecodeError(
            ErrorKind.UNSUPPORTED,
            f"decord cannot be used here ({_first_line(error)}): install it with pip install 'nrray[decord]' (wheels for Linux "
            f"on x86-64 only), or use decode.backend=pyav",
        ) from None
    path = local_path(request.uri)
    if path is None:
        raise _refusal(request, "reads local files only")
    index = read_stream_index(request.uri, config)
    require_scanned(request, config, stream_index=index.stream_index)
    _refuse_unsafe(index, request)
    service = serve_from_index(index, request)
    used = np.unique(service.frame_of_sample[service.frame_of_sample >= 0])
    try:
        # decord's own resize is 22 dB from a right one on coloured edges: its full pictures are scaled.
        reader = decord.VideoReader(path, num_threads=config.threads)
        frame_us = _frame_times_us(reader)
        if len(frame_us) != len(index.frame_us) or (
            np.abs(frame_us - (index.frame_us - index.frame_us[0])).max() > _TOLERANCE_US
        ):
            raise _refusal(request, "gives other frame times than the file has")
        pixels = _scaled_frames(reader, index, used, request)
    except (decord.DECORDError, RuntimeError) as error:
        raise DecodeError(ErrorKind.DECODE_FAILED, f"{request.uri}: decord: {_first_line(error)}") from None
    frame_of_sample = np.searchsorted(used, service.frame_of_sample).astype(np.int32)
    frame_of_sample[service.frame_of_sample < 0] = -1
    return undamaged(
        pixels=pixels,
        pts_us=index.frame_us[used],
        frame_of_sample=frame_of_sample,
        shortfall=service.shortfall,
    )


def _scaled_frames(
    reader: Any, index: StreamIndex, used: NDArray[np.int64], request: FrameRequest
) -> NDArray[np.uint8]:
    pixels = np.empty((len(used), request.height_px, request.width_px, 3), np.uint8)
    scaler = Scaler()
    # By index, decord counts from the key frame and so miscounts where a seek drops frames (open groups of pictures).
    position = 0
    if index.has_closed_groups and used[0] > 0:
        position = int(used[0])
        reader.seek_accurate(position)
    for row, number in enumerate(used.tolist()):
        for _ in range(number - position):
            reader.next()
        full = VideoFrame.from_ndarray(reader.next().asnumpy(), format="rgb24")
        pixels[row] = scaler.scaled_rgb(full, width_px=request.width_px, height_px=request.height_px)
        position = number + 1
    return pixels


def _frame_times_us(reader: Any) -> NDArray[np.int64]:
    stamps = reader.get_frame_timestamp(range(len(reader)))
    times: NDArray[np.int64] = np.rint(np.clip(stamps[:, 0].astype(np.float64), -1e9, 1e9) * US_PER_SECOND).astype(
        np.int64
    )
    return times


def _refuse_unsafe(index: StreamIndex, request: FrameRequest) -> None:
    if not index.container.startswith(_CONTAINERS):
        raise _refusal(request, f"seeks to wrong frames in {index.container}")
    if index.num_video_streams > 1:
        raise _refusal(request, f"has no choice among {index.num_video_streams} video streams")
    if request.clock not in (ClockKind.STEADY, ClockKind.UNCHECKED):
        raise _refusal(request, f"goes by the stamps of the file, and these are not steady ({request.clock.value})")
    if not request.seekable:
        raise _refusal(request, "always seeks, and this file seeks to wrong pictures")
    if index.orientation.is_reflection:
        raise _refusal(request, "cannot mirror")


def _refusal(request: FrameRequest, reason: str) -> DecodeError:
    return DecodeError(ErrorKind.UNSUPPORTED, f"{request.uri}: decord {reason}: use decode.backend=pyav")


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0][:200]
