"""One request with PyAV: one open, one seek, one forward pass, and only wanted frames are scaled, and decoded where that is
possible. A request that goes on where the one before it ended takes over its decoder."""

import os
import threading
from dataclasses import dataclass

from nrray.decode.forward_pass import TimesGoBackError
from nrray.decode.reading import Reading
from nrray.decode.request import DecodeConfig, FrameRequest, SampledFrames
from nrray.decode.seek_check import arrival_us
from nrray.decode.skipping import SkippingError
from nrray.decode.soundness import Message, captured_messages
from nrray.decode.source import local_path
from nrray.errors import DecodeError, ErrorKind
from nrray.types import US_PER_SECOND, ClockKind

# Where a seek lands after the first sample (MPEG-TS, AVI, open groups of pictures), seek this much earlier.
_BACK_OFF_SECONDS = (0, 1, 4, 16, 64)
# Decoding so much takes no longer than opening a file to see where a seek would arrive.
_NEAR_US = 1 * US_PER_SECOND


@dataclass(frozen=True, kw_only=True)
class _Way:
    """How a pass reads. sorts_times: AVI has no presentation times: with B-frames each time is right, but on a neighbouring
    frame; frames come out in the right order, so that sorting their times puts them right. skips: frames that no sample needs
    are not decoded; then damage and a sparse video cannot be told apart."""

    sorts_times: bool = False
    skips: bool = False


class _Latest(threading.local):
    """The reading of this thread that can go on, and the file that it reads."""

    reading: Reading | None = None
    file: tuple[int, int, int] | None = None


_latest = _Latest()


def sample_pyav_frames(request: FrameRequest, config: DecodeConfig) -> SampledFrames:
    """The frames of `request`. Raises DecodeError."""
    for way in (_Way(skips=True), _Way()):
        try:
            return _sampled(request, config, way)
        except SkippingError:
            continue
        except TimesGoBackError:
            break
    try:
        return _sampled(request, config, _Way(sorts_times=True))
    except TimesGoBackError as error:
        raise DecodeError(
            ErrorKind.UNSUPPORTED,
            f"{request.uri}: presentation times {error}, more than reordering explains. Scan it again, or remux it, for example "
            f"with ffmpeg -fflags +genpts -i IN -c copy OUT.mkv",
        ) from None


def forget_reading() -> None:
    """Close what this thread keeps open for a request that goes on."""
    if _latest.reading is not None:
        _latest.reading.close()
    _latest.reading = _latest.file = None


def _sampled(request: FrameRequest, config: DecodeConfig, way: _Way) -> SampledFrames:
    with captured_messages(of_all_threads=config.threads > 1) as messages:
        taken_up = _taken_up(request, config)
        if taken_up is not None and (result := _result(taken_up, messages)) is not None:
            return result
        for seek_us in _seeks(request):
            reading = Reading(request, config, seek_us=seek_us, sorts_times=way.sorts_times, skips=way.skips)
            result = _result(reading, messages, is_last=reading.seek_us is None)
            if result is not None:
                return result
    raise AssertionError("the last pass begins at the start, and so gives a result")


def _seeks(request: FrameRequest) -> list[int | None]:
    """Where to seek to, one after the other until a pass begins early enough; None: the start."""
    if not _may_seek(request):
        return [None]
    first_us = int(request.sample_us[0])
    return [*(first_us - seconds * US_PER_SECOND for seconds in _BACK_OFF_SECONDS), None]


def _may_seek(request: FrameRequest) -> bool:
    return request.seekable and request.clock in (ClockKind.STEADY, ClockKind.UNCHECKED)


def _taken_up(request: FrameRequest, config: DecodeConfig) -> Reading | None:
    """The reading that the request before left, if going on from there is the shorter way."""
    reading, file = _latest.reading, _latest.file
    _latest.reading = _latest.file = None
    if reading is None:
        return None
    is_same = file == _file_of(request) and reading.config == config and _is_same_video(reading.request, request)
    if is_same and reading.forward.follows(request) and _is_shorter_way(reading, request):
        reading.go_on(request)
        return reading
    reading.close()
    return None


def _is_shorter_way(reading: Reading, request: FrameRequest) -> bool:
    position_us, first_us = reading.forward.position_us, int(request.sample_us[0])
    assert position_us is not None  # `follows` says so
    if first_us <= position_us + _NEAR_US or not _may_seek(request):
        return True
    key_us = arrival_us(request.uri, reading.config, first_us)
    return key_us is not None and key_us <= position_us


def _is_same_video(one: FrameRequest, other: FrameRequest) -> bool:
    names = ("uri", "width_px", "height_px", "video_end_us", "seekable", "clock", "frame_interval_us", "stream_index")
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _file_of(request: FrameRequest) -> tuple[int, int, int] | None:
    """What tells a local file from another of its name; None for other storage, whose readings are not kept."""
    path = local_path(request.uri)
    if path is None:
        return None
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _result(reading: Reading, messages: list[Message], *, is_last: bool = True) -> SampledFrames | None:
    """The frames; None where the reading began too late, and another one begins earlier."""
    request, file = reading.forward.request, _file_of(reading.request)
    is_kept = False
    reading.messages = messages
    try:
        forward = reading.read()
        if not is_last and (not forward.frame_us or forward.frame_us[0] > request.sample_us[0]):
            return None
        is_kept = file is not None and not reading.has_ended
        return forward.sampled_frames()
    except SkippingError:
        is_kept = False
        raise
    finally:
        if is_kept:
            _latest.reading, _latest.file = reading, file
        else:
            reading.close()
