"""The numbers of MPEG-2's pictures: those of whole videos are in order, and a missing one breaks it."""

import av
import pytest

from nrray.decode.display_order import DisplayOrder
from tests.videos import write_video

INTRA, BIDIRECTIONAL = 1, 3  # picture_coding_type
INTERLACED = {"codec_options": {"flags": "+ilme+ildct"}}


def packets(path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def broken(given: list[bytes]) -> list[int]:
    order = DisplayOrder()
    return [number for number, data in enumerate(given) if order.is_broken_at(data)]


@pytest.mark.parametrize("options", [{"b_frames": 0}, {"b_frames": 2}, {"b_frames": 2, **INTERLACED}, {"gop": 1}])
@pytest.mark.parametrize("name", ["v.ts", "v.mpg"])
def test_a_whole_video_is_in_order(tmp_path, name, options):
    assert broken(packets(write_video(tmp_path / name, codec="mpeg2video", num_frames=100, **options))) == []


@pytest.mark.parametrize("b_frames", [0, 2])
def test_a_missing_picture_that_others_refer_to_is_missed(tmp_path, b_frames):
    path = write_video(tmp_path / "v.ts", codec="mpeg2video", num_frames=100, b_frames=b_frames)
    given = packets(path)
    kinds = [data[data.find(b"\0\0\1\0") + 5] >> 3 & 7 for data in given]
    referred = [number for number, kind in enumerate(kinds) if kind != BIDIRECTIONAL and 30 < number < 90]
    for number in referred:
        found = broken(given[:number] + given[number + 1 :])
        following = next((later for later in range(number + 1, 100) if kinds[later] == INTRA), 100)
        if following > number + 1:  # else nobody refers to it
            assert found, number
            assert number <= found[0] < following


def test_an_encoder_that_numbers_otherwise_is_not_believed(tmp_path):
    given = packets(write_video(tmp_path / "v.ts", codec="mpeg2video", num_frames=60, b_frames=0))
    numbered = []
    for data in given:
        at = data.find(b"\0\0\1\0")
        numbered.append(data[: at + 4] + b"\0" + bytes([data[at + 5] & 0x3F]) + data[at + 6 :])
    assert broken(numbered) == []
