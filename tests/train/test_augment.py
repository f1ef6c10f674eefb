import numpy as np
import pytest
import torch

from nrray.models.frame_stacking import FrameStacking
from nrray.train.augment import augmented
from nrray.train.training_config import AugmentConfig

NOTHING = AugmentConfig(
    flip_fraction=0, max_turn_degrees=0, max_zoom=0, max_shift=0, max_hue_degrees=0, max_gain=0, max_light=0,
    max_gamma=0, invert_fraction=0, max_sharpness=0, max_noise=0,
)  # fmt: skip
EVERY = torch.eye(3)


@pytest.fixture
def frames():
    """Three windows of two frames, smooth enough to be turned and shifted."""
    coarse = torch.rand(6, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bilinear").unflatten(0, (3, 2))


def changed(frames, *, channels=EVERY, **amounts):
    return augmented(frames, NOTHING.model_copy(update=amounts), np.random.default_rng(1), channels=channels)


def test_nothing_asked_changes_nothing(frames):
    torch.testing.assert_close(changed(frames), frames, atol=1e-5, rtol=0)


def test_a_mirrored_window_is_mirrored_in_every_frame(frames):
    torch.testing.assert_close(changed(frames, flip_fraction=1), frames.flip(-1), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "amounts",
    [
        {"flip_fraction": 0.5},
        {"max_turn_degrees": 20},
        {"max_zoom": 0.3},
        {"max_gamma": 0.5},
        {"invert_fraction": 0.5},
        {"max_shift": 0.2},
        {"max_hue_degrees": 180},
        {"max_gain": 0.3},
        {"max_light": 0.2},
        {"max_sharpness": 0.8},
    ],
)
def test_all_frames_of_a_window_change_alike_and_windows_differently(frames, amounts):
    still = frames[:1, :1].expand(6, 2, -1, -1, -1)  # what does not move must not begin to
    found = changed(still, **amounts)
    torch.testing.assert_close(found[:, 0], found[:, 1])
    assert len({tuple(window.flatten()[:999].tolist()) for window in found[:, 0]}) > 1
    assert 0 <= found.min() <= found.max() <= 1


def test_of_colours_only_what_is_asked_for_is_left_once_they_have_changed(frames):
    amounts = {"flip_fraction": 0.5, "max_turn_degrees": 20, "max_hue_degrees": 60, "max_gain": 0.1, "max_light": 0.05}
    frames = 0.4 + 0.2 * frames  # so that nothing is cut to black or white
    luma = torch.from_numpy(FrameStacking.LUMA_TRIPLETS.channels)
    found = changed(frames, channels=luma, **amounts)
    assert found.shape == (3, 2, 1, 32, 32)
    expected = (luma @ changed(frames, **amounts).flatten(3)).view(found.shape)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    unturned = changed(frames, channels=luma, **{**amounts, "max_hue_degrees": 0})
    assert (found - unturned).abs().max() > 0.01  # hue shows in luma


def test_a_turned_hue_keeps_grey_grey(frames):
    grey = frames.mean(dim=2, keepdim=True).expand_as(frames)
    torch.testing.assert_close(changed(grey, max_hue_degrees=180), grey, atol=1e-5, rtol=0)
    assert (changed(frames, max_hue_degrees=180) - frames).abs().max() > 0.05


def test_a_shift_moves_as_far_as_it_says():
    picture = torch.zeros(1, 1, 3, 40, 40)
    picture[..., 20, 20] = 1
    found = changed(picture, max_shift=0.1)
    centre = (found[0, 0, 0] * torch.arange(40)).sum() / found[0, 0, 0].sum()  # column
    assert 0.1 < abs(float(centre) - 20) <= 4


def test_a_strength_multiplies_all_amounts_as_far_as_they_have_a_meaning():
    config = AugmentConfig()
    assert config.times(0) == NOTHING
    assert config.times(1) == config
    twice = config.times(2)
    assert twice.max_turn_degrees == 2 * config.max_turn_degrees
    assert twice.max_noise == 2 * config.max_noise
    assert (twice.flip_fraction, twice.max_hue_degrees) == (0.5, 180)
    assert config.times(100).max_gain == 0.9


def test_an_inverted_window_is_the_negative_in_every_frame(frames):
    torch.testing.assert_close(changed(frames, invert_fraction=1), 1 - frames, atol=1e-5, rtol=0)


def test_gamma_changes_the_light_between_black_and_white_alone(frames):
    ends = torch.cat([torch.zeros_like(frames), torch.ones_like(frames)])
    torch.testing.assert_close(changed(ends, max_gamma=1.0), ends, atol=1e-3, rtol=0)
    toned = changed(frames, max_gamma=1.0)
    exponents = (toned.log() / frames.log())[frames > 0.05].reshape(-1)
    assert exponents.min() > 0.36
    assert exponents.max() < 2.72
    assert exponents.std() > 0.01
