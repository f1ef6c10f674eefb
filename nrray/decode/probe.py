"""Facts of one video from all of its packets and a handful of pictures; always with PyAV. What the header claims is only told."""

import re
from dataclasses import dataclass

import av.error
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from nrray.decode.avi_chunks import first_break
from nrray.decode.boxes import contradicting_tables, dolby_vision_profile, has_encrypted_track
from nrray.decode.joints import second_recording
from nrray.decode.orientation import frame_orientation
from nrray.decode.packets import StreamPackets, read_packets
from nrray.decode.remarks import remarks_on
from nrray.decode.request import DecodeConfig, ProbeResult, Restarts
from nrray.decode.seek_check import is_seekable
from nrray.decode.selection import bridged_us, rounded_us
from nrray.decode.source import OpenedVideo, demuxed, moving_streams, opened_bytes, opened_tail, opened_video
from nrray.decode.transport_stream import is_scrambled
from nrray.errors import DecodeError, ErrorKind
from nrray.types import US_PER_HOUR, US_PER_SECOND, ClockKind, hours_of

MAX_DURATION_US = 30 * 24 * US_PER_HOUR  # a file that says more is damaged, and its plan would fill the memory
# Of `decode.timeout_seconds`: a file that takes longer to be read through is judged by its beginning and its end.
_SHARE_FOR_READING = 0.25
_MAX_PACKETS_TO_FIRST_FRAME = 3000
_PICTURES_LOOKED_AT = 12
_TAIL_US = 10 * US_PER_SECOND
_X264_BUILD = re.compile(rb"x264 - core (\d+)")
# What these builds did to 4:4:4, decoders mend where they have seen the build, which stands in the first key frame alone.
_NEEDS_ITS_START = range(151)
# Containers whose headers say how long they last.
_CLAIMING = ("mov", "matroska", "avi", "asf", "mxf", "ogg")
_TRANSFERS = {16: "pq", 18: "hlg"}  # AVColorTransferCharacteristic: SMPTE ST 2084, ARIB STD-B67


@dataclass(frozen=True, kw_only=True)
class _Head:
    """The first pictures and what the header claims of the stream."""

    pictures: list[VideoFrame]
    first_tick_us: int | None  # None: pictures have no times
    claimed_us: int | None
    container: str
    codec: str
    nominal_fps: float
    width_px: int
    height_px: int
    stream_index: int
    other_streams: tuple[str, ...]
    encoder_build: int | None  # of x264, which tells it once


@dataclass(frozen=True, kw_only=True)
class _Time:
    """When the pictures of a file are shown."""

    start_us: int
    end_us: int
    interval_us: int
    gaps_us: NDArray[np.int64]
    clock: ClockKind


def probe_video(uri: str, config: DecodeConfig) -> ProbeResult:
    """The facts of the video at `uri`. Raises DecodeError."""
    _refuse_closed_or_contradicting(uri, config)
    _refuse_joined(uri, config)
    head = _head(uri, config)
    packets = read_packets(uri, config, limit_seconds=_SHARE_FOR_READING * config.timeout_seconds)
    time = _raw_time(uri, config, packets) if head.first_tick_us is None else _time(uri, config, head, packets)
    duration_us = time.end_us - time.start_us
    if duration_us > MAX_DURATION_US:
        hours, most = hours_of(duration_us), hours_of(MAX_DURATION_US)
        raise DecodeError(
            ErrorKind.UNREADABLE,
            f"{uri} says that it lasts {hours:,.0f} hours, expected {most:,.0f} at most: its header is damaged. Remux it.",
        )
    picture = head.pictures[0]
    orientation = frame_orientation(picture)
    may_seek = time.clock in (ClockKind.STEADY, ClockKind.UNCHECKED)
    seekable = (
        time.clock is not ClockKind.NONE
        and not (head.encoder_build in _NEEDS_ITS_START and picture.format.name.startswith("yuv444"))
        and is_seekable(uri, config, packets, start_us=time.start_us, may_seek=may_seek)
    )
    with opened_bytes(uri) as file:
        profile = dolby_vision_profile(file)
    facts = ProbeResult(
        container=head.container,
        codec=head.codec,
        pixel_format=picture.format.name,
        start_us=time.start_us,
        duration_us=duration_us,
        claimed_duration_us=head.claimed_us,
        clock=time.clock,
        nominal_fps=head.nominal_fps,
        measured_fps=US_PER_SECOND / time.interval_us if not len(time.gaps_us) else _measured_fps(time.gaps_us),
        is_variable_fps=_is_variable(time.gaps_us),
        width_px=head.width_px,
        height_px=head.height_px,
        rotation_degrees=orientation.clockwise_degrees,
        is_mirrored=orientation.is_reflection,
        field_order=_field_order(head.pictures),
        transfer=f"dolby vision {profile}" if profile is not None else _TRANSFERS.get(picture.color_trc, "sdr"),
        stream_index=head.stream_index,
        num_video_streams=1 + len(head.other_streams),
        num_key_frames=int(packets.is_key.sum()),
        seekable=seekable,
        remarks="",
    )
    return remarks_on(facts, packets, other_streams=head.other_streams, gaps_us=time.gaps_us)


def _refuse_closed_or_contradicting(uri: str, config: DecodeConfig) -> None:
    with opened_video(uri, config) as opened:
        container, stream_id = opened.container.format.name, opened.stream.id
    if not container.startswith(("mov", "mpegts")):
        return
    with opened_bytes(uri) as file:
        contradiction = contradicting_tables(file) if container.startswith("mov") else ""
        is_closed = is_scrambled(file, pid=stream_id) if container == "mpegts" else has_encrypted_track(file)
    if is_closed:
        raise DecodeError(ErrorKind.ENCRYPTED, f"{uri} is encrypted: export it again without protection.")
    if contradiction:
        raise DecodeError(
            ErrorKind.UNREADABLE,
            f"the index of {uri} contradicts itself ({contradiction}), so that its times cannot be believed. Copy it again "
            f"from its source, or give it new times: ffmpeg -i IN -c:v libx264 -crf 16 OUT.mp4",
        )


def _refuse_joined(uri: str, config: DecodeConfig) -> None:
    """Raise DecodeError where several recordings lie in the file and FFmpeg would not decode all of them rightly."""
    with opened_video(uri, config) as opened:
        container, parameters = opened.container.format.name, _parameters(opened)
    with opened_bytes(uri) as file:
        joint = second_recording(file, container=container)
    if joint is None:
        return
    problem = "and the first alone would be read"
    if container.startswith("matroska"):
        # Their clusters are read on, with the parameters of the first.
        try:
            with opened_tail(uri, config, start=joint) as opened:
                if _parameters(opened) == parameters:
                    return
        except DecodeError:
            return  # damaged: decoding tells how far
        problem = "and the second is coded otherwise than the first"
    raise DecodeError(
        ErrorKind.UNSUPPORTED,
        f"{uri} holds several recordings, joined byte by byte at byte {joint:,}, {problem}. Part them, and scan again: "
        f"head -c {joint} IN > PART1; tail -c +{joint + 1} IN > PART2",
    )


def _parameters(opened: OpenedVideo) -> tuple[str, bytes, int, int, int]:
    """All that a decoder is given but packets."""
    stream, codec = opened.stream, opened.stream.codec_context
    return codec.codec.canonical_name, codec.extradata or b"", codec.width, codec.height, stream.index


def _head(uri: str, config: DecodeConfig) -> _Head:
    with opened_video(uri, config) as opened:
        stream, codec = opened.stream, opened.stream.codec_context
        assert stream.time_base is not None  # opened_video refuses others
        pictures, encoder_build = _first_pictures(opened, uri)
        first = pictures[0].pts
        return _Head(
            pictures=pictures,
            encoder_build=encoder_build,
            first_tick_us=None if first is None else rounded_us(first, stream.time_base),
            claimed_us=_claimed_us(opened),
            container=opened.container.format.name,
            codec=codec.codec.canonical_name,
            nominal_fps=float(stream.guessed_rate or stream.average_rate or 0),
            width_px=codec.width,
            height_px=codec.height,
            stream_index=stream.index,
            other_streams=tuple(
                f"{other.index} ({other.codec_context.name if other.codec_context else 'unknown'}, {other.width}x{other.height})"
                for other in moving_streams(opened.container)
                if other.index != stream.index
            ),
        )


def _first_pictures(opened: OpenedVideo, uri: str) -> tuple[list[VideoFrame], int | None]:
    """A few pictures from the start on, and the build of x264 that made them. Raises DecodeError where there is not one."""
    pictures: list[VideoFrame] = []
    build: re.Match[bytes] | None = None
    error_text = ""
    num_packets = 0
    try:
        for packet in demuxed(opened):
            num_packets += 1
            if len(pictures) >= _PICTURES_LOOKED_AT or num_packets > _MAX_PACKETS_TO_FIRST_FRAME:
                break
            build = build or (_X264_BUILD.search(bytes(packet)) if num_packets <= _PICTURES_LOOKED_AT else None)
            try:
                pictures += packet.decode()
            except av.error.FFmpegError as error:
                error_text = error.strerror or str(error)
    except (av.error.FFmpegError, OSError) as error:
        error_text = error.strerror or str(error)
    if not pictures:
        kind = ErrorKind.DECODE_FAILED if error_text else ErrorKind.NO_FRAMES
        raise DecodeError(
            kind, f"{uri}: not one of the first {num_packets} packets gave a picture {error_text}".strip()
        )
    return pictures, None if build is None else int(build[1])


def _claimed_us(opened: OpenedVideo) -> int | None:
    """The duration that the header claims for the stream, else for the whole file."""
    stream, container = opened.stream, opened.container
    assert stream.time_base is not None
    if not container.format.name.startswith(_CLAIMING):
        return None  # FFmpeg's own estimate
    if stream.duration:
        return rounded_us(stream.duration, stream.time_base)
    return container.duration


def _raw_time(uri: str, config: DecodeConfig, packets: StreamPackets) -> _Time:
    fps = config.raw_frames_per_second
    if fps is None:
        raise DecodeError(
            ErrorKind.UNSUPPORTED,
            f"{uri} is a raw stream, whose pictures have no times. Give its rate, for scan and relabel alike: "
            f"--set decode.raw_frames_per_second=25; or make a video of it: ffmpeg -r 25 -i IN -c:v libx264 -crf 16 OUT.mp4",
        )
    interval_us = round(US_PER_SECOND / fps)
    end_us = round(len(packets) * US_PER_SECOND / fps)
    gaps_us = np.full(max(0, len(packets) - 1), interval_us, np.int64)
    return _Time(start_us=0, end_us=end_us, interval_us=interval_us, gaps_us=gaps_us, clock=ClockKind.NONE)


def _time(uri: str, config: DecodeConfig, head: _Head, packets: StreamPackets) -> _Time:
    assert head.first_tick_us is not None
    stamps = packets.stamps()
    shown = ~stamps.is_outlier & ~packets.is_discarded
    if stamps.num_restarts and config.restarts is Restarts.REFUSE:
        raise DecodeError(
            ErrorKind.UNSUPPORTED,
            f"the clock of {uri} starts again {stamps.num_restarts} times, so that its times are not unique. Unroll them, with "
            f"--set decode.restarts=unroll, or give it one clock: ffmpeg -fflags +genpts -i IN -c copy OUT.mkv",
        )
    first_at = np.flatnonzero(packets.pts_us == head.first_tick_us)
    start_us = int(stamps.time_us[first_at[0]]) if len(first_at) else head.first_tick_us
    if stamps.clock is not ClockKind.STEADY and shown.any():
        start_us = (
            max(start_us, int(stamps.time_us[shown].min()))
            if start_us in stamps.time_us[shown]
            else int(stamps.time_us[shown].min())
        )
    pts_us = np.unique(stamps.time_us[shown & (stamps.time_us >= start_us)])
    if not len(pts_us):
        pts_us = np.array([start_us], np.int64)
    gaps_us = np.diff(pts_us)
    interval_us = round(US_PER_SECOND / _measured_fps(gaps_us)) if len(gaps_us) else stamps.interval_us
    last = np.flatnonzero(shown & (stamps.time_us == pts_us[-1]))
    told_us = int(packets.duration_us[last].max()) if len(last) else 0
    # The last picture lasts as long as its packet says, within what a gap may be; time is told in whole ticks.
    end_us = int(pts_us[-1]) + min(told_us or interval_us, bridged_us(interval_us))
    clock = stamps.clock
    if head.container == "avi" and clock is ClockKind.STEADY:
        with opened_bytes(uri) as file:
            clock = clock if first_break(file) is None else ClockKind.LOST
    if not packets.has_ended:
        end_us = max(end_us, _end_of_tail_us(uri, config, head, start_us=start_us) or 0)
        clock = ClockKind.UNCHECKED
    return _Time(start_us=start_us, end_us=end_us, interval_us=interval_us, gaps_us=gaps_us, clock=clock)


def _end_of_tail_us(uri: str, config: DecodeConfig, head: _Head, *, start_us: int) -> int | None:
    """The end of the last packets, of a file that was not read through; what its header claims where they cannot be reached."""
    ends: list[int] = []
    with opened_video(uri, config) as opened:
        time_base = opened.stream.time_base
        assert time_base is not None
        claimed_us = head.claimed_us if head.claimed_us is not None else opened.container.duration
        if claimed_us is None:
            return None
        try:
            opened.container.seek(max(0, start_us + claimed_us - _TAIL_US))
            for packet in demuxed(opened):
                if packet.pts is not None and not packet.is_discard:
                    ends.append(rounded_us(packet.pts + (packet.duration or 0), time_base))
        except (av.error.FFmpegError, OSError):
            pass  # cut off or damaged: the packets before count
    return max(ends, default=start_us + claimed_us)


def _measured_fps(gaps_us: NDArray[np.int64]) -> float:
    """The rate while pictures go on: gaps of more than one and a half usual intervals are nobody's rate. Containers round times,
    so that the mean is nearer than the median."""
    usual = gaps_us[gaps_us <= 1.5 * np.median(gaps_us)]
    return float(US_PER_SECOND / max(1.0, usual.mean()))


def _is_variable(gaps_us: NDArray[np.int64]) -> bool:
    """Containers round times to a millisecond, so that gaps of a constant rate differ by up to that."""
    if not len(gaps_us):
        return False
    spread_us = float(gaps_us.max() - gaps_us.min())
    return spread_us > max(1500.0, 0.1 * float(np.median(gaps_us)))


def _field_order(pictures: list[VideoFrame]) -> str:
    num_interlaced = sum(picture.interlaced_frame for picture in pictures)
    if not num_interlaced:
        return "progressive"
    return "interlaced" if num_interlaced == len(pictures) else "mixed"
