"""Which family a checkpoint is of is known from the model type in its config.json, and each family has what it declares."""

import shutil
import subprocess
import sys

import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from nrray.errors import ModelError
from nrray.models import CheckpointChoice, resolve_checkpoint
from nrray.models.config import Device, Dtype
from nrray.models.families import FAMILIES, TuningMethod, family_entry, loaded_family, video_encoder_types
from nrray.models.families.family import Family
from tests.checkpoints import CHECKPOINTS, ENCODERS, HIDDEN_SIZE
from tests.model_fixtures import labeler_of, loaded

EXPECTED = {
    "fast_vlm": "frame_wise_vlm",
    "llava_next_video": "vlm",
    "qwen2_5_vl": "vlm",
    "qwen3_vl": "vlm",
    "smolvlm": "vlm",
    "timesformer": "timesformer",
    "videomae": "videomae",
    "vjepa2": "vjepa2",
}

checkpoints = pytest.mark.parametrize("name", [*CHECKPOINTS, *ENCODERS])


@checkpoints
def test_the_model_type_decides_the_family_whatever_the_folder_is_called(name, checkpoint_of, tmp_path):
    folder = shutil.copytree(checkpoint_of(name), tmp_path / "timesformer-qwen")
    assert resolve_checkpoint(CheckpointChoice(path=str(folder))).family.name == EXPECTED[name]


def test_the_families_that_know_no_words_are_the_video_encoders():
    assert video_encoder_types() == sorted(ENCODERS)
    assert not any(family_entry(name).knows_words for name in ENCODERS)
    assert all(family_entry(name).knows_words for name in CHECKPOINTS)


def test_the_published_encoders_are_frozen_and_the_baseline_is_trained_whole():
    methods = {name: family_entry(name).tuning for name in ("qwen3_vl", *ENCODERS)}
    assert methods == {
        "qwen3_vl": TuningMethod.LORA,
        "timesformer": TuningMethod.WHOLE,
        "videomae": TuningMethod.HEAD,
        "vjepa2": TuningMethod.HEAD,
    }


def test_every_line_names_a_class_and_no_type_is_claimed_twice():
    assert all(isinstance(loaded_family(entry), Family) for entry in (*FAMILIES, family_entry("any")))
    claimed = [model_type for entry in FAMILIES for model_type in entry.model_types]
    assert len(claimed) == len(set(claimed))


@checkpoints
def test_layers_and_width_are_those_of_the_checkpoint(name, checkpoint_of):
    checkpoint = loaded(checkpoint_of(name))
    layers = checkpoint.family.layers(checkpoint.model)
    assert len(layers) == len({id(layer) for layer in layers}) == 2
    assert checkpoint.family.hidden_size(checkpoint.model) == HIDDEN_SIZE


def test_asking_for_the_family_imports_no_torch():
    code = (
        "import sys; from nrray.models import CheckpointChoice, resolve_checkpoint; "
        "print(resolve_checkpoint(CheckpointChoice()).family.name, bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["frame_wise_vlm", "False"]


def test_a_language_model_without_eyes_is_refused(tmp_path, label_set):
    LlamaForCausalLM(
        LlamaConfig(vocab_size=64, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    ).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"found a 'llama' checkpoint, .*or timesformer, videomae, vjepa2"):
        labeler_of(tmp_path, label_set)


@pytest.mark.parametrize("name", list(ENCODERS))
def test_only_language_models_come_in_four_bits(name, checkpoint_of):
    with pytest.raises(ModelError, match="only language models come in 4 bits"):
        loaded(checkpoint_of(name), device=Device.CPU, dtype=Dtype.NF4)
