"""Containers of video by their first bytes, for files whose suffix says nothing."""

SNIFFED_BYTES = 1024
_TS_PACKET_BYTES = (188, 192, 204)
_STILL_OR_SOUND = (b"heic", b"heix", b"mif1", b"avif", b"M4A ", b"M4B ", b"crx ")
_STARTS = (
    b"\x1a\x45\xdf\xa3",  # EBML: Matroska, WebM
    b"FLV\x01",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF
    b"\x00\x00\x01\xba",  # MPEG program stream
    b"\x00\x00\x01\xb3",  # MPEG video
    b"\x06\x0e\x2b\x34\x02\x05\x01\x01",  # MXF
    b"YUV4MPEG2 ",
    b"DKIF",  # IVF
    b"DHAV",  # recorders of one maker, .dav
)


def is_video_start(data: bytes) -> bool:
    """Whether a file of which `data` are the first bytes is one of a container for video."""
    if data[4:8] in (b"ftyp", b"moov", b"mdat", b"wide") and len(data) >= 12:
        return data[8:12] not in _STILL_OR_SOUND
    if data[:4] == b"RIFF":
        return data[8:12] == b"AVI "
    return data.startswith(_STARTS) or any(_is_transport_stream(data, size) for size in _TS_PACKET_BYTES)


def _is_transport_stream(data: bytes, size: int) -> bool:
    first = 4 if size == 192 else 0  # M2TS puts a time before each packet
    return len(data) > first + 4 * size and all(data[first + n * size] == 0x47 for n in range(5))
