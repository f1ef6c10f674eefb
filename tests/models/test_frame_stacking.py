from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nrray.models.frame_stacking import LUMA, FrameStacking, stacked
from nrray.models.measure import synthetic_frames
from nrray.sampling import Sampling
from nrray.workshop.recipe import window_images
from nrray.workshop.window_store import WindowSet

SAMPLING = Sampling(
    frames_per_second=4.0, window_seconds=3.0, stride_seconds=1.0, frame_width_px=16, frame_height_px=16
)


@pytest.mark.parametrize(
    ("num_frames", "rows"),
    [
        (1, [[0, 0, 0]]),
        (2, [[0, 1, 1]]),
        (3, [[0, 1, 2]]),
        (5, [[0, 1, 2], [2, 3, 4]]),
        (6, [[0, 1, 2], [2, 3, 4]]),
    ],
)
def test_a_picture_shows_three_frames_and_shares_one_with_the_next(num_frames, rows):
    assert FrameStacking.LUMA_TRIPLETS.rows(num_frames).tolist() == rows


def test_what_is_still_is_grey_and_what_moves_is_not():
    unit = synthetic_frames(SAMPLING, num_windows=1)
    unit.pixels[:] = unit.pixels[:1]
    unit.pixels[1:, 3, 5] = 255 - unit.pixels[:1, 3, 5]
    first = stacked(unit, FrameStacking.LUMA_TRIPLETS).pixels[0].astype(int)
    coloured = np.argwhere(first.max(axis=-1) != first.min(axis=-1))
    assert coloured.tolist() == [[3, 5]]


def test_windows_share_their_pictures_and_each_has_its_own_frames():
    unit = synthetic_frames(SAMPLING, num_windows=5)
    shown = stacked(unit, FrameStacking.LUMA_TRIPLETS)
    assert shown.window_frames.shape == (5, 5)
    assert len(shown.pixels) == 5 + 4 * 2  # a stride of four frames brings two pictures
    for window in range(5):
        frames = unit.pixels[unit.window_frames[window]].astype(float)
        luma = frames @ np.array([0.299, 0.587, 0.114])
        expected = np.stack([luma[4 : 6 + 1][i] for i in range(3)], axis=-1)  # the third picture: frames 4, 5, 6
        np.testing.assert_allclose(shown.pixels[shown.window_frames[window, 2]], expected, atol=1.5)
    assert stacked(unit, FrameStacking.FRAMES) is unit


def test_frames_that_are_luma_already_are_shown_as_their_colours_are():
    unit = synthetic_frames(SAMPLING, num_windows=3)
    luma = np.dot(unit.pixels.astype(int), LUMA)[..., None] // 256
    found = stacked(replace(unit, pixels=luma.astype(np.uint8)), FrameStacking.LUMA_TRIPLETS)
    expected = stacked(unit, FrameStacking.LUMA_TRIPLETS)
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    np.testing.assert_array_equal(found.window_frames, expected.window_frames)


@pytest.mark.parametrize("stacking", list(FrameStacking))
def test_training_composes_what_labelling_composes(stacking):
    unit = synthetic_frames(SAMPLING, num_windows=2)
    shown = stacked(unit, stacking)
    windows = WindowSet(
        pixels=torch.from_numpy(unit.pixels),
        window_frames=unit.window_frames.astype(np.int64),
        targets=np.zeros((2, 1), dtype=bool),
        cases=np.zeros(2, dtype=np.int64),
        captions=np.full(2, ""),
    )
    vlm = SimpleNamespace(device=torch.device("cpu"), frame_stacking=stacking)
    expected = torch.from_numpy(shown.pixels[shown.window_frames]).permute(0, 1, 4, 2, 3).float()
    torch.testing.assert_close(255 * window_images(vlm, windows, np.arange(2)), expected, atol=1e-4, rtol=0)
