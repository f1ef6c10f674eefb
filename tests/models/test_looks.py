"""Looks: windows of the same making are at the typical distance, others farther; what is written is read."""

import numpy as np
import pytest
import torch

from nrray.errors import ModelError
from nrray.models.checkpoint import load_checkpoint
from nrray.models.config import CheckpointChoice, Device, Execution
from nrray.models.families.blocks import block_to_watch
from nrray.models.families.tower_moments import joined, moments_of
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
    looks = fitted_looks(drawn(rng, 300), held_out=drawn(rng, 200), held_out_cases=np.arange(200) // 10)
    assert np.median(looks.distances(drawn(rng, 400))) == pytest.approx(1.0, abs=0.1)
    assert np.median(looks.distances(drawn(rng, 400, shift=1.0))) > 3
    assert np.median(looks.distances(drawn(rng, 400, scale=3.0))) > 1.3


def test_distance_is_that_of_mahalanobis_where_all_directions_are_kept():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(500, 6)).astype(np.float32) * np.array([1, 2, 3, 4, 5, 0.5], np.float32)
    looks = fitted_looks(features, held_out=features, held_out_cases=np.arange(500) // 10)
    centred = features - features.mean(axis=0)
    expected = np.sqrt(np.einsum("nd,de,ne->n", centred, np.linalg.inv(np.cov(centred.T)), centred) / 6)
    assert looks.distances(features) == pytest.approx(expected / np.median(expected), rel=0.02)


def test_what_is_written_is_read_and_a_damaged_file_is_refused_by_name(tmp_path):
    rng = np.random.default_rng(2)
    looks = fitted_looks(drawn(rng, 100), held_out=drawn(rng, 50), held_out_cases=np.arange(50) // 10)
    assert read_looks(tmp_path) is None
    save_looks(looks, tmp_path)
    features = drawn(rng, 10)
    read = read_looks(tmp_path)
    assert read is not None
    assert np.array_equal(read.distances(features), looks.distances(features))
    assert read.far == pytest.approx(looks.far)
    (tmp_path / LOOKS_FILE).write_bytes(b"damaged")
    with pytest.raises(ModelError, match=f"{LOOKS_FILE} cannot be read"):
        read_looks(tmp_path)


def cases_drawn(rng, num_cases, *, spread, size=8):
    """Windows of cases that differ from each other, and the case of each."""
    count = num_cases * size
    shift = np.repeat(spread * rng.normal(size=(num_cases, 40)), size, axis=0)
    return drawn(rng, count) + shift.astype(np.float32), np.arange(count) // size


@pytest.mark.parametrize(("num_held_out", "are_trained_ones_counted"), [(30, False), (3, True)])
def test_a_case_of_the_same_making_is_seldom_far_and_one_of_another_is(num_held_out, are_trained_ones_counted):
    rng = np.random.default_rng(3)
    seen, cases = cases_drawn(rng, 40, spread=0.3)
    alarms, missed = [], []
    for _ in range(20):
        held_out, held_out_cases = cases_drawn(rng, num_held_out, spread=0.3)
        looks = fitted_looks(
            seen,
            held_out=held_out,
            held_out_cases=held_out_cases,
            cases=cases if are_trained_ones_counted else None,
        )
        for others, found, shift in ((alarms, True, 0.0), (missed, False, 1.5)):
            new, of = cases_drawn(rng, 20, spread=0.3)
            medians = [np.median(looks.distances(new[of == case] + np.float32(shift))) for case in range(20)]
            others += [bool(median >= looks.far) is found for median in medians]
    assert np.mean(alarms) < 0.06
    assert not any(missed)


def test_few_cases_are_not_taken_for_proof_that_all_are_alike():
    rng = np.random.default_rng(4)
    seen, _ = cases_drawn(rng, 40, spread=0.3)
    few, many = (
        np.mean(
            [
                fitted_looks(seen, held_out=made[0], held_out_cases=made[1]).far
                for made in (cases_drawn(rng, count, spread=0.3) for _ in range(20))
            ]
        )
        for count in (3, 30)
    )
    assert few > many


def test_features_are_means_and_deviations_of_the_channels_of_the_block_two_thirds_up_the_tower():
    checkpoint = load_checkpoint(resolve_checkpoint(CheckpointChoice()), execution=Execution(device=Device.CPU))
    tower = checkpoint.model.get_encoder(modality="image")
    frames = np.random.default_rng(0).integers(0, 255, (2, 4, 128, 128, 3), dtype=np.uint8)
    processor = checkpoint.family.window_processor(checkpoint)
    inputs = [processor.tensors([window], question="What?", frames_per_second=4.0) for window in frames]
    found = tower_features(checkpoint, inputs)
    assert block_to_watch(tower) is tower.timm_model.blocks[4]
    with torch.inference_mode():
        values = inputs[1]["pixel_values"].reshape(-1, 3, 128, 128)
        network = tower.timm_model
        trunk = torch.nn.Sequential(network.conv_stem, network.bn1, *network.blocks[:5])
        channels = trunk(values).movedim(1, -1).reshape(-1, 112)
    assert found.shape == (2, 224)
    assert found[1] == pytest.approx(torch.cat([channels.mean(0), channels.std(0)]).numpy(), abs=1e-4)


def test_a_network_without_blocks_is_watched_as_a_whole():
    network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 5))
    assert block_to_watch(network) is network


def test_windows_of_frames_that_share_have_the_moments_of_their_frames_together():
    random = torch.Generator().manual_seed(0)
    output = torch.randn(5, 6, 3, 4, generator=random)
    rows = torch.tensor([[0, 1, 2], [1, 2, 4]])
    found = moments_of([output], count=5).pooled(rows).features()
    for window, frames in enumerate(rows):
        places = output[frames].movedim(1, -1).reshape(-1, 6)
        torch.testing.assert_close(found[window], torch.cat([places.mean(0), places.std(0)]))
    assert moments_of([], count=3) is None
    assert joined([moments_of([output], count=5), None]) is None
