"""An adapter that does not fit its checkpoint is refused by names and shapes, before a weight is read."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from nrray.errors import ModelError
from nrray.models import CheckpointChoice, resolve_checkpoint
from nrray.models.config import ProjectorLearning, ResolvedParts, TowerLearning
from nrray.models.fitting import check_adapter
from nrray.models.metadata import HEAD_FILE, MATRICES_FILE
from tests.checkpoints import CHECKPOINTS
from tests.models.test_adapters import LANGUAGE_MODEL, trained

EVERY_PART = ResolvedParts(
    tower=TowerLearning.LAST_BLOCKS,
    tower_blocks=1,
    projector=ProjectorLearning.WHOLE,
    language_model=LANGUAGE_MODEL.language_model,
)


def tuned(base, folder, label_set, sampling, parts=EVERY_PART):
    folder.mkdir()
    trained(base, folder, label_set, sampling, parts=parts, num_steps=1)
    return resolve_checkpoint(CheckpointChoice(path=str(base), adapter=str(folder)))


@pytest.mark.parametrize("name", list(CHECKPOINTS))
def test_adapters_of_all_families_fit_the_outline_of_their_base(
    name, checkpoint_of, tmp_path, label_set, small_sampling
):
    check_adapter(tuned(checkpoint_of(name), tmp_path / "adapter", label_set, small_sampling))


@pytest.fixture
def fitting(image_folder, tmp_path, label_set, small_sampling):
    return tuned(image_folder, tmp_path / "adapter", label_set, small_sampling)


def test_an_adapter_that_fits_is_told_nothing_of_even_where_its_base_was_moved(fitting, recwarn):
    config = fitting.head_folder / "adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "base_model_name_or_path": "/elsewhere"}))
    check_adapter(fitting)
    assert [str(warning.message) for warning in recwarn] == []


def test_a_part_that_the_base_lacks_is_refused_by_name(fitting):
    file = fitting.head_folder / MATRICES_FILE
    tensors = load_file(file)
    save_file({**tensors, "base_model.model.deepstack.0.lora_A.weight": torch.zeros(2, 2)}, file)
    with pytest.raises(
        ModelError, match=r"1 tensors are missing, .*deepstack\.0\.lora_A.*Use the base and the versions"
    ):
        check_adapter(fitting)


def test_a_module_that_is_to_be_adapted_and_is_not_there_is_refused(fitting):
    file = fitting.head_folder / "adapter_config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, "target_modules": ["nowhere"], "modules_to_save": None}))
    with pytest.raises(ModelError, match=r"does not fit .*nowhere"):
        check_adapter(fitting)


def test_a_head_of_another_width_is_refused(fitting):
    file = fitting.head_folder / HEAD_FILE
    save_file({name: torch.zeros(*tensor.shape[:-1], 7) for name, tensor in load_file(file).items()}, file)
    with pytest.raises(ModelError, match=r"head.safetensors: found .*7.*expected"):
        check_adapter(fitting)


def test_a_checkpoint_without_adapter_has_nothing_to_fit(fitting):
    check_adapter(replace(fitting, adapter=None, metadata=None))
