"""A TimeSformer from scratch."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nrray.errors import ConfigError
from nrray.models import Execution
from nrray.models.config import LoraSection, ResolvedParts, TowerLearning
from nrray.train.run import finetune
from nrray.train.trainee.prepared import prepared_trainee
from nrray.train.training_config import HeadSection, TimesformerSection, TrainingConfig
from tests.model_fixtures import labeler_of
from tests.train.support import bright_job, model_of, unit_of, validations_of

WHOLE = ResolvedParts(tower=TowerLearning.WHOLE)


def test_a_timesformer_from_scratch_learns_and_labels(tmp_path, label_set, small_sampling, accelerator):
    job = bright_job(tmp_path, Path("embedded"), label_set, small_sampling, full_learning_rate=5e-3, num_steps=20)
    section = TimesformerSection(hidden_size=16, num_layers=2, num_heads=2, patch_px=16)
    job = replace(job, start=section, parts=WHOLE)
    finetune(job, accelerator)
    found = validations_of(job)
    assert min(event.validation_loss for event in found[1:]) < found[0].validation_loss
    labeler = labeler_of(str(model_of(job)), label_set)
    assert labeler.label(unit_of(job, "c")).scores.shape == (6, 4)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            TimesformerSection(patch_px=24),
            r"found frames of 64x64 px, expected square ones whose side is a multiple of patch",
        ),
        (TimesformerSection(hidden_size=16, num_heads=3), r"hidden_size=16 is no multiple of num_heads=3"),
    ],
)
def test_a_size_that_does_not_fit_is_refused(tmp_path, label_set, small_sampling, accelerator, section, message):
    job = replace(bright_job(tmp_path, Path("embedded"), label_set, small_sampling), start=section, parts=WHOLE)
    with pytest.raises(ConfigError, match=message):
        finetune(job, accelerator)


def test_one_seed_gives_the_same_weights_and_all_layers_learn_at_once(label_set, small_sampling):
    section = TimesformerSection(hidden_size=16, num_layers=2, num_heads=2, patch_px=16)

    def module_of(seed):
        return prepared_trainee(
            section,
            execution=Execution(),
            parts=WHOLE,
            adapter=LoraSection(),
            head=HeadSection(),
            label_set=label_set,
            sampling=small_sampling,
            log_odds=torch.zeros(4),
            config=TrainingConfig(seed=seed, unfreezing_fraction=0.5),
        ).module

    first, again, other = module_of(3), module_of(3), module_of(4)
    assert {first.start_of(name) for name in first.trained()} == {0.0}
    for name, tensor in first.state_dict().items():
        torch.testing.assert_close(tensor, again.state_dict()[name])
    assert not torch.equal(first.head.out.weight, other.head.out.weight)
