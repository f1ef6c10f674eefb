"""Pictures of 16,384 x 16,384: refused before they are decoded, or, where somebody allows them, ended by the limit of memory; the
next file is decoded all the same."""

import struct
import zlib
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import pytest
from PIL import Image

from nrray.decode import GuardedDecoder
from nrray.decode.request import DecodeConfig
from nrray.errors import DecodeError, ErrorKind
from tests.decode.asking import request
from tests.videos import frame_number, write_video

FFMPEG_SIDE_PX = 16_256  # it takes no square above that; one of 16,000 x 16,000 is 768 MB in RGB


@dataclass(frozen=True, kw_only=True)
class Large:
    """A video of square pictures."""

    path: Path
    side_px: int


def black_png(side_px: int) -> bytes:
    """A PNG of a whole picture in black, in less than a megabyte."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    packer = zlib.compressobj(1)
    row = bytes(1 + 3 * side_px)
    pixels = b"".join(packer.compress(row) for _ in range(side_px)) + packer.flush()
    header = struct.pack(">IIBBBBB", side_px, side_px, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def gray_jpeg(side_px: int) -> bytes:
    """A JPEG of a whole picture in gray."""
    buffer = BytesIO()
    Image.new("L", (side_px, side_px), 128).save(buffer, "jpeg")
    return buffer.getvalue()


LARGE = [
    pytest.param(("mjpeg", 16_000), id="mjpeg"),
    pytest.param(("mjpeg", 16_384), id="larger mjpeg", marks=pytest.mark.harsh),
    pytest.param(("png", 16_000), id="png", marks=pytest.mark.harsh),
    pytest.param(("png", 16_384), id="larger png", marks=pytest.mark.harsh),
]


@pytest.fixture(scope="module", params=LARGE)
def large(request, tmp_path_factory) -> Large:
    """A video of four such pictures."""
    codec, side_px = request.param
    picture = {"png": black_png, "mjpeg": gray_jpeg}[codec](side_px)
    path = tmp_path_factory.mktemp("large") / f"{codec}.mov"
    with av.open(str(path), "w") as output:
        stream = output.add_mux_stream(codec, rate=2, width=side_px, height=side_px)
        for number in range(4):
            packet = av.Packet(picture)
            packet.stream, packet.pts, packet.dts = stream, 500 * number, 500 * number
            packet.time_base, packet.is_keyframe = Fraction(1, 1000), True
            output.mux(packet)
    return Large(path=path, side_px=side_px)


def outcome(decoder: GuardedDecoder, call: str, path: Path) -> ErrorKind:
    ask = {
        "probe": lambda: decoder.probe(str(path)),
        "sample": lambda: decoder.sample(request(path, [0, 500_000], end_us=2_000_000)),
    }
    with pytest.raises(DecodeError) as refused:
        ask[call]()
    return refused.value.kind


def assert_costs_its_own_file(large: Large, config: DecodeConfig, expected: ErrorKind, sound: Path) -> None:
    with GuardedDecoder(config) as decoder:
        for call in ("probe", "sample"):
            assert outcome(decoder, call, large.path) is (
                expected if large.side_px < FFMPEG_SIDE_PX else ErrorKind.DECODE_FAILED
            )
        frames = decoder.sample(request(sound, [0, 1_000_000], end_us=2_000_000))
        assert [frame_number(picture) for picture in frames.pixels] == [0, 25]


def test_they_are_refused_before_they_are_decoded(large, tmp_path):
    sound = write_video(tmp_path / "sound.mp4")
    assert_costs_its_own_file(large, DecodeConfig(), ErrorKind.TOO_LARGE, sound)


def test_where_they_are_allowed_the_limit_of_memory_ends_their_decoder(large, tmp_path):
    sound = write_video(tmp_path / "sound.mp4")
    allowed = DecodeConfig(max_frame_pixels=16_384**2, max_memory_mib=200)
    assert_costs_its_own_file(large, allowed, ErrorKind.DECODER_MEMORY, sound)
