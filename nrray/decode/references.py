"""Which pictures others may refer to, from the headers in their packets, by codec. What is not known for certain may be referred
to; that costs time alone."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from av.video.stream import VideoStream

# Of the codecs whose pictures all stand alone, those that carry nothing from one to the next.
_INTRA_ONLY = frozenset({"mjpeg", "prores", "dnxhd", "jpeg2000"})
_START_CODE = b"\0\0\1"
_SLICES_H264 = range(1, 6)
_IDR_H264 = 5
_SETTINGS_H264 = (7, 8, 13)  # parameter sets of sequences, of pictures, and extensions
_SLICES_HEVC = range(32)
_ENTRIES_HEVC = range(16, 24)
_SETTINGS_HEVC = (32, 33, 34)
_SEQUENCE_HEVC = 33
_NUM_LAYERS_AT = 21  # in the configuration record: bits 3 to 5 (ISO/IEC 14496-15, 8.3.3.1.2)


class Role(Enum):
    """What a picture is to those that are decoded after it.

    LEAF: nobody refers to it. ENTRY: those that are also shown after it refer to nothing that is decoded before it; those that
    are shown before it, its leading pictures, follow it at once, and nobody but they refers to them.
    """

    LEAF = "leaf"
    REFERENCE = "reference"
    ENTRY = "entry"


@dataclass(frozen=True, kw_only=True)
class PictureHeader:
    """What a packet says of its picture. has_settings: it brings parameter sets or tables that no packet before it brought last,
    and that hold for the following ones as well."""

    role: Role
    has_settings: bool = False


HeaderReader = Callable[[bytes], PictureHeader | None]


def is_intra_only(stream: VideoStream) -> bool:
    """Whether each picture stands alone, as in MJPEG."""
    return stream.codec_context.codec.canonical_name in _INTRA_ONLY


def header_reader(stream: VideoStream) -> HeaderReader | None:
    """Reads what the packets of `stream` say, one after the other: None of a packet that does not say it. There is no reader for
    codecs that hide it."""
    codec = stream.codec_context
    extradata = codec.extradata or b""
    match codec.codec.canonical_name:
        case "h264":
            return _H264Headers(extradata)
        case "hevc":
            return _HevcHeaders(extradata)
        case "mpeg1video" | "mpeg2video":
            return _Mpeg2Headers()
        case "mpeg4":
            return _Mpeg4Headers()
        case "mjpeg":
            return _mjpeg_header
        case name if name in _INTRA_ONLY:
            return lambda data: PictureHeader(role=Role.LEAF)
    return None


class _Settings:
    """Parameter sets as they were brought last."""

    def __init__(self) -> None:
        self._known: set[bytes] = set()

    def are_new(self, found: list[bytes]) -> bool:
        """Whether one of `found` may change what holds; from then on, each of the others has to be brought again to be known."""
        if self._known.issuperset(found):
            return False
        self._known = set(found)
        return True


class _H264Headers:
    """ITU-T H.264, 7.4.1: no picture refers to slices whose nal_ref_idc is 0; all begins anew at an IDR picture."""

    def __init__(self, extradata: bytes) -> None:
        self._length_bytes = (extradata[4] & 3) + 1 if len(extradata) > 4 and extradata[0] == 1 else 0
        self._settings = _Settings()

    def __call__(self, data: bytes) -> PictureHeader | None:
        units = list(_nal_units(data, self._length_bytes))
        slices = [data[at] for at, _ in units if data[at] & 31 in _SLICES_H264]
        if not slices:
            return None
        if all(header & 31 == _IDR_H264 for header in slices):
            role = Role.ENTRY
        else:
            role = Role.REFERENCE if any(header & 0x60 for header in slices) else Role.LEAF
        settings = [data[at:end] for at, end in units if data[at] & 31 in _SETTINGS_H264]
        return PictureHeader(role=role, has_settings=self._settings.are_new(settings))


class _HevcHeaders:
    """ITU-T H.265, 7.4.2.2: even types below 16 are of pictures that none of their own sub-layer refers to; if theirs is the
    highest, nobody does. Types 16 to 23 are random access points, with their leading pictures (3.1)."""

    def __init__(self, extradata: bytes) -> None:
        self._settings = _Settings()
        self._num_layers = 0
        self._length_bytes = 0
        if len(extradata) > _NUM_LAYERS_AT and extradata[0] == 1:
            self._length_bytes = (extradata[_NUM_LAYERS_AT] & 3) + 1
            self._num_layers = extradata[_NUM_LAYERS_AT] >> 3 & 7

    def __call__(self, data: bytes) -> PictureHeader | None:
        units = [(at, end) for at, end in _nal_units(data, self._length_bytes) if at + 2 < end]
        settings = [data[at:end] for at, end in units if data[at] >> 1 & 63 in _SETTINGS_HEVC]
        for unit in settings:
            if unit[0] >> 1 & 63 == _SEQUENCE_HEVC:  # 7.3.2.2.1: sps_max_sub_layers_minus1
                self._num_layers = max(self._num_layers, (unit[2] >> 1 & 7) + 1)
        # Another layer (depth, a second eye) is not decoded.
        slices = [at for at, _ in units if data[at] >> 1 & 63 in _SLICES_HEVC and not _layer(data, at)]
        if not slices:
            return None
        types = [data[at] >> 1 & 63 for at in slices]
        is_highest = self._num_layers > 0 and all(data[at + 1] & 7 >= self._num_layers for at in slices)
        if all(kind in _ENTRIES_HEVC for kind in types):
            role = Role.ENTRY
        elif is_highest and all(kind < 16 and kind % 2 == 0 for kind in types):
            role = Role.LEAF
        else:
            role = Role.REFERENCE
        return PictureHeader(role=role, has_settings=self._settings.are_new(settings))


class _Mpeg2Headers:
    """ITU-T H.262, 6.3.9: picture_coding_type is 1 of intra pictures, 2 of predicted, 3 of bidirectional ones."""

    _PICTURE, _SEQUENCE, _EXTENSION = 0x00, 0xB3, 0xB5
    _MATRICES = 3  # extension_start_code_identifier

    def __init__(self) -> None:
        self._settings = _Settings()

    def __call__(self, data: bytes) -> PictureHeader | None:
        units = list(_nal_units(data, 0))
        kinds = [data[at + 2] >> 3 & 7 for at, end in units if data[at] == self._PICTURE and at + 2 < end]
        sequences = [data[at:end] for at, end in units if data[at] == self._SEQUENCE]
        has_matrices = any(
            data[at] == self._EXTENSION and at + 1 < end and data[at + 1] >> 4 == self._MATRICES for at, end in units
        )
        is_new = self._settings.are_new(sequences)
        return _header_of_kinds(kinds, intra=1, bidirectional=3, has_settings=is_new or has_matrices)


class _Mpeg4Headers:
    """ISO/IEC 14496-2, 6.3.5: vop_coding_type is 0 of intra pictures, 1 of predicted, 2 of bidirectional, 3 of sprites."""

    _PICTURE, _LAYERS = 0xB6, range(0x20, 0x30)

    def __init__(self) -> None:
        self._settings = _Settings()

    def __call__(self, data: bytes) -> PictureHeader | None:
        units = list(_nal_units(data, 0))
        kinds = [data[at + 1] >> 6 for at, end in units if data[at] == self._PICTURE and at + 1 < end]
        layers = [data[at:end] for at, end in units if data[at] in self._LAYERS]
        return _header_of_kinds(kinds, intra=0, bidirectional=2, has_settings=self._settings.are_new(layers))


def _mjpeg_header(data: bytes) -> PictureHeader | None:
    """A picture without tables of its own (DQT) has those of one before it."""
    return PictureHeader(role=Role.LEAF) if b"\xff\xdb" in data else None


def _header_of_kinds(kinds: list[int], *, intra: int, bidirectional: int, has_settings: bool) -> PictureHeader | None:
    """Of a packet with pictures of `kinds`, in codecs where nobody refers to bidirectional pictures."""
    if not kinds:
        return None
    is_leaf = all(kind == bidirectional for kind in kinds)
    role = Role.ENTRY if kinds == [intra] else Role.REFERENCE
    return PictureHeader(role=Role.LEAF if is_leaf else role, has_settings=has_settings)


def _layer(data: bytes, at: int) -> int:
    return (data[at] & 1) << 5 | data[at + 1] >> 3


def _nal_units(data: bytes, length_bytes: int) -> Iterator[tuple[int, int]]:
    """The spans of the units in a packet, headers included and not empty; length_bytes: of the length before each, 0 where start
    codes part them."""
    if not length_bytes:
        starts = []
        at = data.find(_START_CODE)
        while at >= 0:
            starts.append(at)
            at = data.find(_START_CODE, at + 3)
        for start, end in pairwise([*starts, len(data)]):
            if start + 3 < end:
                yield start + 3, end
        return
    at = 0
    while at + length_bytes < len(data):
        start = at + length_bytes
        at = start + int.from_bytes(data[at:start], "big")
        if at > start:
            yield start, min(at, len(data))
