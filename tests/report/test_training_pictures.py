"""Pictures of trainings and searches: drawn whatever is missing in what they show."""

from dataclasses import replace

import matplotlib.image
import pytest

from nrray.report.search_picture import TrialPoints, search_picture
from nrray.report.training_curves import LearningCurves, training_curves


def trial(status, macro, **values):
    curve = [] if macro is None else [(0, macro / 2), (10, macro)]
    return TrialPoints(status=status, values=values, macro_f1=macro, curve=curve, minutes=1.0)


def size_of(picture, folder):
    file = folder / "picture.png"
    file.write_bytes(picture)
    return matplotlib.image.imread(file).shape[:2]


@pytest.mark.parametrize(
    ("scores", "kept_step"), [([], None), ([(0, None)], None), ([(0, 0.5), (4, 0.7), (8, None)], 4)]
)
def test_learning_curves_are_drawn_whatever_lacks_a_value(scores, kept_step, tmp_path):
    curves = LearningCurves(
        training_loss=[(10, 0.5)],
        validation_loss=[(step, 0.5) for step, _ in scores],
        macro_f1=scores,
        f1={"suction": scores, "ventilation": [(step, None) for step, _ in scores]},
        kept_step=kept_step,
    )
    assert size_of(training_curves(curves, title="a"), tmp_path) == (770, 990)


def test_the_step_whose_weights_are_kept_is_marked(tmp_path):
    points = [(0, 0.5), (4, 0.7)]
    curves = LearningCurves(training_loss=[], validation_loss=points, macro_f1=points, f1={}, kept_step=None)
    marked = training_curves(replace(curves, kept_step=4), title="a")
    assert training_curves(curves, title="a") == training_curves(curves, title="a") != marked


@pytest.mark.parametrize(
    "trials",
    [
        [trial("failed", None, rank=4, rate=1e-4)],
        [trial("stopped_early", 0.9, rank=4, rate=1e-5), trial("finished", 0.8, rank=8, rate=1e-2)],
        [trial("unfinished", 0.9, rank="all", rate=1e-4), trial("finished", 0.5, rank="some", rate=2e-4)],
    ],
)
def test_a_search_is_drawn_whatever_became_of_its_trials(trials, tmp_path):
    assert size_of(search_picture(trials, log_paths=["rate"], title="a"), tmp_path) == (792, 1100)
