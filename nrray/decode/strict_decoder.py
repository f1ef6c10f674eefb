"""The decoder of an open video, in the way in which it tells most of damage."""

import av
import av.error
from av.codec.context import ThreadType
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from nrray.decode.source import OpenedVideo

_STRICTER = {"vp9": "libvpx-vp9"}


def strict_decoder(opened: OpenedVideo) -> VideoCodecContext:
    """The stream's decoder, in the way in which it tells most of damage. FFmpeg's own decoder of VP9 makes garbage of damaged
    packets without a word, where libvpx finds that they end too early; that of VP8 finds it too, and says so where it has threads
    for slices."""
    own = opened.stream.codec_context
    # Checksums that pictures bring (HEVC's hash, FFV1) are compared.
    own.options = {**own.options, "err_detect": "crccheck"}
    if own.name == "vp8":
        own.thread_count, own.thread_type = max(2, own.thread_count), ThreadType.SLICE
        return own
    stricter = _STRICTER.get(own.name)
    if stricter is None or stricter not in av.codecs_available:
        return own
    decoder = VideoCodecContext.create(stricter, "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.thread_count, decoder.options = own.thread_count, own.options
    return decoder


def drained(codec: VideoCodecContext) -> list[VideoFrame]:
    """The frames that `codec` still holds."""
    try:
        return codec.decode(None)
    except av.error.FFmpegError:
        return []
