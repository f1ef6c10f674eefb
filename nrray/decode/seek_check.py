"""Whether a stream can be decoded from its key frames, and whether seeks arrive at them: tried, never believed. There are streams
that decode to green pictures, without an error, unless the decoder has seen their start."""

import av.error
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from nrray.decode.packets import StreamPackets
from nrray.decode.request import DecodeConfig
from nrray.decode.scaling import Scaler
from nrray.decode.selection import rounded_us
from nrray.decode.source import demuxed, opened_video
from nrray.types import US_PER_SECOND

_CHECK_PX = 48
_NUM_PICTURES = 4
_MAX_MEAN_DIFFERENCE = 3.0  # of 255; a right seek gives 0, a green picture about 100
# A second key frame further away is compared with a pass from the key frame before it only.
_MAX_PACKETS_DECODED = 900
_SHARES = (0.5, 0.75)
_MAX_REORDERED = 16

Pictures = dict[int, NDArray[np.uint8]]


def is_seekable(uri: str, config: DecodeConfig, packets: StreamPackets, *, start_us: int, may_seek: bool) -> bool:
    """Whether decoding from a key frame gives the pictures that decoding through it gives: at the second key frame, against a
    pass from the first one; and at those in the middle and at three quarters, reached by seeks, against one from the key
    frame before. may_seek: whether seeks are tried: in files whose clock is not steady, nobody seeks."""
    keys = np.flatnonzero(packets.is_key & packets.has_stamp)
    if len(keys) < 2:
        return True  # all passes begin at the one key frame
    if keys[1] <= _MAX_PACKETS_DECODED:
        from_start = _pictures(uri, config, packets, first=int(keys[0]), key=int(keys[1]))
        from_key = _pictures(uri, config, packets, first=int(keys[1]), key=int(keys[1]))
        if from_start and not _shows_same(from_key, from_start):
            return False
    end_us = int(packets.pts_us.max())
    return not may_seek or all(
        _seek_arrives(uri, config, packets, keys, start_us + share * (end_us - start_us)) for share in _SHARES
    )


def _seek_arrives(
    uri: str, config: DecodeConfig, packets: StreamPackets, keys: NDArray[np.int64], time_us: float
) -> bool:
    found_us = arrival_us(uri, config, time_us)
    if found_us is None:
        return False
    at = keys[packets.pts_us[keys] == found_us]
    if not len(at):
        return False  # a picture that the whole pass does not call a key frame
    if at[0] == keys[0]:
        return True
    before = int(keys[keys < at[0]][-1])
    if at[0] - before > _MAX_PACKETS_DECODED:
        return True
    through = _pictures(uri, config, packets, first=before, key=int(at[0]))
    directly = _pictures(uri, config, packets, first=None, key=int(at[0]), seek_us=time_us)
    return not through or _shows_same(directly, through)


def arrival_us(uri: str, config: DecodeConfig, time_us: float) -> int | None:
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
            pass
    return None


def _pictures(
    uri: str, config: DecodeConfig, packets: StreamPackets, *, first: int | None, key: int, seek_us: float | None = None
) -> Pictures:
    """Small pictures by time, from the key frame `key` on, by a decoder whose first packet is number `first`, or that a seek to
    `seek_us` arrives at."""
    from_us = int(packets.pts_us[key])
    found: Pictures = {}
    scaler = Scaler()
    with opened_video(uri, config) as opened:
        time_base = opened.stream.time_base
        assert time_base is not None
        number = -1 if seek_us is None else key - 1
        is_waiting = True
        try:
            if seek_us is not None:
                opened.container.seek(int(seek_us / US_PER_SECOND / time_base), stream=opened.stream)
            for packet in demuxed(opened):
                if packet.size:
                    is_waiting = is_waiting and not (packet.is_keyframe if first is None else number + 1 == first)
                    number += 0 if is_waiting and first is None else 1
                if is_waiting:
                    continue
                try:
                    frames = packet.decode()
                except av.error.FFmpegError:
                    continue
                for frame in frames:
                    _note(found, frame, scaler, from_us=from_us)
                if len(found) >= _NUM_PICTURES or number > key + 4 * _MAX_REORDERED:
                    break
        except (av.error.FFmpegError, OSError):
            pass
    return dict(sorted(found.items())[:_NUM_PICTURES])


def _note(found: Pictures, frame: VideoFrame, scaler: Scaler, *, from_us: int) -> None:
    if frame.pts is None or frame.time_base is None or frame.is_corrupt:
        return
    time_us = rounded_us(frame.pts, frame.time_base)
    if time_us >= from_us:
        found[time_us] = scaler.scaled_rgb(frame, width_px=_CHECK_PX, height_px=_CHECK_PX).copy()


def _shows_same(directly: Pictures, through: Pictures) -> bool:
    """Whether the pictures that both passes gave are the same, and both gave about as many."""
    common = directly.keys() & through.keys()
    if not common or len(directly) < len(through) - 1:
        return False
    differences = (np.abs(directly[at].astype(np.int16) - through[at].astype(np.int16)).mean() for at in common)
    return all(difference <= _MAX_MEAN_DIFFERENCE for difference in differences)
