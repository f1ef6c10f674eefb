"""Facts of one video from its header, a few hundred packets and a handful of pictures; always with PyAV."""

from dataclasses import dataclass

import av.error
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from nrray.decode.boxes import has_encrypted_track
from nrray.decode.orientation import frame_orientation
from nrray.decode.pyav_backend import sample_pyav_frames
from nrray.decode.request import DecodeConfig, FrameRequest, ProbeResult, SampledFrames
from nrray.decode.selection import rounded_us
from nrray.decode.source import OpenedVideo, demuxed, opened_bytes, opened_video, require_clear
from nrray.errors import DecodeError, ErrorKind
from nrray.types import US_PER_HOUR, US_PER_SECOND, hours_of

MAX_DURATION_US = 30 * 24 * US_PER_HOUR  # a header that says more is damaged, and its plan would fill the memory
_MAX_PACKETS = 300
_MAX_PACKETS_TO_FIRST_FRAME = 3000
_MAX_REORDERED = 16
_TAIL_US = 10 * US_PER_SECOND
# A header that claims this much more than its packets hold belongs to a file that was cut off.
_COMPLETE_US = 1 * US_PER_SECOND
_SEEK_CHECK_PX = 48
_SEEK_CHECK_SAMPLES = 4
_MAX_MEAN_DIFFERENCE = 3.0  # of 255; a right seek gives 0, a green picture about 100


@dataclass(frozen=True, kw_only=True)
class _Head:
    """The first packets and the first picture. pts_us: sorted; key_us: those of key frames."""

    first_frame: VideoFrame
    start_us: int
    pts_us: NDArray[np.int64]
    key_us: list[int]


def probe_video(uri: str, config: DecodeConfig) -> ProbeResult:
    """The facts of the video at `uri`. Raises DecodeError."""
    with opened_video(uri, config) as opened:
        if opened.container.format.name.startswith("mov"):
            with opened_bytes(uri) as file:
                if has_encrypted_track(file):
                    raise DecodeError(ErrorKind.ENCRYPTED, f"{uri} is encrypted: export it again without protection.")
        head = _head(opened, uri)
        stream, codec = opened.stream, opened.stream.codec_context
        claimed_end_us = _claimed_end_us(opened)
        is_exact = bool(stream.duration and stream.frames) or opened.container.format.name == "mpegts"
        nominal_fps = float(stream.guessed_rate or stream.average_rate or 0)
        container, codec_name = opened.container.format.name, codec.codec.canonical_name
        width_px, height_px = codec.width, codec.height
    gaps_us = np.diff(head.pts_us)
    measured_fps = float(US_PER_SECOND / gaps_us.mean()) if len(gaps_us) else nominal_fps
    interval_us = round(US_PER_SECOND / measured_fps) if measured_fps > 0 else 40_000
    end_us = claimed_end_us if is_exact and claimed_end_us else _measured_end_us(uri, config, claimed_end_us)
    end_us = max(end_us or 0, int(head.pts_us[-1]) + (0 if is_exact else interval_us), head.start_us + 1)
    if end_us - head.start_us > MAX_DURATION_US:
        hours, most = hours_of(end_us - head.start_us), hours_of(MAX_DURATION_US)
        raise DecodeError(
            ErrorKind.UNREADABLE,
            f"{uri} says that it lasts {hours:,.0f} hours, expected {most:,.0f} at most: its header is damaged. Remux it.",
        )
    return ProbeResult(
        container=container,
        codec=codec_name,
        pixel_format=head.first_frame.format.name,
        start_us=head.start_us,
        duration_us=end_us - head.start_us,
        nominal_fps=nominal_fps,
        measured_fps=measured_fps,
        is_variable_fps=_is_variable(gaps_us),
        width_px=width_px,
        height_px=height_px,
        rotation_degrees=frame_orientation(head.first_frame).clockwise_degrees,
        seekable=_is_seekable(uri, config, head, end_us=end_us, interval_us=interval_us),
    )


def _head(opened: OpenedVideo, uri: str) -> _Head:
    time_base = opened.stream.time_base
    assert time_base is not None
    pts_us: list[int] = []
    key_us: list[int] = []
    first: VideoFrame | None = None
    error_text = ""
    num_packets, has_more = 0, False
    try:
        for packet in demuxed(opened):
            require_clear(packet, uri)
            num_packets += 1
            if num_packets > (_MAX_PACKETS if first is not None else _MAX_PACKETS_TO_FIRST_FRAME):
                has_more = True
                break
            if packet.pts is not None:
                pts_us.append(rounded_us(packet.pts, time_base))
                if packet.is_keyframe:
                    key_us.append(pts_us[-1])
            if first is None:
                try:
                    frames = packet.decode()
                except av.error.FFmpegError as error:
                    error_text = error.strerror or str(error)
                    continue
                first = next((frame for frame in frames if not frame.is_corrupt), None)
    except (av.error.FFmpegError, OSError) as error:
        error_text = error.strerror or str(error)
    if first is None:
        kind = ErrorKind.DECODE_FAILED if error_text else ErrorKind.NO_FRAMES
        raise DecodeError(
            kind, f"{uri}: not one of the first {num_packets} packets gave a picture {error_text}".strip()
        )
    if first.pts is None:
        raise DecodeError(
            ErrorKind.UNSUPPORTED, f"{uri} has no presentation times (a raw stream): put it in a container, e.g. MKV."
        )
    start_us = rounded_us(first.pts, time_base)
    sorted_us = np.unique(np.array([time for time in pts_us if time >= start_us] or [start_us], np.int64))
    if has_more and len(sorted_us) > 2 * _MAX_REORDERED:
        sorted_us = sorted_us[:-_MAX_REORDERED]  # frames that belong between these are still to come
    return _Head(first_frame=first, start_us=start_us, pts_us=sorted_us, key_us=sorted(key_us))


def _is_variable(gaps_us: NDArray[np.int64]) -> bool:
    """Containers round times to a millisecond, so that gaps of a constant rate differ by up to that."""
    if not len(gaps_us):
        return False
    spread_us = float(gaps_us.max() - gaps_us.min())
    return spread_us > max(1500.0, 0.1 * float(np.median(gaps_us)))


def _claimed_end_us(opened: OpenedVideo) -> int | None:
    stream, container = opened.stream, opened.container
    assert stream.time_base is not None
    if stream.duration:
        return rounded_us((stream.start_time or 0) + stream.duration, stream.time_base)
    if container.duration and container.format.name.startswith("matroska"):
        # Writers disagree whether this counts from zero or from the first frame: the smaller cannot claim too much.
        return container.duration
    if container.duration:
        return (container.start_time or 0) + container.duration
    return None


def _measured_end_us(uri: str, config: DecodeConfig, claimed_us: int | None) -> int | None:
    """Where the last packet ends; for a file that was cut off, where its header claims to end."""
    ends: tuple[int, int] | None = None
    if claimed_us is not None:
        ends = _packet_ends_us(uri, config, from_us=max(0, claimed_us - _TAIL_US))
    if ends is None:
        ends = _packet_ends_us(uri, config, from_us=0)
    if ends is None:
        return claimed_us
    video_us, any_us = ends
    if claimed_us is not None and any_us < claimed_us - _COMPLETE_US:
        return claimed_us
    return video_us


def _packet_ends_us(uri: str, config: DecodeConfig, *, from_us: int) -> tuple[int, int] | None:
    """The latest end of a packet of the video stream and of any stream, None without video packets after `from_us`."""
    video_us, any_us = -1, -1
    with opened_video(uri, config) as opened:
        try:
            if from_us:
                opened.container.seek(from_us)
            for packet in opened.container.demux():
                if packet.pts is None or packet.stream.time_base is None:
                    continue
                end_us = rounded_us(packet.pts + (packet.duration or 0), packet.stream.time_base)
                any_us = max(any_us, end_us)
                if packet.stream.index == opened.stream.index:
                    video_us = max(video_us, end_us)
        except (av.error.FFmpegError, OSError):
            pass  # cut off or damaged: the packets before count
    return None if video_us < 0 else (video_us, any_us)


def _is_seekable(uri: str, config: DecodeConfig, head: _Head, *, end_us: int, interval_us: int) -> bool:
    """Whether decoding from a key frame gives the pictures that decoding through it gives: at the second key frame,
    in the middle and at three quarters. There are files whose seeks give green pictures without an error."""
    later_keys = [key for key in head.key_us if key > head.start_us]
    if later_keys and not _agrees(uri, config, later_keys[0], interval_us, reference_starts_at_start=True):
        return False
    times_us = [round(head.start_us + share * (end_us - head.start_us)) for share in (0.5, 0.75)]
    arrivals = {_key_frame_us(uri, config, time_us) for time_us in times_us}
    return all(
        key_us is not None
        and (key_us <= head.start_us or _agrees(uri, config, key_us, interval_us, reference_starts_at_start=False))
        for key_us in arrivals
    )


def _key_frame_us(uri: str, config: DecodeConfig, time_us: int) -> int | None:
    """The key frame at which a seek to `time_us` arrives, None where there is none."""
    with opened_video(uri, config) as opened:
        time_base = opened.stream.time_base
        assert time_base is not None
        try:
            opened.container.seek(int(time_us / US_PER_SECOND / time_base), stream=opened.stream)
            for packet in demuxed(opened):
                if packet.is_keyframe and packet.pts is not None:
                    return rounded_us(packet.pts, time_base)
        except (av.error.FFmpegError, OSError):
            return None
    return None


def _agrees(uri: str, config: DecodeConfig, key_us: int, interval_us: int, *, reference_starts_at_start: bool) -> bool:
    wanted_us = key_us + interval_us * np.arange(_SEEK_CHECK_SAMPLES, dtype=np.int64)
    try:
        direct = sample_pyav_frames(_check_request(uri, wanted_us, seekable=True), config)
    except DecodeError:
        direct = None
    try:
        # A sample just before the key frame makes the reference start one key frame earlier.
        through_us = np.concatenate([[key_us - 1], wanted_us]).astype(np.int64)
        reference = sample_pyav_frames(_check_request(uri, through_us, seekable=not reference_starts_at_start), config)
    except DecodeError:
        return True  # damaged there, however it is reached
    return direct is not None and _shows_same(direct, reference)


def _check_request(uri: str, sample_us: NDArray[np.int64], *, seekable: bool) -> FrameRequest:
    return FrameRequest(
        uri=uri,
        sample_us=sample_us,
        width_px=_SEEK_CHECK_PX,
        height_px=_SEEK_CHECK_PX,
        video_end_us=int(sample_us[-1]),
        seekable=seekable,
    )


def _shows_same(direct: SampledFrames, reference: SampledFrames) -> bool:
    for row, reference_row in zip(direct.frame_of_sample, reference.frame_of_sample[1:], strict=True):
        if (row < 0) != (reference_row < 0):
            return False
        if row < 0:
            continue
        difference = np.abs(direct.pixels[row].astype(np.int16) - reference.pixels[reference_row].astype(np.int16))
        if direct.pts_us[row] != reference.pts_us[reference_row] or difference.mean() > _MAX_MEAN_DIFFERENCE:
            return False
    return True
