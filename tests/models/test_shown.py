"""What stands in the place of a window's frames."""

import numpy as np
import pytest

from nrray.models.measure import synthetic_frames
from nrray.models.shown import GREY, Shown, as_shown


@pytest.fixture
def unit(small_sampling):
    return synthetic_frames(small_sampling, num_windows=4)


@pytest.mark.parametrize("shown", list(Shown))
def test_windows_and_times_stay(unit, shown):
    found = as_shown(unit, shown)
    assert found.pixels.shape == unit.pixels.shape
    assert found.pixels.dtype == np.uint8
    assert found.window_frames.shape == unit.window_frames.shape
    np.testing.assert_array_equal(found.window_start_us, unit.window_start_us)
    np.testing.assert_array_equal(found.pts_us, unit.pts_us)


def test_what_was_filmed_is_shown_as_it_is(unit):
    assert as_shown(unit, Shown.FILMED) is unit


def test_a_blank_frame_is_grey_all_over(unit):
    assert (as_shown(unit, Shown.BLANK).pixels == GREY).all()


def test_a_frozen_window_is_one_of_its_frames_again_and_again(unit):
    found = as_shown(unit, Shown.FROZEN).window_frames
    for row, original in zip(found, unit.window_frames, strict=True):
        assert len(set(row.tolist())) == 1
        assert row[0] == original[len(original) // 2]


def test_a_shuffled_window_has_the_same_frames_in_an_order_of_its_own(unit):
    found = as_shown(unit, Shown.SHUFFLED).window_frames
    np.testing.assert_array_equal(np.sort(found, axis=1), np.sort(unit.window_frames, axis=1))
    assert (found != unit.window_frames).any()
    np.testing.assert_array_equal(found, as_shown(unit, Shown.SHUFFLED).window_frames)
    assert (found != as_shown(unit, Shown.SHUFFLED, seed=1).window_frames).any()


def test_foreign_frames_hold_nothing_of_the_video_and_change(unit):
    found = as_shown(unit, Shown.FOREIGN).pixels
    np.testing.assert_array_equal(found, as_shown(unit, Shown.FOREIGN).pixels)
    assert len({frame.tobytes() for frame in found}) == len(found)
    assert not any((ours == theirs).all() for ours in found for theirs in unit.pixels)
