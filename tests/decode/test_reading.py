"""Requests that follow each other share a decoder, and nobody can tell from the frames."""

import os

import numpy as np
import pytest

from nrray.decode import FrameRequest, probe_video, sample_frames
from nrray.decode.pyav_backend import forget_reading
from nrray.decode.reading import Reading
from tests.decode.asking import CONFIG, numbers, request_of
from tests.decode.recorders import joined, patched_stamps, with_damage
from tests.videos import barcode, write_video

UNIT, OVERLAP = 12, 4


def units_of(asked: FrameRequest) -> list[FrameRequest]:
    """As windows that overlap are packed: each unit begins with samples that the one before ended with."""
    starts = range(0, len(asked.sample_us) - OVERLAP, UNIT - OVERLAP)
    return [FrameRequest(**{**vars(asked), "sample_us": asked.sample_us[start : start + UNIT]}) for start in starts]


@pytest.fixture
def decoded(monkeypatch):
    """Packets given to decoders, one entry each."""
    given, own = [], Reading._decoded

    def noted(self, packet):
        given.append(packet.pts)
        return own(self, packet)

    monkeypatch.setattr(Reading, "_decoded", noted)
    return given


def one_key(folder):
    return write_video(folder / "long.mp4", num_frames=250, gop=10_000, codec_options={"x264-params": "scenecut=0"})


def restarting(folder):
    return joined(folder, "two.ts")


def outlying(folder):
    return patched_stamps(write_video(folder / "o.ts", num_frames=250, b_frames=0), ahead_us=10**10, numbers=(60,))


def unordered(folder):
    return write_video(folder / "b.avi", num_frames=250, gop=10_000, codec_options={"x264-params": "scenecut=0"})


def damaged(folder):
    path = write_video(folder / "d.mkv", num_frames=250, gop=25, codec_options={"crf": "5"})
    return with_damage(path, 60)


@pytest.mark.parametrize("make", [one_key, restarting, outlying, unordered, damaged])
def test_units_in_a_row_give_the_frames_that_each_gives_alone(tmp_path, make):
    path = make(tmp_path)
    asked = request_of(path, probe_video(str(path), CONFIG))
    in_a_row = [sample_frames(unit, CONFIG) for unit in units_of(asked)]
    for unit, shared in zip(units_of(asked), in_a_row, strict=True):
        forget_reading()
        alone = sample_frames(unit, CONFIG)
        for name in ("pixels", "pts_us", "frame_of_sample", "is_concealed", "is_repeated"):
            assert np.array_equal(getattr(shared, name), getattr(alone, name)), name


@pytest.mark.parametrize("make", [one_key, restarting, unordered])
def test_a_video_that_is_decoded_from_its_start_is_decoded_once(tmp_path, make, decoded):
    path = make(tmp_path)
    asked = request_of(path, probe_video(str(path), CONFIG))
    decoded.clear()
    for unit in units_of(asked):
        sample_frames(unit, CONFIG)
    num_once = 1.4 * asked.video_end_us / 40_000  # the first unit of an AVI is tried in two ways
    assert len(decoded) < num_once


def test_every_second_unit_goes_on_too_where_no_key_frame_is_nearer(tmp_path, decoded):
    path = one_key(tmp_path)
    asked = request_of(path, probe_video(str(path), CONFIG))
    decoded.clear()
    for unit in units_of(asked)[::2]:
        sample_frames(unit, CONFIG)
    assert len(decoded) <= 252


def test_another_file_of_the_same_name_is_decoded_anew(tmp_path):
    path = write_video(tmp_path / "v.mp4", num_frames=100)
    asked = request_of(path, probe_video(str(path), CONFIG))
    first, second = units_of(asked)[:2]
    sample_frames(first, CONFIG)
    pictures = [barcode(500 + number, 160, 96) for number in range(100)]
    write_video(tmp_path / "other.mp4", num_frames=100, pictures=pictures)
    os.replace(tmp_path / "other.mp4", path)
    assert min(numbers(sample_frames(second, CONFIG))) >= 500
