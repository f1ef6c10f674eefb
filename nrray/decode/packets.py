"""The packets of a stream, read from end to end without decoding: what a header says is only a claim."""

import time
from dataclasses import dataclass

import av.error
import numpy as np
from numpy.typing import NDArray

from nrray.decode.request import DecodeConfig
from nrray.decode.selection import rounded_us
from nrray.decode.source import demuxed, opened_video, require_clear
from nrray.decode.stamps import Stamps, stamps_of


@dataclass(frozen=True, kw_only=True)
class StreamPackets:
    """The M packets of a stream that hold something, in the order of the file.

    pts_us, decoded_us: (M,) int64, the latter of presentation where a container has no other (then not are_decoded); duration_us:
    (M,) int64, 0 where none is told; is_key, is_discarded (decoded, and never shown: edit lists), has_stamp, is_corrupt: (M,)
    bool; has_ended: False where the time to read ran out; stop_reason: why the file could not be read on, else "".
    """

    pts_us: NDArray[np.int64]
    decoded_us: NDArray[np.int64]
    are_decoded: bool
    duration_us: NDArray[np.int64]
    is_key: NDArray[np.bool_]
    is_discarded: NDArray[np.bool_]
    has_stamp: NDArray[np.bool_]
    is_corrupt: NDArray[np.bool_]
    has_ended: bool
    stop_reason: str

    def __len__(self) -> int:
        return len(self.pts_us)

    def stamps(self) -> Stamps:
        """The time line. Packets without a stamp have the time of the one before them."""
        return stamps_of(self.pts_us, self.decoded_us, are_decoded=self.are_decoded)


def read_packets(uri: str, config: DecodeConfig, *, limit_seconds: float | None = None) -> StreamPackets:
    """The packets of the video at `uri`; at most for `limit_seconds`. Raises DecodeError."""
    rows: list[tuple[int, int, int, bool, bool, bool, bool]] = []
    has_ended, are_decoded, stop_reason = True, True, ""
    deadline = None if limit_seconds is None else time.monotonic() + limit_seconds
    with opened_video(uri, config) as opened:
        time_base = opened.stream.time_base
        assert time_base is not None  # opened_video refuses others
        before_us = 0
        try:
            for number, packet in enumerate(demuxed(opened)):
                require_clear(packet, uri)
                if not packet.size:
                    continue
                stamp = packet.pts if packet.pts is not None else packet.dts
                are_decoded = are_decoded and packet.dts is not None
                before_us = before_us if stamp is None else rounded_us(stamp, time_base)
                rows.append(
                    (
                        before_us,
                        before_us if packet.dts is None else rounded_us(packet.dts, time_base),
                        rounded_us(packet.duration or 0, time_base),
                        packet.is_keyframe,
                        packet.is_discard,
                        packet.pts is not None,
                        packet.is_corrupt,
                    )
                )
                if deadline is not None and number % 256 == 0 and time.monotonic() > deadline:
                    has_ended = False
                    break
        except (av.error.FFmpegError, OSError) as error:
            stop_reason = error.strerror or str(error)
    columns = np.array(rows, np.int64).reshape(-1, 7).T
    return StreamPackets(
        pts_us=columns[0],
        decoded_us=columns[1],
        are_decoded=are_decoded,
        duration_us=columns[2],
        is_key=columns[3].astype(np.bool_),
        is_discarded=columns[4].astype(np.bool_),
        has_stamp=columns[5].astype(np.bool_),
        is_corrupt=columns[6].astype(np.bool_),
        has_ended=has_ended,
        stop_reason=stop_reason,
    )
