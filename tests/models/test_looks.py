"""Looks: windows of the same making are at the typical distance, others farther; what is written is read."""

import numpy as np
import pytest
import torch

from nrray.errors import ModelError
from nrray.models.checkpoint import load_checkpoint
from nrray.models.config import CheckpointChoice, Device, Execution
from nrray.models.looks import LOOKS_FILE, fitted_looks, read_looks, save_looks
from nrray.models.resolved import resolve_checkpoint
from nrray.models.tower_features import tower_features


def drawn(rng, count, *, shift=0.0, scale=1.0):
    """Features that vary in five directions of forty, and a little in all."""
    directions = np.random.default_rng(7).normal(size=(5, 40))
    found = scale * rng.normal(size=(count, 5)) @ directions + 0.1 * rng.normal(size=(count, 40)) + shift
    return found.astype(np.float32)


def test_held_out_windows_are_at_distance_one_and_shifted_ones_farther():
    rng = np.random.default_rng(0)
    looks = fitted_looks(drawn(rng, 300), held_out=drawn(rng, 200))
    assert np.median(looks.distances(drawn(rng, 400))) == pytest.approx(1.0, abs=0.1)
    assert np.median(looks.distances(drawn(rng, 400, shift=1.0))) > 3
    assert np.median(looks.distances(drawn(rng, 400, scale=3.0))) > 1.3


def test_distance_is_that_of_mahalanobis_where_all_directions_are_kept():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(500, 6)).astype(np.float32) * np.array([1, 2, 3, 4, 5, 0.5], np.float32)
    looks = fitted_looks(features, held_out=features)
    centred = features - features.mean(axis=0)
    expected = np.sqrt(np.einsum("nd,de,ne->n", centred, np.linalg.inv(np.cov(centred.T)), centred) / 6)
    assert looks.distances(features) == pytest.approx(expected / np.median(expected), rel=0.02)


def test_what_is_written_is_read_and_a_damaged_file_is_refused_by_name(tmp_path):
    rng = np.random.default_rng(2)
    looks = fitted_looks(drawn(rng, 100), held_out=drawn(rng, 50))
    assert read_looks(tmp_path) is None
    save_looks(looks, tmp_path)
    features = drawn(rng, 10)
    read = read_looks(tmp_path)
    assert read is not None
    assert np.array_equal(read.distances(features), looks.distances(features))
    (tmp_path / LOOKS_FILE).write_bytes(b"damaged")
    with pytest.raises(ModelError, match=f"{LOOKS_FILE} cannot be read"):
        read_looks(tmp_path)


def test_features_are_means_and_deviations_of_the_tower_s_channels():
    checkpoint = load_checkpoint(resolve_checkpoint(CheckpointChoice()), execution=Execution(device=Device.CPU))
    tower = checkpoint.model.get_encoder(modality="image")
    frames = np.random.default_rng(0).integers(0, 255, (2, 4, 128, 128, 3), dtype=np.uint8)
    processor = checkpoint.family.window_processor(checkpoint)
    inputs = [processor.tensors([window], question="What?", frames_per_second=4.0) for window in frames]
    found = tower_features(checkpoint, inputs)
    with torch.inference_mode():
        values = inputs[1]["pixel_values"].reshape(-1, 3, 128, 128)
        channels = tower(pixel_values=values).last_hidden_state.movedim(1, -1).reshape(-1, 1280)
    assert found.shape == (2, 2560)
    assert found[1] == pytest.approx(torch.cat([channels.mean(0), channels.std(0)]).numpy(), abs=1e-4)
