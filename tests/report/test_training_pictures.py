"""Pictures of trainings and searches: drawn whatever is missing in what they show."""

import matplotlib.image
import pytest

from nrray.report.search_picture import TrialPoints, search_picture
from nrray.report.training_curves import best_step, training_curves

STEP = {"step": 10, "loss": 0.5, "learning_rate": 1e-4, "windows_per_second": 3.0}


def validation(step, macro, loss):
    return {
        "step": step,
        "validation_loss": loss,
        "validation_macro_f1": macro,
        "validation_f1": {"suction": macro, "ventilation": None},
    }


def trial(status, macro, **values):
    course = [] if macro is None else [(0, macro / 2), (10, macro)]
    return TrialPoints(status=status, values=values, macro_f1=macro, course=course, minutes=1.0)


def size_of(picture, folder):
    file = folder / "picture.png"
    file.write_bytes(picture)
    return matplotlib.image.imread(file).shape[:2]


@pytest.mark.parametrize(
    ("validations", "expected"),
    [
        ([], None),
        ([(0, None, 0.5)], None),
        ([(0, 0.5, 0.9), (4, 0.7, 0.9), (8, 0.6, 0.1)], 4),
        ([(0, 0.7, 0.5), (4, 0.7, 0.4), (8, 0.7, 0.4)], 4),  # of equal ones the surest, the first of those
    ],
)
def test_the_step_that_is_kept_is_marked(validations, expected, tmp_path):
    events = [validation(*values) for values in validations]
    assert best_step(events) == expected
    assert size_of(training_curves([*events, STEP], title="a"), tmp_path) == (770, 990)


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
