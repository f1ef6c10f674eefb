"""Parts of every family, told from its config alone; and towers whose blocks cannot be told apart."""

import re

import pytest
import torch
from transformers import (
    FastVlmConfig,
    FastVlmForConditionalGeneration,
    LlamaConfig,
    LlavaNextVideoConfig,
    LlavaNextVideoForConditionalGeneration,
    TimmWrapperConfig,
)

from nrray.errors import ModelError
from nrray.models import CheckpointChoice, resolve_checkpoint
from nrray.models.config import LanguageModelLearning, LoraSection, ProjectorLearning, ResolvedParts, TowerLearning
from nrray.models.families.frame_wise_vlm import FrameWiseVlm
from nrray.models.families.vlm import VisionLanguageModel
from nrray.models.parts import Part, checkpoint_parts, parts_of
from nrray.models.trained_modules import trained_modules
from tests.checkpoints import CHECKPOINTS, ENCODERS, TEXT, VISION
from tests.model_fixtures import loaded

NAMES = [*CHECKPOINTS, *ENCODERS]
BLOCKS = {
    "fast_vlm": (7, "model.vision_tower.timm_model.blocks."),
    "llava_next_video": (2, "model.vision_tower.encoder.layers."),
    "qwen2_5_vl": (2, "model.visual.blocks."),
    "qwen3_vl": (3, "model.visual.blocks."),
    "smolvlm": (2, "model.vision_model.encoder.layers."),
    "timesformer": (2, "encoder.layer."),
    "videomae": (2, "encoder.layer."),
    "vjepa2": (2, "encoder.layer."),
}
BEHIND = {
    "fast_vlm": ("model.vision_tower.timm_model.conv_head", "model.vision_tower.timm_model.bn2"),
    "smolvlm": ("model.vision_model.post_layernorm",),
    "timesformer": ("layernorm",),
    "videomae": ("layernorm",),
    "vjepa2": ("encoder.layernorm",),
}
PROJECTORS = {
    "fast_vlm": ("model.multi_modal_projector",),
    "llava_next_video": ("model.multi_modal_projector",),
    "qwen2_5_vl": ("model.visual.merger",),
    "qwen3_vl": (
        "model.visual.merger",
        "model.visual.deepstack_merger_list.0",
        "model.visual.deepstack_merger_list.1",
    ),
    "smolvlm": ("model.connector",),
}
LAST_TWO = ResolvedParts(tower=TowerLearning.LAST_BLOCKS, tower_blocks=2)
ADAPTED = ResolvedParts(
    tower=TowerLearning.ADAPTER,
    projector=ProjectorLearning.ADAPTER,
    language_model=LanguageModelLearning.ADAPTER,
)


def parts_on_meta(checkpoint_of, name):
    return checkpoint_parts(resolve_checkpoint(CheckpointChoice(path=str(checkpoint_of(name)))))


@pytest.mark.parametrize("name", NAMES)
def test_blocks_and_projector_are_told_before_weights_are_loaded(name, checkpoint_of):
    parts = parts_on_meta(checkpoint_of, name)
    count, prefix = BLOCKS[name]
    assert parts.blocks == tuple(f"{prefix}{number}" for number in range(count))
    assert parts.behind == BEHIND.get(name, ())
    assert parts.projector == PROJECTORS.get(name, ())
    assert {parameter.device.type for parameter in parts.model.parameters()} == {"meta"}
    with_weights = parts_of(loaded(checkpoint_of(name)).model, loaded(checkpoint_of(name)).family)
    assert (with_weights.blocks, with_weights.projector) == (parts.blocks, parts.projector)


@pytest.mark.parametrize("name", NAMES)
def test_parts_share_no_parameter_and_leave_out_words_alone(name, checkpoint_of):
    parts = parts_on_meta(checkpoint_of, name)
    counts = {part: parts.num_parameters(part) for part in Part}
    outside = [key for key, _ in parts.model.named_parameters() if parts.part_of(key) is None]
    assert all(re.match(r"lm_head|predictor|model\.image_newline", key) for key in outside)
    rest = sum(parts.model.get_parameter(key).numel() for key in outside)
    assert sum(counts.values()) + rest == sum(parameter.numel() for parameter in parts.model.parameters())
    assert (counts[Part.LANGUAGE_MODEL] > 0) == (name in CHECKPOINTS)


def test_the_layers_of_a_language_model_are_adapted_or_its_queries_and_values(checkpoint_of):
    parts = parts_on_meta(checkpoint_of, "smolvlm")
    chosen = ResolvedParts(tower=TowerLearning.FROZEN, language_model=LanguageModelLearning.ADAPTER)
    every = trained_modules(parts, chosen, LoraSection()).adapted
    some = trained_modules(parts, chosen, LoraSection(targets="query_value")).adapted
    assert (len(every), len(some)) == (7 * 2, 2 * 2)
    assert all(".text_model." in name for name in every)


def test_a_tower_of_convolutions_is_adapted_where_an_adapter_can_be_merged(checkpoint_of):
    names = trained_modules(parts_on_meta(checkpoint_of, "fast_vlm"), ADAPTED, LoraSection()).adapted
    tower = {name.rsplit(".", 1)[-1] for name in names if ".vision_tower." in name}
    assert tower == {
        "conv_pw",
        "conv_pwl",
        "conv_head",
    }  # not conv_dw, whose channels are apart, nor the stem, which pads


def llava_on_meta(**settings):
    config = LlavaNextVideoConfig(
        vision_config={**VISION, "model_type": "clip_vision_model", "image_size": 64, "patch_size": 16},
        text_config=LlamaConfig(**TEXT),
        **settings,
    )
    with torch.device("meta"):
        return LlavaNextVideoForConditionalGeneration(config)


def test_blocks_behind_the_one_that_is_read_are_not_trained():
    parts = parts_of(llava_on_meta(vision_feature_layer=-2), VisionLanguageModel())
    assert parts.blocks == ("model.vision_tower.encoder.layers.0",)
    assert parts.unused == ("model.vision_tower.encoder.layers.1", "model.vision_tower.post_layernorm")
    assert not [name for name in trained_modules(parts, ADAPTED, LoraSection()).adapted if "layers.1.mlp.fc" in name]
    with pytest.raises(ModelError, match=r"found 1 blocks in its tower, expected at least the 2 of parts.tower_blocks"):
        trained_modules(parts, LAST_TWO, LoraSection())


def test_stages_that_stand_beside_each_other_are_blocks():
    parts = parts_of(timm_on_meta("resnet10t"), FrameWiseVlm())
    assert [name.rsplit(".", 1)[-1] for name in parts.blocks] == ["layer1", "layer2", "layer3", "layer4"]
    assert parts.behind == ()


def timm_on_meta(architecture):
    vision = TimmWrapperConfig(architecture=architecture, do_pooling=False, hidden_size=512, num_labels=0)
    with torch.device("meta"):
        return FastVlmForConditionalGeneration(
            FastVlmConfig(vision_config=vision, text_config=LlamaConfig(**TEXT), image_token_index=3)
        )


def test_a_tower_whose_blocks_cannot_be_told_apart_is_refused_by_name():
    model = timm_on_meta("resnet10t")
    model.model.vision_tower.timm_model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Conv2d(8, 8, 3))
    parts = parts_of(model, FrameWiseVlm())
    assert parts.blocks == ()
    with pytest.raises(
        ModelError, match=r"no list of repeated blocks in its tower.*Set parts\.tower to adapter or frozen"
    ):
        trained_modules(parts, LAST_TWO, LoraSection())
    assert len(trained_modules(parts, ResolvedParts(tower=TowerLearning.ADAPTER), LoraSection()).adapted) == 2


def test_a_part_that_has_nothing_to_learn_by_is_refused_by_name():
    model = timm_on_meta("resnet10t")
    model.model.vision_tower.timm_model = torch.nn.Conv2d(4, 4, 3, groups=4, device="meta")
    parts = parts_of(model, FrameWiseVlm())
    for tower, message in ((TowerLearning.ADAPTER, "no plain convolution"), (TowerLearning.NORMS, "no normalization")):
        with pytest.raises(ModelError, match=message):
            trained_modules(parts, ResolvedParts(tower=tower), LoraSection())


def test_a_model_without_a_projector_is_refused():
    model = llava_on_meta()
    del model.model.multi_modal_projector
    with pytest.raises(ModelError, match=r"found no module between its tower and its language model"):
        parts_of(model, VisionLanguageModel())
