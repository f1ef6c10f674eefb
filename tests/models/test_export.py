"""An adapter merged into its checkpoint: one folder, the same scores, nothing left of the adapter."""

from pathlib import Path

import numpy as np
import pytest
from transformers import AutoModelForImageTextToText

from nrray.errors import ModelError
from nrray.models import CheckpointChoice, Pooling, read_metadata, resolve_checkpoint
from nrray.models.config import LanguageModelLearning, LoraSection, ProjectorLearning, ResolvedParts, TowerLearning
from nrray.models.export import export_model
from nrray.models.measure import synthetic_frames
from tests.checkpoints import CHECKPOINTS
from tests.model_fixtures import labeler_of
from tests.models.test_adapters import trained


def resolved(base, adapter):
    return resolve_checkpoint(CheckpointChoice(path=str(base), adapter=None if adapter is None else str(adapter)))


@pytest.mark.parametrize("name", list(CHECKPOINTS))
def test_the_merged_checkpoint_gives_the_scores_of_the_adapter(
    name, checkpoint_of, tmp_path, label_set, small_sampling
):
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    trained(checkpoint_of(name), adapter, label_set, small_sampling, pooling=Pooling.ATTENTION)
    (adapter / "split.json").write_text('{"parts": {"train": ["a"]}}')
    exported = export_model(resolved(checkpoint_of(name), adapter), tmp_path / "merged", label_set)
    assert exported.max_difference < 1e-5
    unit = synthetic_frames(small_sampling, num_windows=3, seed=5)
    expected = labeler_of(checkpoint_of(name), label_set, adapter=adapter).label(unit).scores
    found = labeler_of(exported.folder, label_set).label(unit).scores
    np.testing.assert_allclose(found, expected, atol=1e-5)
    plain = AutoModelForImageTextToText.from_pretrained(exported.folder)
    assert sum(parameter.numel() for parameter in plain.parameters()) == exported.parameter_count
    assert not [key for key in plain.state_dict() if "lora" in key]
    assert read_metadata(exported.folder).base is None
    assert Path(exported.folder, "split.json").read_bytes() == (adapter / "split.json").read_bytes()
    assert {file.stat().st_mode & 0o777 for file in Path(exported.folder).iterdir()} == {0o600}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("qwen3_vl", ResolvedParts(tower=TowerLearning.ADAPTER, projector=ProjectorLearning.WHOLE)),
        ("fast_vlm", ResolvedParts(tower=TowerLearning.LAST_BLOCKS, tower_blocks=2)),
        (
            "smolvlm",
            ResolvedParts(
                tower=TowerLearning.WHOLE,
                projector=ProjectorLearning.ADAPTER,
                language_model=LanguageModelLearning.NORMS,
            ),
        ),
        ("vjepa2", ResolvedParts(tower=TowerLearning.ADAPTER)),
        ("timesformer", ResolvedParts(tower=TowerLearning.LAST_BLOCKS, tower_blocks=1)),
    ],
)
def test_every_part_that_learned_is_merged(name, parts, checkpoint_of, tmp_path, label_set, small_sampling):
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    section = LoraSection(rank=2)
    how = {"section": section, "parts": parts, "pooling": Pooling.ATTENTION, "num_steps": 2}
    expected = trained(checkpoint_of(name), adapter, label_set, small_sampling, **how)
    exported = export_model(resolved(checkpoint_of(name), adapter), tmp_path / "merged", label_set)
    assert exported.max_difference < 1e-5
    found = labeler_of(exported.folder, label_set).label(synthetic_frames(small_sampling, num_windows=3)).scores
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_a_folder_that_is_there_is_not_written_over(checkpoint_of, tmp_path, label_set, small_sampling):
    trained(checkpoint_of("fast_vlm"), tmp_path, label_set, small_sampling, num_steps=1)
    with pytest.raises(ModelError, match="is there already"):
        export_model(resolved(checkpoint_of("fast_vlm"), tmp_path), tmp_path, label_set)


def test_without_an_adapter_there_is_nothing_to_merge(checkpoint_of, tmp_path, label_set):
    with pytest.raises(ModelError, match="found none, expected the folder of an adapter"):
        export_model(resolved(checkpoint_of("fast_vlm"), None), tmp_path / "out", label_set)
