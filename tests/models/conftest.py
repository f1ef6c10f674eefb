"""Tiny random checkpoints, built offline from config classes and saved as any checkpoint is."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import (
    CLIPImageProcessor,
    FastVlmConfig,
    FastVlmForConditionalGeneration,
    LlamaConfig,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    TimmWrapperConfig,
)

from nrray.labels import LabelSet, read_label_set
from nrray.models.artefact import Artefact, Pooling, trained_labels, write_artefact
from nrray.sampling import Sampling
from nrray.train.embedded import CHAT_TEMPLATE, trained_tokenizer

HIDDEN_SIZE = 32
QWEN_TEMPLATE = (
    "{% for message in messages %}<user>{% for part in message['content'] %}"
    "{% if part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}</s>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)
QWEN_TOKENS = {
    "vision_start_token": "<|vision_start|>",
    "vision_end_token": "<|vision_end|>",
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
}


@pytest.fixture(scope="session")
def label_set() -> LabelSet:
    return read_label_set()


@pytest.fixture(scope="session")
def small_sampling() -> Sampling:
    """6 frames of 64 px a window, two thirds of them shared with the next."""
    return Sampling(
        frames_per_second=2.0, window_seconds=3.0, stride_seconds=1.0, frame_width_px=64, frame_height_px=64
    )


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory, label_set: LabelSet) -> Path:
    """A FastVLM with random weights: frames go in as images."""
    torch.manual_seed(0)
    tokenizer = trained_tokenizer(label_set)
    config = FastVlmConfig(
        vision_config=TimmWrapperConfig(
            architecture="tf_efficientnet_lite0", do_pooling=False, hidden_size=1280, num_labels=0
        ),
        text_config=LlamaConfig(
            vocab_size=1024,
            hidden_size=HIDDEN_SIZE,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessor(do_resize=False, do_center_crop=False),
        tokenizer=tokenizer,
        patch_size=32,
        vision_feature_select_strategy="full",
        chat_template=CHAT_TEMPLATE,
    )
    folder = tmp_path_factory.mktemp("fastvlm")
    model = FastVlmForConditionalGeneration(config)
    _let_pictures_through(model)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def video_folder(tmp_path_factory: pytest.TempPathFactory, label_set: LabelSet) -> Path:
    """A Qwen2.5-VL with random weights: frames go in as one video, positions are 3-D."""
    torch.manual_seed(0)
    tokenizer = _qwen_tokenizer(label_set)
    token_ids = {f"{name}_id": tokenizer.convert_tokens_to_ids(token) for name, token in QWEN_TOKENS.items()}
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": 1024,
            "hidden_size": HIDDEN_SIZE,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]},
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": HIDDEN_SIZE,
            "fullatt_block_indexes": [1],
            "window_size": 56,
        },
        **token_ids,
    )
    pixels = {"shortest_edge": 28 * 28, "longest_edge": 12 * 28 * 28}
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=pixels),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(size=pixels),
        chat_template=QWEN_TEMPLATE,
    )
    folder = tmp_path_factory.mktemp("qwen")
    Qwen2_5_VLForConditionalGeneration(config).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def add_head() -> Callable[..., Path]:
    """A function that turns a checkpoint folder into an artefact with a random head."""
    return _add_head


def _add_head(
    folder: Path, *, label_set: LabelSet, sampling: Sampling, pooling: Pooling = Pooling.LAST, num_outputs: int = 4
) -> Path:
    generator = np.random.default_rng(0)
    weight = torch.from_numpy(generator.normal(size=(num_outputs, HIDDEN_SIZE)).astype(np.float32))
    save_file({"weight": weight, "bias": torch.zeros(num_outputs)}, folder / "head.safetensors")
    artefact = Artefact(
        schema_version=1,
        name="tiny",
        labels=trained_labels(label_set),
        sampling=sampling,
        prompt="Which activities are going on?",
        pooling=pooling,
        thresholds=dict.fromkeys(label_set.names, 0.5),
    )
    write_artefact(artefact, folder)
    return folder


def _let_pictures_through(model: FastVlmForConditionalGeneration) -> None:
    # Freshly initialized, 50 layers of small weights shrink any picture to nothing: all frames would look the same.
    tower = model.model.vision_tower.train()
    with torch.no_grad():
        for parameter in tower.parameters():
            if parameter.ndim == 4:
                torch.nn.init.kaiming_normal_(parameter)
        for _ in range(30):  # fills the running statistics
            tower(torch.randn(4, 3, 64, 64))
        for projection in (model.model.multi_modal_projector.linear_1, model.model.multi_modal_projector.linear_2):
            projection.weight.mul_(3)
    model.eval()


def _qwen_tokenizer(label_set: LabelSet) -> PreTrainedTokenizerFast:
    base = trained_tokenizer(label_set)
    return PreTrainedTokenizerFast(
        tokenizer_object=base.backend_tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens=QWEN_TOKENS,
    )
