"""What a probe says of a file."""

import struct
from fractions import Fraction

import pytest

from nrray.decode import probe_video
from nrray.decode.request import DecodeConfig
from tests.decode.asking import CONFIG
from tests.videos import write_video


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.ts", "v.avi"])
def test_facts_of_a_plain_video(tmp_path, name):
    facts = probe_video(str(write_video(tmp_path / name, num_frames=100)), CONFIG)
    assert (facts.codec, facts.pixel_format, facts.width_px, facts.height_px) == ("h264", "yuv420p", 160, 96)
    assert facts.duration_us == pytest.approx(4_000_000, abs=45_000)
    assert facts.measured_fps == pytest.approx(25, abs=0.01)
    assert facts.nominal_fps == pytest.approx(25, abs=0.01)
    assert not facts.is_variable_fps
    assert facts.seekable


def test_a_rate_in_milliseconds_is_not_variable(tmp_path):
    facts = probe_video(str(write_video(tmp_path / "v.mkv", fps=Fraction(30000, 1001), num_frames=90)), CONFIG)
    assert not facts.is_variable_fps
    assert facts.measured_fps == pytest.approx(29.97, abs=0.02)


@pytest.mark.parametrize(("wobble_us", "is_variable"), [(8_000, False), (12_000, True)])
def test_gaps_that_differ_by_less_than_a_tenth_are_of_a_constant_rate(tmp_path, wobble_us, is_variable):
    times_us = [n * 200_000 + (n % 2) * wobble_us for n in range(30)]
    facts = probe_video(str(write_video(tmp_path / "v.mkv", fps=5, pts_us=times_us, num_frames=30)), CONFIG)
    assert facts.is_variable_fps is is_variable


def test_a_nominal_rate_may_differ_from_the_measured_one(tmp_path):
    times_us = [n * 37_000 for n in range(60)]
    path = write_video(tmp_path / "v.mkv", fps=120, pts_us=times_us, num_frames=60)
    facts = probe_video(str(path), CONFIG)
    assert facts.nominal_fps == pytest.approx(120, abs=1)
    assert facts.measured_fps == pytest.approx(1e6 / 37_000, abs=0.1)


def test_width_and_height_are_as_stored_and_rotation_says_the_rest(tmp_path):
    facts = probe_video(str(write_video(tmp_path / "v.mp4", rotation_degrees=90)), CONFIG)
    assert (facts.width_px, facts.height_px, facts.rotation_degrees) == (96, 160, 90)


@pytest.mark.parametrize("movflags", ["frag_keyframe+empty_moov", "frag_keyframe", "faststart"])
def test_a_fragmented_mp4_has_its_whole_length(tmp_path, movflags):
    path = write_video(tmp_path / "v.mp4", num_frames=100, container_options={"movflags": movflags})
    assert probe_video(str(path), CONFIG).duration_us == pytest.approx(4_000_000, abs=1000)


def test_sound_longer_than_the_picture_does_not_lengthen_the_video(tmp_path):
    path = write_video(tmp_path / "v.mkv", num_frames=50, with_audio=True)
    assert probe_video(str(path), CONFIG).duration_us == pytest.approx(2_000_000, abs=1000)


def test_a_video_as_a_uri_is_the_same(tmp_path):
    path = write_video(tmp_path / "v.mp4")
    assert probe_video(f"file://{path}", CONFIG) == probe_video(str(path), CONFIG)


def test_a_remote_video_is_read_through_fsspec(tmp_path):
    path = write_video(tmp_path / "v.mp4")
    assert probe_video(f"local://{path}", CONFIG) == probe_video(str(path), CONFIG)


def test_a_stream_whose_key_frames_cannot_be_decoded_from_is_not_seekable(tmp_path):
    # An index that calls every picture a key frame: seeks arrive at pictures that refer to what was skipped.
    path = write_video(tmp_path / "v.mp4", codec="mpeg4", b_frames=0, num_frames=100, gop=100)
    data = path.read_bytes()
    assert data.count(b"stss") == 1
    path.write_bytes(data.replace(b"stss", b"free"))
    facts = probe_video(str(path), DecodeConfig())
    assert not facts.seekable


@pytest.mark.parametrize("share", [0.0, 0.5, 0.75])
def test_one_key_frame_that_cannot_be_decoded_from_is_found(tmp_path, share):
    """The second, and those at which seeks to the middle and to three quarters arrive."""
    path = write_video(tmp_path / "v.mp4", codec="mpeg4", b_frames=0, num_frames=100, gop=12)
    assert probe_video(str(path), CONFIG).seekable
    data = bytearray(path.read_bytes())
    table = data.index(b"stss") + 8  # the box of key frames: number of entries, then pictures from 1
    keys = struct.unpack_from(f">{struct.unpack_from('>I', data, table)[0]}I", data, table + 4)
    chosen = max(1, sum(key <= 1 + 100 * share for key in keys) - 1)
    struct.pack_into(">I", data, table + 4 + 4 * chosen, keys[chosen] + 1)  # the next one, which refers to it
    path.write_bytes(data)
    assert not probe_video(str(path), CONFIG).seekable


def test_the_rate_is_not_taken_from_packets_that_others_belong_between(tmp_path):
    options = {"x264-params": "b-adapt=0:scenecut=0"}
    path = write_video(tmp_path / "v.mkv", num_frames=330, b_frames=8, gop=250, size=(64, 48), codec_options=options)
    facts = probe_video(str(path), CONFIG)
    assert facts.measured_fps == pytest.approx(25, abs=0.01)
    assert not facts.is_variable_fps
