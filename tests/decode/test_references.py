"""What packets say of their pictures: who may refer to them, and what holds from then on."""

from collections import Counter

import av
import pytest

from nrray.decode.references import PictureHeader, Role, header_reader
from tests.videos import write_video

X265 = "log-level=none:pools=1"


def headers(path) -> list[PictureHeader | None]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        read = header_reader(stream)
        assert read is not None
        return [read(bytes(packet)) for packet in container.demux(stream) if packet.size]


INTRA, BIDIRECTIONAL = 1, 3  # AVPictureType


def kinds(path) -> Counter[int]:
    """How many pictures of each kind a decoder finds."""
    with av.open(str(path)) as container:
        return Counter(frame.pict_type for frame in container.decode(video=0))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("v.mp4", {"codec_options": {"x264-params": "b-pyramid=none:b-adapt=0:scenecut=0"}}),
        ("v.ts", {"codec_options": {"x264-params": "b-pyramid=none:b-adapt=0:scenecut=0"}}),
        ("v.ts", {"codec": "libx265", "codec_options": {"x265-params": f"{X265}:b-pyramid=0:bframes=2"}}),
        ("v.mkv", {"codec": "libx265", "codec_options": {"x265-params": f"{X265}:b-pyramid=0:bframes=2"}}),
        ("v.mkv", {"codec": "mpeg2video"}),
        ("v.ts", {"codec": "mpeg1video", "codec_options": {"bf": "2"}}),
        ("v.mp4", {"codec": "mpeg4"}),
    ],
)
def test_without_a_pyramid_bidirectional_pictures_are_leaves(name, options, tmp_path):
    path = write_video(tmp_path / name, num_frames=50, b_frames=2, **options)
    counts = Counter(header.role for header in headers(path))
    names = kinds(path)
    assert counts[Role.LEAF] == names[BIDIRECTIONAL] > 10
    assert counts[Role.ENTRY] == names[INTRA] > 1


def test_pictures_of_a_lower_temporal_layer_are_no_leaves(tmp_path):
    params = f"{X265}:bframes=4:temporal-layers=3"
    path = write_video(tmp_path / "v.mp4", codec="libx265", num_frames=50, codec_options={"x265-params": params})
    layers = []
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            data, at = bytes(packet), 0
            while at + 5 < len(data):
                if data[at + 4] >> 1 & 63 < 32:
                    layers.append((data[at + 5] & 7) - 1)
                    break
                at += 4 + int.from_bytes(data[at : at + 4], "big")
    found = headers(path)
    assert len(set(layers)) > 1
    assert {layer for layer, header in zip(layers, found, strict=True) if header.role is Role.LEAF} == {max(layers)}


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg2video"])
def test_parameters_that_are_repeated_are_settings_once(codec, tmp_path):
    path = write_video(tmp_path / "v.ts", codec=codec, num_frames=60, gop=12)
    assert [number for number, header in enumerate(headers(path)) if header.has_settings] == [0]


def test_parameters_that_change_are_settings_again(tmp_path):
    parts = [
        write_video(tmp_path / f"{qp}.ts", num_frames=24, codec_options={"x264-params": f"qp={qp}:bframes=0"})
        for qp in (20, 35, 20)
    ]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert [number for number, header in enumerate(headers(path)) if header.has_settings] == [0, 24, 48]


def test_a_jpeg_with_the_tables_of_another_says_nothing():
    with av.open("/dev/null", "w", format="avi") as container:
        stream = container.add_stream("mjpeg", rate=25)
        read = header_reader(stream)
    assert read(b"\xff\xd8\xff\xdb\0\3\0\xff\xd9") == PictureHeader(role=Role.LEAF)
    assert read(b"\xff\xd8\xff\xd9") is None


@pytest.mark.parametrize(
    ("name", "codec"), [("v.mp4", "libx264"), ("v.ts", "libx264"), ("v.mp4", "libx265"), ("v.ts", "mpeg2video")]
)
def test_no_packet_is_too_damaged_to_be_read(name, codec, tmp_path):
    path = write_video(tmp_path / name, codec=codec, num_frames=12)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        read = header_reader(stream)
        for packet in container.demux(stream):
            data = bytes(packet)
            for length in [*range(20), len(data) // 2]:
                read(data[:length])
                read(b"\0\0\1" + data[:length])
    assert read(b"") is None


@pytest.mark.parametrize("name", ["v.webm", "v.mkv"])
def test_codecs_that_hide_it_have_no_reader(name, tmp_path):
    codec = "libvpx-vp9" if name == "v.webm" else "libsvtav1"
    with av.open(str(write_video(tmp_path / name, codec=codec, num_frames=5))) as container:
        assert header_reader(container.streams.video[0]) is None
