"""Damage that a container shows by itself, whatever its packets decode to: checksums that do not fit, elements that do not fit
together, chains that are broken, ends that are cut off."""

from contextlib import ExitStack

from av.packet import Packet
from av.video.stream import VideoStream

from nrray.decode.avi_chunks import first_break
from nrray.decode.checksums import ClusterChecksums
from nrray.decode.packets import read_packets
from nrray.decode.request import DecodeConfig, FrameRequest
from nrray.decode.soundness import Message, damaged_bytes
from nrray.decode.source import opened_bytes, opened_video
from nrray.decode.transport_stream import packet_bytes
from nrray.types import ClockKind


class ContainerDamage:
    """Of one file, asked with the packets of a pass in the order of the file. container: FFmpeg's name for it."""

    def __init__(self, request: FrameRequest, config: DecodeConfig, *, container: str) -> None:
        """Raises DecodeError."""
        self._stack = ExitStack()
        self._unfit: list[int] = []  # bytes, rising
        self._lost_from = _break_of(request, config)
        self._step_bytes: int | None = None
        self._step_at: int | None = None  # of the latest packet, within the step
        self._is_cut_off = False
        self._checksums: ClusterChecksums | None = None
        if container == "mpegts":
            with opened_bytes(request.uri) as file:
                self._step_bytes = packet_bytes(file)
                self._is_cut_off = self._step_bytes is not None and file.seek(0, 2) % self._step_bytes > 0
        elif container.startswith("matroska"):
            self._checksums = ClusterChecksums(self._stack.enter_context(opened_bytes(request.uri)))

    def close(self) -> None:
        """Close the file."""
        self._stack.close()

    def told_at_opening(self, messages: list[Message]) -> None:
        """Take note of what FFmpeg said of packets that it read ahead."""
        self._unfit = damaged_bytes(messages)

    def is_lost(self, packet: "Packet[VideoStream]") -> bool:
        """Whether the times of this packet and of all behind it are not known any more."""
        if self._lost_from is None or packet.pos is None:
            return False
        return packet.pos + packet.size > self._lost_from

    def before(self, packet: "Packet[VideoStream]") -> str:
        """What is damaged between the packet before and this one, told once; "" where nothing is."""
        reason = ""
        while self._unfit and packet.pos is not None and packet.pos > self._unfit[0]:
            del self._unfit[0]
            reason = "parts of the container do not fit together"
        if self._step_bytes is not None and packet.pos is not None:
            before, self._step_at = self._step_at, packet.pos % self._step_bytes
            if before is not None and before != self._step_at:
                reason = "packets of the transport stream are not one behind the other"
        return reason

    def at_end(self) -> str:
        """What is damaged of the last packet, "" where nothing is."""
        return "the file ends within a packet" if self._is_cut_off else ""

    def is_unsound(self, packet: "Packet[VideoStream]") -> bool:
        """Whether this packet lies in a part of the file that its checksum does not fit."""
        return self._checksums is not None and packet.pos is not None and self._checksums.contradict(packet.pos)


def _break_of(request: FrameRequest, config: DecodeConfig) -> int | None:
    """From which byte on the times of an AVI are not known, None where they are."""
    if request.clock is not ClockKind.LOST:
        return None
    with opened_bytes(request.uri) as file:
        broken_at = first_break(file)
    with opened_video(request.uri, config) as opened:
        num_claimed = opened.stream.frames
    # The chain may have been cut and fit again by chance before it breaks visibly.
    is_short = broken_at is not None and not broken_at.is_tail and len(read_packets(request.uri, config)) != num_claimed
    return None if broken_at is None else 0 if is_short else broken_at.byte
