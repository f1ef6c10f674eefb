"""Odd videos as recorders, phones and joined files make them: packets of a small barcode video, muxed again or damaged."""

from collections.abc import Callable
from pathlib import Path

import av
from av.packet import Packet

from tests.videos import write_video

US = 1_000_000
TS_PACKET_BYTES = 188


def restamped(source: Path, path: Path, stamp_us: Callable[[int, int], int | None]) -> Path:
    """`source` muxed again. stamp_us: number of the packet and its time to its new time, None leaves it out."""
    with av.open(str(source)) as given, av.open(str(path), "w") as output:
        stream = given.streams.video[0]
        copy = output.add_stream_from_template(stream)
        for number, packet in enumerate(_stamped(given, stream)):
            was_us = round(packet.pts * stream.time_base * US)
            new_us = stamp_us(number, was_us)
            if new_us is None:
                continue
            shift = round((new_us - was_us) / US / stream.time_base)
            packet.pts += shift
            packet.dts += shift
            packet.stream = copy
            output.mux(packet)
    return path


def _stamped(given, stream) -> list[Packet]:
    return [packet for packet in given.demux(stream) if packet.pts is not None and packet.dts is not None]


def patched_stamps(path: Path, *, ahead_us: int, numbers: tuple[int, ...]) -> Path:
    """A transport stream some of whose PES packets are stamped ahead (ITU-T H.222.0, 2.4.3.7)."""
    data = bytearray(path.read_bytes())
    pid, found = None, 0
    for at in range(0, len(data), TS_PACKET_BYTES):
        header = data[at : at + 4]
        starts = bool(header[1] & 0x40)
        payload = at + 4 + (1 + data[at + 4] if header[3] & 0x20 else 0)
        if not starts or data[payload : payload + 4] != b"\x00\x00\x01\xe0":
            continue
        pid = pid if pid is not None else (header[1] & 0x1F) << 8 | header[2]
        if found in numbers:
            for place in range(2 if data[payload + 7] & 0x40 else 1):
                _put_ahead(data, payload + 9 + 5 * place, ahead_us * 9 // 100)
        found += 1
    assert found > max(numbers)
    path.write_bytes(data)
    return path


def _put_ahead(data: bytearray, at: int, ticks: int) -> None:
    fields = data[at : at + 5]
    stamp = (fields[0] >> 1 & 7) << 30 | fields[1] << 22 | fields[2] >> 1 << 15 | fields[3] << 7 | fields[4] >> 1
    stamp += ticks
    data[at] = fields[0] & 0xF0 | (stamp >> 30 & 7) << 1 | 1
    data[at + 1 : at + 3] = (stamp >> 15 & 0x7FFF) * 2 + 1 >> 8, ((stamp >> 15 & 0x7FFF) * 2 + 1) & 0xFF
    data[at + 3 : at + 5] = (stamp & 0x7FFF) * 2 + 1 >> 8, ((stamp & 0x7FFF) * 2 + 1) & 0xFF


def without_packets(path: Path, *, every: int) -> Path:
    """A transport stream that lost each `every`th of its packets."""
    data = path.read_bytes()
    kept = [data[at : at + TS_PACKET_BYTES] for at in range(0, len(data), TS_PACKET_BYTES)]
    path.write_bytes(b"".join(packet for number, packet in enumerate(kept, 1) if number % every))
    return path


def joined(folder: Path, name: str, **options) -> Path:
    """Two recordings of 4 s, numbered on, in one file as `cat` makes it."""
    from tests.videos import barcode

    parts = []
    for part in range(2):
        pictures = [barcode(100 * part + number, 160, 96) for number in range(100)]
        parts.append(write_video(folder / f"part{part}-{name}", num_frames=100, pictures=pictures, **options))
    path = folder / name
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def with_damage(path: Path, number: int, *, share: float = 0.5) -> Path:
    """The packet `number` with its middle overwritten."""
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][number]
        at, size = packet.pos, packet.size
    data = bytearray(path.read_bytes())
    first = at + int(size * share)
    data[first : first + 40] = bytes(value ^ 0x5A for value in data[first : first + 40])
    path.write_bytes(data)
    return path


def with_exif(source: Path, path: Path) -> Path:
    """An MJPEG video whose frames carry EXIF, as cameras write it."""
    exif = (
        b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00"
    )
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    with av.open(str(source)) as given, av.open(str(path), "w") as output:
        stream = given.streams.video[0]
        copy = output.add_stream_from_template(stream)
        for packet in given.demux(stream):
            if not packet.size:
                continue
            picture = bytes(packet)
            changed = Packet(picture[:2] + segment + picture[2:])
            changed.pts, changed.dts, changed.duration = packet.pts, packet.dts, packet.duration
            changed.time_base, changed.is_keyframe, changed.stream = packet.time_base, True, copy
            output.mux(changed)
    return path
