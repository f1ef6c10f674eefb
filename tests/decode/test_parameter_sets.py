"""What parameter sets of H.264 allow."""

import av
import pytest

from nrray.decode.parameter_sets import allows_gaps
from tests.videos import write_video


def allowed(path) -> bool:
    with av.open(str(path)) as container:
        return allows_gaps(container.streams.video[0].codec_context)


class Codec:
    """As a decoder's context tells of its stream."""

    name = "h264"

    def __init__(self, extradata: bytes) -> None:
        self.extradata = extradata


def golomb(value: int) -> str:
    bits = bin(value + 1)[2:]
    return "0" * (len(bits) - 1) + bits


def baseline_set(*, order: int, gaps: int) -> bytes:
    """A sequence parameter set as 7.3.2.1.1 lays it out, as far as the flag."""
    bits = "01000010" + "0" * 8 + "00011110" + golomb(0) + golomb(3) + golomb(order)
    bits += golomb(2) if order == 0 else "0" + golomb(3) + golomb(4) + golomb(2) + golomb(1) * 2 if order == 1 else ""
    bits += golomb(2) + str(gaps) + golomb(9) + golomb(5) + "1"
    bits += "0" * (-len(bits) % 8)
    return b"\x67" + int(bits, 2).to_bytes(len(bits) // 8, "big")


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("gaps", [0, 1])
def test_the_flag_is_read_whatever_the_order_of_pictures_is_told_by(order, gaps):
    unit = baseline_set(order=order, gaps=gaps)
    record = b"\1\x42\0\x1e\xff\xe1" + len(unit).to_bytes(2, "big") + unit + b"\1\0\4\x68\xce\x3c\x80"
    for extradata in (record, b"\0\0\0\1" + unit + b"\0\0\1\x68\xce\x3c\x80"):
        assert allows_gaps(Codec(extradata)) == bool(gaps)


def test_a_set_that_is_cut_off_forbids_nothing():
    assert allows_gaps(Codec(b"\0\0\1" + baseline_set(order=0, gaps=0)[:4]))
    assert not allows_gaps(Codec(b""))


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.ts", "v.flv"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"codec_options": {"profile": "baseline", "x264-params": "bframes=0"}},
        {"pix_fmt": "yuv444p", "codec_options": {"x264-params": "cqm=jvt"}},
        {"codec_options": {"x264-params": "cqm=jvt"}},
    ],
)
def test_x264_leaves_no_picture_out(tmp_path, name, options):
    assert not allowed(write_video(tmp_path / name, num_frames=10, **options))


def test_other_codecs_have_no_such_set(tmp_path):
    assert not allowed(write_video(tmp_path / "v.mp4", codec="mpeg4", num_frames=5))
