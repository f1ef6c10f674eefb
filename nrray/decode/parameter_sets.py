"""Parameter sets of H.264, as far as what they allow is no damage."""

from av.video.codeccontext import VideoCodecContext

_SEQUENCE = 7  # nal_unit_type
# Profiles whose sets say how colours are coded (7.3.2.1.1).
_WITH_COLOURS = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_NUM_LISTS_444 = 12


def allows_gaps(codec: VideoCodecContext) -> bool:
    """Whether a stream may leave pictures out that others could refer to (ITU-T H.264, 7.4.2.1.1:
    gaps_in_frame_num_value_allowed_flag), as senders of several temporal layers do."""
    if codec.name != "h264":
        return False
    sets = [unit for unit in _units(codec.extradata or b"") if unit[0] & 31 == _SEQUENCE]
    try:
        return any(_allows_gaps(unit) for unit in sets)
    except IndexError:  # cut off
        return True


class _Bits:
    """A reader of bits (ITU-T H.264, 7.2 and 9.1). Raises IndexError behind the end."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data.replace(b"\0\0\3", b"\0\0"), 0

    def fixed(self, num_bits: int) -> int:
        """u(n)"""
        value = 0
        for _ in range(num_bits):
            value = value << 1 | self._data[self._at >> 3] >> (7 - (self._at & 7)) & 1
            self._at += 1
        return value

    def golomb(self) -> int:
        """ue(v)"""
        num_zeros = 0
        while not self.fixed(1):
            num_zeros += 1
        return (1 << num_zeros) - 1 + self.fixed(num_zeros)

    def signed(self) -> int:
        """se(v)"""
        value = self.golomb()
        return (value + 1) // 2 if value % 2 else -(value // 2)


def _units(extradata: bytes) -> list[bytes]:
    """The parameter sets of a configuration record (ISO/IEC 14496-15, 5.3.3.1), or of a stream with start codes."""
    if not extradata.startswith(b"\1"):
        return [unit for unit in extradata.split(b"\0\0\1") if unit]
    units, at = [], 6
    for _ in range(extradata[5] & 31 if len(extradata) > 5 else 0):
        size = int.from_bytes(extradata[at : at + 2], "big")
        units.append(extradata[at + 2 : at + 2 + size])
        at += 2 + size
    return [unit for unit in units if unit]


def _allows_gaps(unit: bytes) -> bool:
    bits = _Bits(unit[1:])
    profile = bits.fixed(8)
    bits.fixed(16)  # constraints, level
    bits.golomb()  # its number
    if profile in _WITH_COLOURS:
        _pass_colours(bits)
    bits.golomb()  # log2_max_frame_num_minus4
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.fixed(1)
        bits.signed()
        bits.signed()
        for _ in range(bits.golomb()):
            bits.signed()
    bits.golomb()  # max_num_ref_frames
    return bool(bits.fixed(1))


def _pass_colours(bits: _Bits) -> None:
    has_444 = bits.golomb() == 3
    if has_444:
        bits.fixed(1)
    bits.golomb()  # bits of luma and chroma
    bits.golomb()
    bits.fixed(1)
    if not bits.fixed(1):
        return
    for number in range(_NUM_LISTS_444 if has_444 else 8):
        if bits.fixed(1):
            last = following = 8
            for _ in range(16 if number < 6 else 64):
                if following:
                    following = (last + bits.signed()) % 256
                last = following or last
