"""Which frame each sample gets, read from the pictures themselves, over codecs, containers and clocks."""

from fractions import Fraction

import numpy as np
import pytest

from nrray.decode import probe_video, sample_frames
from tests.decode.asking import CONFIG, grid_request, grid_us, numbers, request
from tests.videos import write_video

FORMATS = {
    "h264.mp4": {},
    "h264.mkv": {},
    "h264.ts": {},
    "h264.avi": {},
    "h264_open_gop.mp4": {"codec_options": {"x264-params": "open-gop=1:scenecut=0"}},
    "h264_fragmented.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "hevc.mp4": {"codec": "libx265"},
    "hevc_10bit.mkv": {"codec": "libx265", "pix_fmt": "yuv420p10le"},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "av1.mkv": {"codec": "libsvtav1"},
    "av1.mp4": {"codec": "libsvtav1"},
    "mpeg4.avi": {"codec": "mpeg4"},
    "mpeg4.mp4": {"codec": "mpeg4"},
    "mpeg2.ts": {"codec": "mpeg2video"},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "mjpeg.mkv": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
}


@pytest.fixture(scope="module")
def video_of(tmp_path_factory):
    folder = tmp_path_factory.mktemp("formats")
    written = {}

    def path_of(name):
        if name not in written:
            written[name] = write_video(folder / name, num_frames=75, **FORMATS[name])
        return written[name]

    return path_of


@pytest.mark.parametrize("name", FORMATS)
def test_each_sample_gets_the_last_frame_at_or_before_it(video_of, name):
    asked = grid_request(video_of(name))
    frames = sample_frames(asked, CONFIG)
    start_us = int(asked.sample_us[0])
    assert numbers(frames) == [(t - start_us) // 40_000 for t in asked.sample_us.tolist()]
    assert frames.shortfall == ""


@pytest.mark.parametrize("name", FORMATS)
def test_a_unit_from_the_middle_equals_the_same_samples_of_one_pass(video_of, name):
    asked = grid_request(video_of(name))
    whole = sample_frames(asked, CONFIG)
    for first in range(1, len(asked.sample_us) - 4, 3):
        part = sample_frames(request(asked.uri, asked.sample_us[first : first + 4], end_us=asked.video_end_us), CONFIG)
        rows = whole.frame_of_sample[first : first + 4]
        assert part.pts_us[part.frame_of_sample].tolist() == whole.pts_us[rows].tolist()
        assert (part.pixels[part.frame_of_sample] == whole.pixels[rows]).all()


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_said_not_to_be_seekable_gives_the_same_frames(video_of, name):
    facts = probe_video(str(video_of(name)), CONFIG)
    samples = grid_us(facts)[-3:]
    end_us = facts.start_us + facts.duration_us
    seeking = sample_frames(request(video_of(name), samples, end_us=end_us), CONFIG)
    straight = sample_frames(request(video_of(name), samples, end_us=end_us, seekable=False), CONFIG)
    assert numbers(seeking) == numbers(straight)
    assert (seeking.pixels == straight.pixels).all()


def test_a_sample_at_the_rounded_time_of_a_frame_picks_that_frame(tmp_path):
    path = write_video(tmp_path / "ntsc.mp4", fps=Fraction(30000, 1001), num_frames=60)
    times_us = [round(Fraction(n * 1001, 30000) * 1_000_000) for n in range(60)]
    at = sample_frames(request(path, times_us, end_us=2_002_000), CONFIG)
    assert numbers(at) == list(range(60))
    just_before = sample_frames(request(path, [t - 1 for t in times_us[1:]], end_us=2_002_000), CONFIG)
    assert numbers(just_before) == list(range(59))


@pytest.mark.parametrize("name", ["variable.mp4", "variable.mkv"])
def test_a_long_gap_of_a_variable_rate_is_served_by_the_frame_before_it(tmp_path, name):
    times_us = [0, 40_000, 80_000, 1_900_000, 1_940_000, 2_500_000, 2_540_000, 2_580_000]
    path = write_video(tmp_path / name, num_frames=8, pts_us=times_us)
    samples = np.arange(0, 2_600_000, 100_000)
    frames = sample_frames(request(path, samples, end_us=2_620_000), CONFIG)
    assert numbers(frames) == [sum(t <= s for t in times_us) - 1 for s in samples.tolist()]
    assert probe_video(str(path), CONFIG).is_variable_fps


def test_samples_of_a_low_rate_share_frames_and_each_frame_is_stored_once(tmp_path):
    path = write_video(tmp_path / "slow.mkv", fps=1, num_frames=6, b_frames=0)
    frames = sample_frames(grid_request(path), CONFIG)
    assert len(frames.pixels) == 6
    assert numbers(frames) == [n for n in range(6) for _ in range(4)]


@pytest.mark.parametrize("start_us", [5_000_000, 66_000])
def test_times_count_from_the_files_own_clock(tmp_path, start_us):
    path = write_video(tmp_path / "late.mkv", start_us=start_us)
    facts = probe_video(str(path), CONFIG)
    assert facts.start_us == start_us
    frames = sample_frames(grid_request(path), CONFIG)
    assert numbers(frames) == [0, 6, 12, 18, 25, 31, 37, 43]


def test_a_sample_within_a_frame_before_the_first_gets_the_first_and_an_earlier_one_none(tmp_path):
    path = write_video(tmp_path / "late.mkv", start_us=1_000_000)
    frames = sample_frames(request(path, [0, 900_000, 970_000, 1_000_000], end_us=3_000_000), CONFIG)
    assert numbers(frames) == [None, None, 0, 0]
    assert "first picture is at 1.00 s" in frames.shortfall


def test_samples_past_the_end_repeat_the_last_frame(tmp_path):
    path = write_video(tmp_path / "end.mp4", num_frames=50)
    frames = sample_frames(request(path, [1_900_000, 1_990_000, 2_250_000, 4_000_000], end_us=2_000_000), CONFIG)
    assert numbers(frames) == [47, 49, 49, 49]
    assert frames.shortfall == ""


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("name", ["turned.mp4", "turned.mkv"])
def test_a_turned_picture_comes_out_upright(tmp_path, rotation, name):
    path = write_video(tmp_path / name, rotation_degrees=rotation)
    assert probe_video(str(path), CONFIG).rotation_degrees == rotation
    frames = sample_frames(grid_request(path), CONFIG)
    assert frames.pixels.shape[1:] == (48, 80, 3)
    assert numbers(frames) == [0, 6, 12, 18, 25, 31, 37, 43]


@pytest.mark.parametrize("size", [(162, 98), (50, 34), (321, 97)])
def test_odd_sizes_are_scaled_to_what_is_asked(tmp_path, size):
    even = size[0] % 2 == 0
    path = write_video(tmp_path / "odd.mkv", size=size, pix_fmt="yuv420p" if even else "yuv444p")
    frames = sample_frames(grid_request(path, size=(61, 37)), CONFIG)
    assert frames.pixels.shape[1:] == (37, 61, 3)
    assert frames.pixels.flags.c_contiguous
    assert numbers(frames) == [0, 6, 12, 18, 25, 31, 37, 43]


def test_several_threads_give_the_same_frames(tmp_path):
    asked = grid_request(write_video(tmp_path / "threads.mp4", num_frames=75))
    one = sample_frames(asked, CONFIG)
    four = sample_frames(asked, CONFIG.model_copy(update={"threads": 4}))
    assert (one.pixels == four.pixels).all()
    assert one.pts_us.tolist() == four.pts_us.tolist()


def test_unsorted_samples_or_none_are_a_programming_error(tmp_path):
    path = write_video(tmp_path / "any.mp4", num_frames=5)
    for sample_us in ([100_000, 0], []):
        with pytest.raises(ValueError, match="at least one time and be sorted"):
            sample_frames(request(path, sample_us, end_us=200_000), CONFIG)
