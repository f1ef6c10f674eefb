"""Looks while a model labels: distances of every family are those of its features, window by window, whatever shares a batch."""

import shutil

import numpy as np
import pytest

from nrray.models import CheckpointChoice, Execution, YesNoStrategy, resolve_checkpoint
from nrray.models.checkpoint import load_checkpoint
from nrray.models.looks import fitted_looks, read_looks, save_looks
from nrray.models.measure import synthetic_frames
from nrray.models.metadata import Pooling
from nrray.models.tower_features import tower_features
from tests.checkpoints import CHECKPOINTS, ENCODERS
from tests.model_fixtures import labeler_of

WINDOWS = 5


def features_of(folder, unit):
    checkpoint = load_checkpoint(resolve_checkpoint(CheckpointChoice(path=str(folder))), execution=Execution())
    processor = checkpoint.family.window_processor(checkpoint)
    windows = (unit.pixels[rows] for rows in unit.window_frames)
    made = (processor.tensors([window], question="Well?", frames_per_second=2.0) for window in windows)
    return tower_features(checkpoint, made)


def with_looks(folder, unit, target):
    """A copy of a checkpoint that knows looks of noise, and the distances of the unit's windows by one window at a time."""
    shutil.copytree(folder, target)
    features = features_of(target, unit)
    rng = np.random.default_rng(0)
    seen = features.mean(axis=0) + rng.normal(size=(40, features.shape[1])).astype(np.float32) * features.std()
    looks = fitted_looks(seen, held_out=seen, held_out_cases=np.arange(40))
    save_looks(looks, target)
    return read_looks(target).distances(features)


@pytest.mark.parametrize("name", [*CHECKPOINTS, *ENCODERS])
def test_distances_of_a_unit_are_those_of_its_windows_alone(
    name, checkpoint_of, add_head, label_set, small_sampling, tmp_path
):
    unit = synthetic_frames(small_sampling, num_windows=WINDOWS)
    expected = with_looks(checkpoint_of(name), unit, tmp_path / "model")
    if name in CHECKPOINTS:
        asked = labeler_of(
            tmp_path / "model", label_set, strategy=YesNoStrategy(answer_tokens=1), micro_batch_windows=2
        )
        assert asked.label(unit).looks_distances == pytest.approx(expected, rel=1e-3)
    add_head(tmp_path / "model", label_set=label_set, sampling=small_sampling, pooling=Pooling.MEAN_FRAMES)
    read = labeler_of(tmp_path / "model", label_set, micro_batch_windows=2)
    assert read.label(unit).looks_distances == pytest.approx(expected, rel=1e-3)


def test_a_checkpoint_that_knows_no_looks_has_no_distances(checkpoint_of, label_set, small_sampling):
    unit = synthetic_frames(small_sampling, num_windows=2)
    assert labeler_of(checkpoint_of("fast_vlm"), label_set).label(unit).looks_distances is None
