"""Where in an open video its packets are read from."""

import contextlib

import av.error

from nrray.decode.selection import rounded_us
from nrray.decode.source import OpenedVideo
from nrray.types import US_PER_SECOND

_REWOUND = ("flv", "mpegts", "mpeg")


def start_us(opened: OpenedVideo) -> int:
    """Where the stream says that it starts."""
    start, time_base = opened.stream.start_time, opened.stream.time_base
    return rounded_us(start, time_base) if start is not None and time_base else 0


def rewind(opened: OpenedVideo) -> None:
    """Read from the start again, where that gives the same packets: what was told of those that were read ahead while the file
    was opened is then told in its place."""
    if opened.container.format.name in _REWOUND:
        with contextlib.suppress(av.error.FFmpegError, OSError):  # then it goes on
            opened.container.seek(0, unsupported_byte_offset=True)


def seek(opened: OpenedVideo, seek_us: int) -> bool:
    """Read from the key frame before a time; False where the file cannot."""
    assert opened.stream.time_base is not None
    # Half a tick is added so that a rounded time does not fall before the frame that it belongs to.
    ticks = int(seek_us / US_PER_SECOND / opened.stream.time_base + 0.5)
    try:
        opened.container.seek(ticks, stream=opened.stream)
    except (av.error.FFmpegError, OSError):
        return False
    return True
