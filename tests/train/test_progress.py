"""How far a training has come, from its events alone."""

from nrray.train.history import StepMeasured, TrainingStarted, Validated
from nrray.train.progress import Progress

MOMENT = {"num_steps": 26, "unix_seconds": 1.5}


def validated(step, macro, loss):
    return Validated(step=step, **MOMENT, validation_loss=loss, validation_macro_f1=macro)


def progresses(measured):
    """The progress after each of some validations, (macro F1, loss) each."""
    progress, found = Progress(), []
    for step, (macro, loss) in enumerate(measured):
        progress = progress.after_event(validated(step, macro, loss))
        found.append(progress)
    return found


def test_of_equally_good_validations_the_surest_is_kept():
    found = progresses([(0.8, 0.5), (0.8, 0.4), (0.8, 0.45), (0.7, 0.1), (None, 0.0), (0.8, 0.3)])
    assert [progress.best.step for progress in found] == [0, 1, 1, 1, 1, 5]


def test_a_lower_loss_alone_is_no_better_validation():
    found = progresses([(0.8, 0.5), (0.8, 0.4), (None, 0.4), (0.9, 0.9), (0.8, 0.1)])
    assert [progress.stuck_at(2) for progress in found] == [None, None, 2, 2, 2]
    assert [progress.stuck_at(1) for progress in found] == [None, 1, 1, 1, 1]
    assert found[-1].stuck_at(3) is None


def test_before_a_validation_there_is_no_best():
    assert Progress().best is None
    assert Progress().stuck_at(1) is None


def test_a_step_adds_its_loss_until_an_event_has_averaged_it():
    progress = Progress().after_step(0.5).after_step(0.3)
    assert (progress.step, progress.recent_losses) == (2, (0.5, 0.3))
    progress = progress.after_event(TrainingStarted(step=2, **MOMENT, num_workers=1))
    progress = progress.after_event(validated(2, 0.5, 0.5))
    assert progress.recent_losses == (0.5, 0.3)
    measured = {"learning_rate": 1e-4, "gradient_norm": 0.5, "windows_per_second": 19.0, "seconds_left": 13.5}
    progress = progress.after_event(StepMeasured(step=2, **MOMENT, loss=0.4, **measured))
    assert (progress.step, progress.recent_losses, len(progress.history)) == (2, (), 3)
