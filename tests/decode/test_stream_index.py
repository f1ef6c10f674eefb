"""The times of all frames, read from packets of real videos."""

import pytest

from nrray.decode import probe_video
from nrray.decode.stream_index import read_stream_index, serve_from_index
from nrray.errors import DecodeError, ErrorKind
from tests.decode.asking import CONFIG, request
from tests.videos import write_video


def test_the_times_of_all_frames_rise_whatever_the_order_in_the_file(tmp_path):
    times_us = [n * 40_000 + (n > 20) * 900_000 for n in range(40)]
    path = write_video(tmp_path / "v.mkv", num_frames=40, b_frames=3, pts_us=times_us)
    index = read_stream_index(str(path), CONFIG)
    assert index.frame_us.tolist() == times_us
    assert index.stop_reason == ""
    assert index.num_video_streams == 1


def test_open_groups_of_pictures_are_told_from_closed_ones(tmp_path):
    closed = write_video(tmp_path / "closed.mp4", b_frames=3)
    opened = write_video(
        tmp_path / "open.ts", num_frames=75, b_frames=3, codec_options={"x264-params": "open-gop=1:scenecut=0"}
    )
    assert read_stream_index(str(closed), CONFIG).has_closed_groups
    assert not read_stream_index(str(opened), CONFIG).has_closed_groups


def test_samples_are_served_as_by_any_backend_and_none_at_all_is_an_error(tmp_path):
    path = write_video(tmp_path / "late.mkv", start_us=1_000_000)
    facts = probe_video(str(path), CONFIG)
    index, end_us = read_stream_index(str(path), CONFIG), facts.start_us + facts.duration_us
    service = serve_from_index(index, request(path, [0, 970_000, 1_000_000, 1_500_000], end_us=end_us))
    assert service.frame_of_sample.tolist() == [-1, 0, 0, 12]
    with pytest.raises(DecodeError, match=r"first picture is at 1\.00 s") as caught:
        serve_from_index(index, request(path, [0, 500_000], end_us=end_us))
    assert caught.value.kind is ErrorKind.DECODE_FAILED


def test_a_file_that_was_cut_off_has_the_times_of_what_is_left(tmp_path):
    path = write_video(tmp_path / "cut.mkv", num_frames=200)
    whole = read_stream_index(str(path), CONFIG)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    cut = read_stream_index(str(path), CONFIG)
    assert 20 < len(cut.frame_us) < 180
    assert set(cut.frame_us.tolist()) <= set(whole.frame_us.tolist())
    assert cut.frame_us[-1] < 5_000_000
