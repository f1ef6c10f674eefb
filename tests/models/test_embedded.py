import numpy as np
import pytest

from nrray.models import ModelConfig, load_labeler, measure_labeler, resolve_model_path
from nrray.models.measure import synthetic_frames
from nrray.sampling import Sampling
from nrray.types import Frames


@pytest.fixture(scope="module")
def labeler(label_set):
    return load_labeler(ModelConfig(), label_set)


def test_it_is_sampled_as_the_defaults_are(labeler):
    assert labeler.info.sampling == Sampling.model_validate({})


def test_it_is_small_enough_to_ship():
    files = [file for file in resolve_model_path("embedded").rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 30e6
    assert not [file for file in files if file.suffix in {".bin", ".pt", ".pth", ".pkl"}]


def test_scores_depend_on_the_pictures(labeler):
    noise = synthetic_frames(labeler.info.sampling, num_windows=2)
    blank = Frames(
        pixels=np.full_like(noise.pixels, 127),
        pts_us=noise.pts_us,
        window_frames=noise.window_frames,
        window_start_us=noise.window_start_us,
        window_end_us=noise.window_end_us,
        frames_per_second=noise.frames_per_second,
    )
    assert np.abs(labeler.label(noise).scores - labeler.label(blank).scores).max() > 0.01


def test_the_same_frames_give_the_same_scores(labeler, label_set):
    unit = synthetic_frames(labeler.info.sampling, num_windows=3)
    again = load_labeler(ModelConfig(), label_set)
    np.testing.assert_array_equal(labeler.label(unit).scores, again.label(unit).scores)


def test_doctor_gets_its_figures(label_set):
    measured = measure_labeler(ModelConfig(), label_set)
    assert measured["parameter_count"] < 10e6
    assert measured["windows_per_second"] > 0
    assert measured["flops_per_window"] < 10e9
    assert measured["load_seconds"] > 0
