"""Pictures of MPEG-1 and MPEG-2 that are missing: all are numbered in the order of display (ITU-T H.262, 6.3.9:
temporal_reference), from 0 in each group of pictures."""

_PICTURE, _GROUP = b"\0\0\1\0", b"\0\0\1\xb8"
_BIDIRECTIONAL = 3  # picture_coding_type
_NUMBERS = 1 << 10


class DisplayOrder:
    """Of one stream, packet by packet in the order of decoding. Encoders that number otherwise are not believed: a whole group
    has to be in order first."""

    def __init__(self) -> None:
        self._before: int | None = None  # the last two pictures that others refer to
        self._last: int | None = None
        self._has_bidirectional = False
        self._is_in_order = False  # since the group began
        self._is_believed = False

    def is_broken_at(self, data: bytes) -> bool:
        """Whether the picture of this packet cannot follow those before it."""
        at = data.find(_PICTURE)
        if at < 0 or at + 6 > len(data):
            return False
        if data.find(_GROUP, 0, at) >= 0:
            self._is_believed = self._is_believed or self._is_in_order
            self._before = self._last = None
            self._is_in_order = True
        number, kind = data[at + 4] << 2 | data[at + 5] >> 6, data[at + 5] >> 3 & 7
        is_fit = self._fits(number) if kind == _BIDIRECTIONAL else self._follows(number)
        self._is_in_order = self._is_in_order and is_fit
        return self._is_believed and not is_fit

    def _fits(self, number: int) -> bool:
        """Of a picture that is shown between the last two which others refer to."""
        self._has_bidirectional = True
        if self._last is None:
            return True  # it refers to pictures of the group before
        return _is_behind(self._last, number) and (self._before is None or _is_behind(number, self._before))

    def _follows(self, number: int) -> bool:
        if number == self._last:  # the second field
            return True
        last, self._before, self._last = self._last, self._last, number
        if last is None:
            return True
        return _is_behind(number, last) and (self._has_bidirectional or number == (last + 1) % _NUMBERS)


def _is_behind(one: int, other: int) -> bool:
    return 0 < (one - other) % _NUMBERS < _NUMBERS // 2
