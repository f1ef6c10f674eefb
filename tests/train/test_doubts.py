"""Doubts: a validation loss that rises while the training loss falls, and too little to train on."""

import pytest

from nrray.train.doubts import FEW_TRAINING_CASES, FEW_TRAINING_WINDOWS, OVERFITTING_RISE, few_examples, overfitting
from nrray.train.history import StepMeasured, Validated


def measured(step, loss):
    return StepMeasured(
        step=step,
        num_steps=40,
        unix_seconds=0.0,
        loss=loss,
        learning_rate=1e-3,
        gradient_norm=1.0,
        windows_per_second=1.0,
        seconds_left=0.0,
    )


def validated(step, loss):
    return Validated(step=step, num_steps=40, unix_seconds=0.0, validation_loss=loss, validation_macro_f1=0.5)


def history(validation, training):
    """Events at every tenth step."""
    events = [validated(0, validation[0])]
    for number, (loss, trained) in enumerate(zip(validation[1:], training, strict=True), start=1):
        events += [measured(10 * number, trained), validated(10 * number, loss)]
    return events


@pytest.mark.parametrize(
    ("validation", "training", "lowest_step"),
    [
        ((0.9, 0.5, 0.4, 0.5, 0.6), (0.8, 0.5, 0.3, 0.1), 20),
        ((0.4, 0.5, 0.6, 0.7, 0.8), (0.8, 0.5, 0.3, 0.1), 0),  # from the first step on
        ((0.9, 0.5, 0.4, 0.4, 0.4), (0.8, 0.5, 0.3, 0.1), None),  # it does not rise
        ((0.9, 0.5, 0.4, 0.44, 0.47), (0.8, 0.5, 0.3, 0.1), None),  # by less than is told
        ((0.9, 0.5, 0.4, 0.6, 0.9), (0.8, 0.5, 0.6, 0.7), None),  # so does the other: it has come apart
        ((0.9, 0.5, 0.4, 0.6, 0.4), (0.8, 0.5, 0.3, 0.1), None),  # it has fallen again
    ],
)
def test_overfitting_is_a_rise_from_the_lowest_to_the_end_while_the_training_loss_falls(
    validation, training, lowest_step
):
    found = overfitting(history(validation, training))
    assert (found.lowest_step if found is not None else None) == lowest_step
    if found is not None:
        assert found.last_loss >= OVERFITTING_RISE * found.lowest_loss
        assert found.training_loss_after < found.training_loss_before


def test_nothing_is_said_of_a_training_that_has_not_begun():
    assert overfitting([]) is None
    assert overfitting([validated(0, 0.5)]) is None


def test_little_to_train_on_is_said_with_what_is_expected():
    enough = {"num_windows": FEW_TRAINING_WINDOWS, "num_cases": FEW_TRAINING_CASES}
    assert few_examples(**enough) is None
    assert few_examples(num_windows=FEW_TRAINING_WINDOWS, num_cases=None) is None
    few = few_examples(**{**enough, "num_cases": 1})
    assert few is not None
    assert f"{FEW_TRAINING_WINDOWS} windows of 1 case, expected at least 300 of 6 cases" in few
    assert few_examples(**{**enough, "num_windows": FEW_TRAINING_WINDOWS - 1}) is not None
