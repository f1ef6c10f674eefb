from dataclasses import replace

import cv2
import numpy as np
import pytest

from nrray.models import CheckpointChoice, Execution, measure_labeler, resolve_checkpoint
from nrray.models.measure import synthetic_frames
from nrray.sampling import Sampling
from nrray.simulate import FrameRenderer, SimulateConfig, simulated_case
from tests.model_fixtures import labeler_of


@pytest.fixture(scope="module")
def labeler(label_set):
    return labeler_of("embedded", label_set)


def test_it_is_sampled_as_the_defaults_are(labeler):
    assert labeler.info.sampling == Sampling.model_validate({})


def test_it_is_small_enough_to_ship():
    files = [file for file in resolve_checkpoint(CheckpointChoice()).folder.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 30e6
    assert not [file for file in files if file.suffix in {".bin", ".pt", ".pth", ".pkl"}]


def test_it_sees_a_newborn_where_one_is_drawn_and_none_in_grey(labeler, label_set):
    sampling = labeler.info.sampling
    case = simulated_case(SimulateConfig(num_cases=1, seed=1, videos_per_case=1, appearance=("oak",)), 0)
    camera = FrameRenderer(case, 0)
    size = (sampling.frame_width_px, sampling.frame_height_px)
    shown = synthetic_frames(sampling, num_windows=1)
    for i, pixels in enumerate(shown.pixels):
        pixels[:] = cv2.resize(camera.frame(case.scenario.arrival_s + 6 + i / 4), size, interpolation=cv2.INTER_AREA)
    blank = replace(shown, pixels=np.full_like(shown.pixels, 127))
    at = label_set.names.index("baby_visible")
    assert labeler.label(shown).scores[0, at] > 0.9
    assert labeler.label(blank).scores[0, at] < 0.1


def test_the_same_frames_give_the_same_scores(labeler, label_set):
    unit = synthetic_frames(labeler.info.sampling, num_windows=3)
    again = labeler_of("embedded", label_set)
    np.testing.assert_array_equal(labeler.label(unit).scores, again.label(unit).scores)


def test_doctor_gets_its_figures(label_set):
    measured = measure_labeler(resolve_checkpoint(CheckpointChoice()), label_set=label_set, execution=Execution())
    assert measured.parameter_count < 10e6
    assert measured.windows_per_second > 0
    assert measured.flops_per_window < 10e9
    assert measured.load_seconds > 0
