"""The course of the learning rate."""

import numpy as np
import pytest

from nrray.train.schedule import schedule_of
from nrray.train.training_config import TrainingConfig, resolved_training


def schedule(stuck_at=None, **changes):
    config = TrainingConfig(**{"num_steps": 100, "warmup_fraction": 0.1, "decay_fraction": 0.2, **changes})
    resolved = resolved_training(config, num_windows=400, has_own_head=True, is_from_scratch=False)
    return schedule_of(resolved, stuck_at=stuck_at)


def test_it_rises_stays_and_falls_in_a_line_to_nearly_nothing():
    found = np.array([schedule().share(step) for step in range(100)])
    np.testing.assert_allclose(found[:10], np.arange(1, 11) / 10)
    np.testing.assert_allclose(found[9:81], 1)
    np.testing.assert_allclose(found[80:], np.arange(20, 0, -1) / 20)


def test_what_begins_later_rises_from_there():
    found = [schedule().share(step, start=30) for step in (29, 30, 34, 39, 50)]
    assert found == pytest.approx([0, 0.1, 0.5, 1, 1])


def test_where_validation_is_stuck_it_falls_at_once_over_its_share_of_the_steps_made():
    found = schedule(stuck_at=40)
    assert found.num_steps == 50
    assert [found.share(step) for step in (39, 40, 45, 49)] == pytest.approx([1, 1, 0.5, 0.1])
    assert schedule(stuck_at=90) == schedule()  # it falls already
    assert schedule(stuck_at=40, decay_fraction=0.0).num_steps == 40


def test_without_warm_up_and_decay_it_stays():
    found = schedule(warmup_fraction=0.0, decay_fraction=0.0)
    assert {found.share(step) for step in range(100)} == {1.0}
