"""Every frame time of a video, read from its packets without decoding, for the backends that are asked by index."""

import contextlib
from dataclasses import dataclass

import av.error
import numpy as np
from numpy.typing import NDArray

from nrray.decode.orientation import Orientation, frame_orientation
from nrray.decode.request import DecodeConfig, FrameRequest
from nrray.decode.selection import DecodedTimes, Service, rounded_us, serve_samples, typical_interval_us
from nrray.decode.source import opened_video, require_clear
from nrray.errors import DecodeError, ErrorKind

_MAX_PACKETS_TO_FIRST_FRAME = 300


@dataclass(frozen=True, kw_only=True)
class StreamIndex:
    """frame_us: (M,) int64 PTS of all frames, rising; by the other fields a backend refuses a file."""

    frame_us: NDArray[np.int64]
    interval_us: int
    last_duration_us: int
    stream_index: int
    num_video_streams: int
    container: str
    orientation: Orientation
    bits_per_component: int
    is_full_range: bool
    color_matrix: int  # AVColorSpace: 1 BT.709, 2 untagged, 5 and 6 BT.601, 9 BT.2020
    has_closed_groups: bool  # no frame is shown before the key frame that it follows in the file
    stop_reason: str


def read_stream_index(uri: str, config: DecodeConfig) -> StreamIndex:
    """The index of the video at `uri`. Raises DecodeError, UNSUPPORTED where packets have no presentation time."""
    with opened_video(uri, config) as opened:
        stream = opened.stream
        assert stream.time_base is not None
        ticks: list[int] = []
        is_key: list[bool] = []
        last_pts, last_duration, stop_reason = -(1 << 62), 0, ""
        frame = None
        try:
            for number, packet in enumerate(opened.container.demux(stream)):
                require_clear(packet, uri)
                if frame is None and number < _MAX_PACKETS_TO_FIRST_FRAME:
                    with contextlib.suppress(av.error.FFmpegError):  # the next packet may be whole
                        frame = next(iter(packet.decode()), None)
                if not packet.size or packet.is_discard:
                    continue
                if packet.pts is None:
                    raise DecodeError(ErrorKind.UNSUPPORTED, f"{uri}: packets without presentation times")
                ticks.append(packet.pts)
                is_key.append(packet.is_keyframe)
                if packet.pts > last_pts:
                    last_pts, last_duration = packet.pts, packet.duration or 0
        except (av.error.FFmpegError, OSError) as error:
            stop_reason = error.strerror or str(error)
        if frame is None or not ticks:
            kind = ErrorKind.DECODE_FAILED if stop_reason else ErrorKind.NO_FRAMES
            raise DecodeError(kind, f"{uri}: not one picture could be decoded {stop_reason}".strip())
        frame_us = np.array([rounded_us(tick, stream.time_base) for tick in sorted(ticks)], np.int64)
        return StreamIndex(
            frame_us=frame_us,
            interval_us=typical_interval_us(frame_us, claimed_fps=float(stream.average_rate or 0)),
            last_duration_us=rounded_us(last_duration, stream.time_base),
            stream_index=stream.index,
            num_video_streams=len(opened.container.streams.video),
            container=opened.container.format.name,
            orientation=frame_orientation(frame),
            bits_per_component=max(component.bits for component in frame.format.components),
            is_full_range=frame.color_range == 2 or frame.format.name.startswith("yuvj"),
            color_matrix=int(frame.colorspace),
            has_closed_groups=_has_closed_groups(np.array(ticks, np.int64), np.array(is_key, np.bool_)),
            stop_reason=stop_reason,
        )


def _has_closed_groups(ticks: NDArray[np.int64], is_key: NDArray[np.bool_]) -> bool:
    """ticks, is_key: (M,) in the order of the file."""
    earliest_from_here = np.minimum.accumulate(ticks[::-1])[::-1]
    return bool((earliest_from_here[is_key] == ticks[is_key]).all())


def serve_from_index(index: StreamIndex, request: FrameRequest) -> Service:
    """The frame of each sample of `request`. Raises DecodeError where no sample has one."""
    times = DecodedTimes(
        frame_us=index.frame_us,
        after_damage=np.zeros(len(index.frame_us), np.bool_),
        interval_us=index.interval_us,
        last_duration_us=index.last_duration_us,
        stop_reason=index.stop_reason,
    )
    service = serve_samples(times, sample_us=request.sample_us, video_end_us=request.video_end_us)
    if (service.frame_of_sample < 0).all():
        raise DecodeError(ErrorKind.DECODE_FAILED, f"{request.uri}: {service.shortfall}")
    return service
