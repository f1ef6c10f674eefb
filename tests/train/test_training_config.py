"""What is `auto` in the settings of a training."""

import pytest
from pydantic import ValidationError

from nrray.config import load_config
from nrray.errors import ConfigError
from nrray.train.training_config import ResolvedTraining, TrainingConfig, resolved_training


def resolved(num_windows=1044, *, has_own_head=False, is_from_scratch=False, **settings):
    return resolved_training(
        TrainingConfig(**settings),
        num_windows=num_windows,
        has_own_head=has_own_head,
        is_from_scratch=is_from_scratch,
    )


@pytest.mark.parametrize(("num_windows", "num_steps"), [(20, 200), (160, 300), (1044, 600)])
def test_steps_are_thirty_passes_within_bounds_and_validated_ten_times_at_least(num_windows, num_steps):
    found = resolved(num_windows)
    assert found.num_steps == num_steps
    assert found.num_steps // found.validate_every_steps >= 10


def test_what_is_given_stays():
    found = resolved(num_steps=7, learning_rate=0.5, head_first_steps=3, validate_every_steps=2)
    assert (found.num_steps, found.learning_rate, found.head_first_steps, found.validate_every_steps) == (7, 0.5, 3, 2)
    assert resolved_training(found, num_windows=9, has_own_head=True, is_from_scratch=True) == found


def test_a_fresh_head_learns_first_and_one_that_knows_the_activities_does_not():
    assert resolved().head_first_steps == 60
    assert resolved(has_own_head=True).head_first_steps == 0
    assert resolved(is_from_scratch=True).head_first_steps == 0


def test_what_is_auto_is_no_resolved_training():
    with pytest.raises(ValidationError, match="learning_rate"):
        ResolvedTraining.model_validate(TrainingConfig().model_dump())


@pytest.mark.parametrize("setting", ["learning_rate=yes", "num_steps=0", "num_steps=some", "tower_learning_rate=-1"])
def test_what_is_neither_a_number_nor_auto_is_refused(setting):
    with pytest.raises(ConfigError, match=f"{setting.split('=')[0]}.*: found"):
        load_config(TrainingConfig, None, [setting])
