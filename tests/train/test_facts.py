"""The facts of a plan: sizes are those of the loaded model, looks are near where they were fitted and far where they were not."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nrray.models.checkpoint import load_checkpoint
from nrray.models.config import CheckpointChoice, Device, Execution
from nrray.models.frame_stacking import FrameStacking
from nrray.models.looks import fitted_looks, save_looks
from nrray.models.resolved import resolve_checkpoint
from nrray.models.tower_features import tower_features
from nrray.train.facts import activation_bytes, looks_distance, part_sizes
from nrray.train.frame_store import FrameStore
from nrray.train.trainee.prepared import QUESTION
from nrray.train.trainee.window_inputs import WindowInputs
from tests.train.support import NUM_STARTS, bright_job


@pytest.fixture
def job(tmp_path, image_folder, label_set, small_sampling):
    folder = shutil.copytree(image_folder, tmp_path / "checkpoint")
    return bright_job(tmp_path, folder, label_set, small_sampling)


def features_of(job, *, changed):
    """Of every window to train on, with its pixels `changed`."""
    checkpoint = load_checkpoint(job.start, execution=Execution(device=Device.CPU))
    inputs = WindowInputs(
        processor=checkpoint.family.window_processor(checkpoint),
        question=QUESTION,
        frame_stacking=FrameStacking.FRAMES,
        frames_per_second=job.sampling.frames_per_second,
    )
    names = [chunk.name for chunk in job.chunks]
    store = FrameStore(Path(job.store), names, frames_per_window=job.sampling.frames_per_window)
    windows = [store.window(chunk, start) for chunk in (0, 1) for start in range(NUM_STARTS)]
    made = (inputs(changed(window)[None]) for window in windows)
    return tower_features(checkpoint, made)


def with_looks(job, features):
    save_looks(
        fitted_looks(features[::2], held_out=features[1::2], held_out_cases=np.arange(len(features[1::2])) % 4),
        job.start.folder,
    )
    return looks_distance(replace(job, start=resolve_checkpoint(CheckpointChoice(path=job.start.path))))


def test_windows_are_near_where_the_looks_are_theirs_and_far_where_they_are_of_others(job):
    assert looks_distance(job) is None
    mine = features_of(job, changed=lambda window: window)
    others = features_of(job, changed=lambda window: (window // 16 + 200).astype(np.uint8))
    near, far = with_looks(job, mine), with_looks(job, others)
    assert near == pytest.approx(1.0, abs=0.25)
    assert far > 2 * near


def test_sizes_are_those_of_the_loaded_model():
    start = resolve_checkpoint(CheckpointChoice())
    model = load_checkpoint(start, execution=Execution(device=Device.CPU)).model
    sizes = part_sizes(start)
    assert sizes.tower == sum(p.numel() for p in model.get_encoder(modality="image").parameters())
    assert sizes.language_model == sum(p.numel() for p in model.get_decoder().parameters())
    assert sizes.projector == sum(p.numel() for p in model.model.multi_modal_projector.parameters())
    assert sizes.last_blocks is not None
    assert 0 < sizes.last_blocks < sizes.tower


def test_activations_grow_with_frames_and_are_unknown_of_a_convolutional_tower(video_folder, small_sampling):
    start = resolve_checkpoint(CheckpointChoice(path=str(video_folder)))
    one = activation_bytes(start, small_sampling, bytes_per_weight=4)
    longer = small_sampling.model_copy(update={"window_seconds": 2 * small_sampling.window_seconds})
    assert one is not None
    assert activation_bytes(start, longer, bytes_per_weight=4) == 2 * one
    assert activation_bytes(resolve_checkpoint(CheckpointChoice()), small_sampling, bytes_per_weight=4) is None
