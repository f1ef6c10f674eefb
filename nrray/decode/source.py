"""Opening a video for PyAV: the checks that need no decoding, and the choice of its stream. Every refusal is a
DecodeError with its kind."""

import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import av
import av.error
import av.logging
import fsspec
from av.codec.context import ThreadType
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from nrray.decode.joints import Tail
from nrray.decode.request import DecodeConfig, FrameRequest
from nrray.errors import DecodeError, ErrorKind
from nrray.types import US_PER_SECOND, ClockKind

# FFmpeg tells concealment as information, and what is lost for debugging alone; whoever decodes captures it.
av.logging.set_level(av.logging.DEBUG)
av.logging.set_skip_repeated(False)  # each damaged picture is told
_libav = logging.getLogger("libav")
_libav.addHandler(logging.NullHandler())
_libav.propagate = False

# Playlists would open other files or the network; a text file has no pictures.
_PLAYLISTS = frozenset({"hls", "concat", "dash", "concatf", "sdp", "rtsp", "imf"})
_NOT_VIDEO = frozenset({"tty", "image2", "ico", "txd"})


@dataclass(frozen=True, kw_only=True)
class OpenedVideo:
    """An open container and the video stream in it that is decoded."""

    container: InputContainer
    stream: VideoStream


def local_path(uri: str) -> str | None:
    """The path of a local file, None for other URIs."""
    if uri.startswith("file://"):
        return uri[len("file://") :]
    return None if "://" in uri else uri


@contextmanager
def opened_bytes(uri: str) -> Iterator[Any]:
    """A binary file object of `uri`. Raises DecodeError MISSING, EMPTY or UNREADABLE."""
    path = local_path(uri)
    try:
        if path is not None:
            status = os.stat(path)
            if stat.S_ISREG(status.st_mode) and status.st_size == 0:
                raise DecodeError(ErrorKind.EMPTY, f"{uri} has zero bytes: copy it again from its source.")
            file: Any = open(path, "rb")  # noqa: SIM115 (closed below)
        else:
            filesystem, remote_path = fsspec.core.url_to_fs(uri)
            if filesystem.size(remote_path) == 0:
                raise DecodeError(ErrorKind.EMPTY, f"{uri} has zero bytes: copy it again from its source.")
            file = filesystem.open(remote_path, "rb")
    except FileNotFoundError:
        raise DecodeError(ErrorKind.MISSING, f"{uri} does not exist (any more): scan the archive again.") from None
    except (OSError, ImportError, ValueError) as error:
        raise DecodeError(ErrorKind.UNREADABLE, f"{uri} cannot be opened: {error}") from None
    with file:
        yield file


@contextmanager
def opened_video(uri: str, config: DecodeConfig) -> Iterator[OpenedVideo]:
    """The container and its best video stream, checked, ready to decode with `config.threads`.

    Raises DecodeError MISSING, EMPTY, UNREADABLE, NO_VIDEO, UNSUPPORTED, ENCRYPTED or TOO_LARGE; none of these
    checks decodes a frame.
    """
    path = local_path(uri)
    if path is None:
        with opened_bytes(uri) as file, _opened_container(file, uri, config) as container:
            yield OpenedVideo(container=container, stream=_video_stream(container, uri, config))
        return
    _require_regular(path, uri)
    # "file:" keeps a colon in a name from being taken for a protocol.
    with _opened_container(f"file:{path}", uri, config) as container:
        yield OpenedVideo(container=container, stream=_video_stream(container, uri, config))


@contextmanager
def opened_tail(uri: str, config: DecodeConfig, *, start: int) -> Iterator[OpenedVideo]:
    """As `opened_video`, of the recording that begins at byte `start`."""
    with opened_bytes(uri) as file, _opened_container(Tail(file, start), uri, config) as container:
        yield OpenedVideo(container=container, stream=_video_stream(container, uri, config))


def demuxed(opened: OpenedVideo) -> Iterator["Packet[VideoStream]"]:
    """The stream's packets. Raises av.error.FFmpegError or OSError where they cannot be read on."""
    try:
        yield from opened.container.demux(opened.stream)
    except IndexError:  # PyAV searches for a stream that appears in mid-file, in a damaged FLV
        raise OSError("packets of a stream that its header does not name") from None


def require_clear(packet: "Packet[VideoStream]", uri: str) -> None:
    """Raise DecodeError ENCRYPTED for a packet that carries encryption parameters (MP4 CENC, Matroska)."""
    if packet.has_sidedata("encryption_info") or packet.has_sidedata("encryption_init_info"):
        raise DecodeError(ErrorKind.ENCRYPTED, f"{uri} is encrypted: export it again without protection.")


def require_scanned(request: FrameRequest, config: DecodeConfig, *, stream_index: int) -> None:
    """Raise DecodeError UNSUPPORTED where the facts of `request` were found with other settings than those of `config`, by which
    the stream at `stream_index` is decoded."""
    if request.stream_index is not None and request.stream_index != stream_index:
        raise DecodeError(
            ErrorKind.UNSUPPORTED,
            f"{request.uri} was scanned in its video stream {request.stream_index}, and decode.stream={config.stream} chooses "
            f"{stream_index}. Give both commands the same, here --set decode.stream={request.stream_index}, or scan it again.",
        )
    if request.clock is not ClockKind.NONE or request.frame_interval_us is None:
        return
    fps = config.raw_frames_per_second
    if fps is None or round(US_PER_SECOND / fps) != request.frame_interval_us:
        raise DecodeError(
            ErrorKind.UNSUPPORTED,
            f"{request.uri}, a raw stream, was scanned at {US_PER_SECOND / request.frame_interval_us:.5g} frames/s, and "
            f"decode.raw_frames_per_second is {fps}. Give both commands the same, or scan it again.",
        )


def _require_regular(path: str, uri: str) -> None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise DecodeError(ErrorKind.MISSING, f"{uri} does not exist (any more): scan the archive again.") from None
    except OSError as error:
        raise DecodeError(ErrorKind.UNREADABLE, f"{uri} cannot be opened: {error}") from None
    if stat.S_ISDIR(status.st_mode):
        raise DecodeError(ErrorKind.UNREADABLE, f"{uri} is a folder; expected a video file.")
    if stat.S_ISREG(status.st_mode) and status.st_size == 0:
        raise DecodeError(ErrorKind.EMPTY, f"{uri} has zero bytes: copy it again from its source.")


@contextmanager
def _opened_container(file: Any, uri: str, config: DecodeConfig) -> Iterator[InputContainer]:
    # max_pixels here is for pictures that are looked at while opening: then the file does not open, or has pictures of no size.
    options = {**_limits(config), "protocol_whitelist": "file"}
    try:
        container = av.open(file, "r", options=options, metadata_errors="ignore")
        if any(not stream.width for stream in container.streams.video):
            container.close()
            _refuse_large(file, uri, config)
            container = av.open(_rewound(file), "r", options=options, metadata_errors="ignore")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        _refuse_large(file, uri, config)
        message = getattr(error, "strerror", None) or str(error)
        raise DecodeError(
            ErrorKind.UNREADABLE,
            f"{uri} cannot be opened as a video: {message}. It may be cut off before its index (an MP4 without moov), "
            f"still being written, or no video at all.",
        ) from None
    with container:
        yield container


def _refuse_large(file: Any, uri: str, config: DecodeConfig) -> None:
    """Raise TOO_LARGE if that is why `file` did not open: the sizes are read again, with the decoder set to skip."""
    try:
        options = {"skip_frame": "all", "protocol_whitelist": "file"}
        container = av.open(_rewound(file), "r", options=options, metadata_errors="ignore")
    except (av.error.FFmpegError, OSError, ValueError):
        return
    with container:
        for stream in container.streams.video:
            _require_size(stream.width, stream.height, uri, config)


def _rewound(file: Any) -> Any:
    """A path as it is, an open file at its start."""
    if not isinstance(file, str):
        file.seek(0)
    return file


def _limits(config: DecodeConfig) -> dict[str, str]:
    """Options of a decoder."""
    return {"max_pixels": str(config.max_frame_pixels)}


def _require_size(width: int, height: int, uri: str, config: DecodeConfig) -> None:
    if width * height > config.max_frame_pixels:
        raise DecodeError(
            ErrorKind.TOO_LARGE,
            f"{uri} has frames of {width} x {height}, above decode.max_frame_pixels = {config.max_frame_pixels}.",
        )


def moving_streams(container: InputContainer) -> list[VideoStream]:
    """The video streams but covers and thumbnails."""
    return [
        stream
        for stream in container.streams.video
        if not stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails)
    ]


def _chosen_stream(container: InputContainer, moving: list[VideoStream], uri: str, config: DecodeConfig) -> VideoStream:
    if config.stream != "best" and len(moving) > 1:
        chosen = [stream for stream in moving if stream.index == config.stream]
        if not chosen:
            raise DecodeError(
                ErrorKind.UNSUPPORTED,
                f"{uri} has no video stream {config.stream} (decode.stream); it has {[stream.index for stream in moving]}.",
            )
        return chosen[0]
    best = container.streams.best("video")
    chosen = [stream for stream in moving if best is not None and stream.index == best.index]
    return chosen[0] if chosen else max(moving, key=lambda moving: moving.width * moving.height)


def _video_stream(container: InputContainer, uri: str, config: DecodeConfig) -> VideoStream:
    name = container.format.name
    if name in _PLAYLISTS:
        raise DecodeError(ErrorKind.UNSUPPORTED, f"{uri} is a playlist ({name}): give the videos that it lists.")
    if name in _NOT_VIDEO or name.endswith("_pipe"):
        raise DecodeError(ErrorKind.NO_VIDEO, f"{uri} is a still picture or text ({name}); expected a video.")
    moving = moving_streams(container)
    if not moving:
        found = "only a cover picture" if container.streams.video else "no video stream"
        raise DecodeError(ErrorKind.NO_VIDEO, f"{uri} has {found} (container {name}).")
    stream = _chosen_stream(container, moving, uri, config)
    if stream.codec_context is None:
        raise DecodeError(ErrorKind.UNSUPPORTED, f"{uri}: this FFmpeg has no decoder for its video stream.")
    _require_size(stream.codec_context.width, stream.codec_context.height, uri, config)
    if not stream.time_base:
        raise DecodeError(ErrorKind.UNSUPPORTED, f"{uri}: its video stream has no time base; remux it.")
    stream.codec_context.options = _limits(config)  # for pictures that grow in mid-stream
    stream.codec_context.thread_count = config.threads
    if config.threads > 1:
        stream.codec_context.thread_type = ThreadType.FRAME | ThreadType.SLICE
    return stream
