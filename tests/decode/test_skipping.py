"""Frames that nobody needs are not decoded, and nobody can tell: what comes out is what decoding all of them gives."""

import numpy as np
import pytest

import nrray.decode.reading as reading
from nrray.decode import FrameRequest, SampledFrames, probe_video, sample_frames
from nrray.decode.pyav_backend import forget_reading
from nrray.decode.skipping import Skipper
from nrray.errors import DecodeError
from tests.decode.asking import CONFIG, grid_request
from tests.videos import write_video

X265 = "log-level=none:pools=1"
CODED = {
    "plain.mp4": {"codec_options": {"bf": "3"}},
    "pyramid.mkv": {"b_frames": 8, "gop": 50, "codec_options": {"b-pyramid": "normal", "refs": "16"}},
    "open.ts": {"b_frames": 5, "codec_options": {"x264-params": "open-gop=1:b-adapt=0"}},
    "late.flv": {"b_frames": 3, "gop": 250, "start_us": 1_400_000},
    "hevc.mkv": {"codec": "libx265", "b_frames": 3},
    "hevc_open.ts": {
        "codec": "libx265",
        "codec_options": {"x265-params": f"{X265}:bframes=4:rc-lookahead=10:keyint=20:open-gop=1"},
    },
    "hevc_layers.mp4": {
        "codec": "libx265",
        "codec_options": {"x265-params": f"{X265}:bframes=4:keyint=24:temporal-layers=3"},
    },
    "mpeg1.ts": {"codec": "mpeg1video", "codec_options": {"bf": "2"}},
    "mpeg2.ts": {"codec": "mpeg2video", "b_frames": 2},
    "mpeg2.mkv": {"codec": "mpeg2video", "b_frames": 2, "gop": 15},
    "mpeg4.mp4": {"codec": "mpeg4", "b_frames": 2},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "prores.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le"},
    "short_groups.mp4": {"b_frames": 2, "gop": 6},
    "variable.mkv": {"b_frames": 3, "pts_us": np.cumsum(np.tile([20, 40, 41, 300, 40], 20) * 1000).tolist()},
}
SPANS_S = (
    (0.0, 4.0, 4),
    (1.1, 2.3, 7.5),
    (2.05, 2.06, 30),
    (0.9, 4.0, 1),
    (0.0, 4.0, 12.5),
)  # from, to, samples per second


@pytest.fixture
def passed(monkeypatch):
    """PTS of frames that were not decoded."""
    told, seen = Skipper.passed_over, []

    def noted(self: Skipper, pts: int) -> list[int]:
        found = told(self, pts)
        seen.extend(found)
        return found

    monkeypatch.setattr(Skipper, "passed_over", noted)
    return seen


def sampled(path, span_s, *, skips, monkeypatch) -> SampledFrames | str:
    """The frames, or what is said where there are none."""
    facts = probe_video(str(path), CONFIG)
    start_s, end_s, fps = span_s
    request = FrameRequest(
        uri=str(path),
        sample_us=facts.start_us + np.rint(np.arange(start_s, end_s, 1 / fps) * 1e6).astype(np.int64),
        width_px=80,
        height_px=48,
        video_end_us=facts.start_us + facts.duration_us,
        seekable=facts.seekable,
    )
    with monkeypatch.context() as patch:
        if not skips:
            patch.setattr(reading, "can_skip", lambda *_: False)
        forget_reading()
        try:
            return sample_frames(request, CONFIG)
        except DecodeError as error:
            return str(error)


def assert_same(path, monkeypatch) -> None:
    for span_s in SPANS_S:
        some, every = (sampled(path, span_s, skips=skips, monkeypatch=monkeypatch) for skips in (True, False))
        if isinstance(every, str):
            assert some == every
            continue
        assert np.array_equal(some.pixels, every.pixels)
        assert some.pts_us.tolist() == every.pts_us.tolist()
        assert some.frame_of_sample.tolist() == every.frame_of_sample.tolist()
        assert some.shortfall == every.shortfall


@pytest.mark.parametrize("name", CODED)
def test_what_is_skipped_is_not_missed(name, tmp_path, monkeypatch, passed):
    path = write_video(tmp_path / name, num_frames=100, **CODED[name])
    assert_same(path, monkeypatch)
    assert len(passed) > 30


@pytest.mark.parametrize("place", [0.3, 0.5, 0.7])
def test_a_damaged_video_is_decoded_whole(place, tmp_path, monkeypatch):
    path = write_video(tmp_path / "damaged.mkv", num_frames=100, b_frames=3)
    data = bytearray(path.read_bytes())
    middle = int(len(data) * place)
    data[middle : middle + 40] = bytes(40)
    path.write_bytes(data)
    assert_same(path, monkeypatch)


def test_a_cut_video_ends_where_it_ends(tmp_path, monkeypatch):
    path = write_video(tmp_path / "cut.mkv", num_frames=100, b_frames=3)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert_same(path, monkeypatch)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("v.avi", "libx264", {}),
        ("v.webm", "libvpx-vp9", {}),
        ("fields.mov", "libx264", {"x264-params": "interlaced=1"}),
        ("fields.ts", "mpeg2video", {"flags": "+ilme+ildct"}),
    ],
)
def test_what_does_not_say_for_certain_or_needs_its_neighbours_is_decoded_whole(
    name, codec, options, tmp_path, monkeypatch, passed
):
    path = write_video(tmp_path / name, codec=codec, num_frames=100, b_frames=3, codec_options=options)
    assert_same(path, monkeypatch)
    assert not passed


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_a_decoder_of_several_threads_is_not_given_them_either(codec, tmp_path, passed):
    path = write_video(tmp_path / "v.mkv", codec=codec, num_frames=100, b_frames=3)
    asked = grid_request(path)
    forget_reading()
    one = sample_frames(asked, CONFIG)
    assert passed
    passed.clear()
    four = sample_frames(asked, CONFIG.model_copy(update={"threads": 4}))
    assert passed
    assert np.array_equal(one.pixels, four.pixels)
