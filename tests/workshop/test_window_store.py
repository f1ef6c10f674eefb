import numpy as np
import pytest

from nrray.errors import DataError
from nrray.types import Frames
from nrray.workshop.window_store import LabelledFrames, case_subset, open_windows, write_windows


def chunk(case, *, num_frames, fill):
    """Windows of two frames, one window per frame but the last."""
    starts = np.arange(num_frames - 1)
    frames = Frames(
        pixels=np.full((num_frames, 4, 4, 3), fill, dtype=np.uint8),
        pts_us=np.arange(num_frames, dtype=np.int64) * 250_000,
        window_frames=np.stack([starts, starts + 1], axis=1).astype(np.int32),
        window_start_us=starts * 250_000,
        window_end_us=(starts + 2) * 250_000,
        frames_per_second=4.0,
    )
    targets = np.stack([starts % 2 == 0, np.full(num_frames - 1, bool(case))], axis=1)
    return LabelledFrames(case=case, frames=frames, targets=targets, captions=[f"case {case}"] * len(targets))


@pytest.fixture
def windows(tmp_path):
    return write_windows([chunk(0, num_frames=5, fill=10), chunk(1, num_frames=4, fill=20)], tmp_path)


def test_every_frame_is_stored_once_and_windows_point_at_their_own(windows):
    assert windows.pixels.shape == (9, 4, 4, 3)
    assert windows.window_frames.tolist() == [[0, 1], [1, 2], [2, 3], [3, 4], [5, 6], [6, 7], [7, 8]]
    assert windows.batch(np.array([4])).unique().tolist() == [20]
    assert windows.cases.tolist() == [0, 0, 0, 0, 1, 1, 1]


def test_a_finished_store_opens_again(windows, tmp_path):
    again = open_windows(tmp_path)
    np.testing.assert_array_equal(again.pixels, windows.pixels)
    np.testing.assert_array_equal(again.targets, windows.targets)


def test_a_subset_holds_its_cases_and_every_nth_window_of_each(windows):
    assert case_subset(windows, [1]).window_frames.tolist() == [[5, 6], [6, 7], [7, 8]]
    assert case_subset(windows, [0, 1], every=2).window_frames.tolist() == [[0, 1], [2, 3], [5, 6], [7, 8]]


def test_a_store_without_windows_or_without_an_index_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no labelled frames"):
        write_windows([], tmp_path / "none")
    with pytest.raises(DataError, match="expected a finished window store"):
        open_windows(tmp_path / "none")
