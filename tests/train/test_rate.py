"""The rate of a training and the time that follows from it."""

import pytest

from nrray.train.rate import TrainingRate, training_rate
from nrray.train.training_config import TrainingConfig, resolved_training
from tests.train.support import bright_job


def test_a_model_is_measured_learning_and_validating(tmp_path, video_folder, label_set, small_sampling):
    rate = training_rate(bright_job(tmp_path, video_folder, label_set, small_sampling))
    assert 0 < rate.learned < rate.validated


def test_validations_are_counted_and_steps_that_are_made_are_not():
    config = TrainingConfig(num_steps=100, batch_windows=8, validate_every_steps=30)
    training = resolved_training(config, num_windows=100, has_own_head=True, is_from_scratch=False)
    rate = TrainingRate(learned=4.0, validated=10.0)
    # Validated before the first step, after 30, 60, 90 and 100, and once with the weights that are kept.
    assert rate.seconds(training, first_step=0, num_validation_windows=50) == pytest.approx(800 / 4 + 5 * 50 / 10)
    # After 60 steps: after 90 and 100, and once with the weights that are kept.
    assert rate.seconds(training, first_step=60, num_validation_windows=50) == pytest.approx(320 / 4 + 2 * 50 / 10)
