"""More families of published checkpoints, tiny and with random weights: none of them has code of its own in the package."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import (
    CLIPImageProcessor,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3ImageProcessor,
    Gemma3Processor,
    GotOcr2ImageProcessor,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessor,
    Idefics3Processor,
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLProcessor,
    InternVLVideoProcessor,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionImageProcessor,
    LlavaOnevisionProcessor,
    LlavaOnevisionVideoProcessor,
    LlavaProcessor,
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    PixtralImageProcessor,
    PixtralProcessor,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
    VipLlavaConfig,
    VipLlavaForConditionalGeneration,
)

from nrray.labels import LabelSet
from nrray.workshop.vlm import CHAT_TEMPLATE
from tests.checkpoints import (
    QWEN_TEMPLATE,
    QWEN_TOKENS,
    SIDE_PX,
    TEXT,
    VISION,
    chat_template,
    rope_parameters,
    special_ids,
    token_ids,
    video_tokenizer,
)

SIGLIP = {**VISION, "model_type": "siglip_vision_model", "image_size": SIDE_PX, "patch_size": 16}
IMAGE_TEMPLATE = CHAT_TEMPLATE
SQUARE = {"height": SIDE_PX, "width": SIDE_PX}


def qwen2_vl(folder: Path, label_set: LabelSet) -> Path:
    """The family before Qwen2.5-VL."""
    torch.manual_seed(0)
    tokenizer = video_tokenizer(label_set, QWEN_TOKENS)
    config = Qwen2VLConfig(
        text_config={**TEXT, **special_ids(tokenizer), "rope_parameters": rope_parameters(mrope_section=[1, 1, 2])},
        vision_config={"depth": 2, "embed_dim": 32, "hidden_size": TEXT["hidden_size"], "num_heads": 2, "mlp_ratio": 2},
        **token_ids(tokenizer, QWEN_TOKENS),
    )
    Qwen2VLForConditionalGeneration(config).save_pretrained(folder)
    pixels = {"shortest_edge": 28 * 28, "longest_edge": 12 * 28 * 28}
    Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=pixels),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(size=pixels),
        chat_template=QWEN_TEMPLATE,
    ).save_pretrained(folder)
    return folder


def cropping_processor(tokenizer: Any) -> LlavaProcessor:
    """Of models that are shown images cropped to a square."""
    return LlavaProcessor(
        image_processor=CLIPImageProcessor(size={"shortest_edge": SIDE_PX}, crop_size=SQUARE),
        tokenizer=tokenizer,
        patch_size=16,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=IMAGE_TEMPLATE,
    )


def llava(folder: Path, label_set: LabelSet) -> Path:
    """Images alone, cropped to a square."""
    torch.manual_seed(0)
    tokenizer = video_tokenizer(label_set, {"image_token": "<image>"})
    config = LlavaConfig(
        vision_config={**VISION, "model_type": "clip_vision_model", "image_size": SIDE_PX, "patch_size": 16},
        text_config=LlamaConfig(**TEXT, **special_ids(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
    )
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    cropping_processor(tokenizer).save_pretrained(folder)
    return folder


def llava_onevision(folder: Path, label_set: LabelSet) -> Path:
    """Videos whose frames are pooled, and images in tiles."""
    torch.manual_seed(0)
    tokens = {"image_token": "<image>", "video_token": "<video>"}
    tokenizer = video_tokenizer(label_set, tokens)
    config = LlavaOnevisionConfig(
        vision_config=SIGLIP,
        text_config=LlamaConfig(**TEXT, **special_ids(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=[[SIDE_PX, SIDE_PX]],
        vision_feature_layer=-1,
    )
    LlavaOnevisionForConditionalGeneration(config).save_pretrained(folder)
    LlavaOnevisionProcessor(
        video_processor=LlavaOnevisionVideoProcessor(size=SQUARE),
        image_processor=LlavaOnevisionImageProcessor(size=SQUARE, image_grid_pinpoints=[[SIDE_PX, SIDE_PX]]),
        tokenizer=tokenizer,
        chat_template=chat_template("<video>"),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
    ).save_pretrained(folder)
    return folder


def gemma3(folder: Path, label_set: LabelSet) -> Path:
    """Images of a fixed size and number of tokens."""
    torch.manual_seed(0)
    tokens = {"boi_token": "<boi>", "eoi_token": "<eoi>", "image_token": "<image>"}
    tokenizer = video_tokenizer(label_set, tokens)
    config = Gemma3Config(
        vision_config=SIGLIP,
        text_config={**TEXT, "head_dim": 8, **special_ids(tokenizer)},
        mm_tokens_per_image=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        boi_token_index=tokenizer.convert_tokens_to_ids("<boi>"),
        eoi_token_index=tokenizer.convert_tokens_to_ids("<eoi>"),
    )
    model = Gemma3ForConditionalGeneration(config)
    torch.nn.init.normal_(model.model.multi_modal_projector.mm_input_projection_weight)  # of zeros it shows nothing
    model.save_pretrained(folder)
    Gemma3Processor(
        image_processor=Gemma3ImageProcessor(size=SQUARE),
        tokenizer=tokenizer,
        image_seq_length=4,
        chat_template=IMAGE_TEMPLATE.replace("<image>", "<boi>"),
    ).save_pretrained(folder)
    return folder


def idefics3(folder: Path, label_set: LabelSet) -> Path:
    """Images whose longest edge is fitted, in tiles."""
    torch.manual_seed(0)
    tokens = {
        "image_token": "<image>",
        "fake_image_token": "<fake_token_around_image>",
        "global_image_token": "<global-img>",
        "end_of_utterance_token": "<end_of_utterance>",
    }
    tokenizer = video_tokenizer(label_set, tokens)
    config = Idefics3Config(
        vision_config={**VISION, "image_size": SIDE_PX, "patch_size": 16},
        text_config={**TEXT, "model_type": "llama", **special_ids(tokenizer)},
        scale_factor=2,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
    )
    Idefics3ForConditionalGeneration(config).save_pretrained(folder)
    Idefics3Processor(
        image_processor=Idefics3ImageProcessor(
            size={"longest_edge": 2 * SIDE_PX}, max_image_size={"longest_edge": SIDE_PX}
        ),
        tokenizer=tokenizer,
        image_seq_len=4,
        chat_template=IMAGE_TEMPLATE,
    ).save_pretrained(folder)
    return folder


def intern_vl(folder: Path, label_set: LabelSet) -> Path:
    """Videos of square frames, and images in tiles."""
    torch.manual_seed(0)
    tokens = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    tokenizer = video_tokenizer(label_set, tokens)
    config = InternVLConfig(
        vision_config={**VISION, "image_size": [SIDE_PX, SIDE_PX], "patch_size": [16, 16]},
        text_config=LlamaConfig(**TEXT, **special_ids(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
    )
    InternVLForConditionalGeneration(config).save_pretrained(folder)
    InternVLProcessor(
        image_processor=GotOcr2ImageProcessor(size=SQUARE),
        video_processor=InternVLVideoProcessor(size=SQUARE),
        tokenizer=tokenizer,
        image_seq_length=4,
        chat_template=chat_template("<video>"),
    ).save_pretrained(folder)
    return folder


def mistral3(folder: Path, label_set: LabelSet) -> Path:
    """Images of any size and aspect, whose patches are merged."""
    torch.manual_seed(0)
    tokens = {"image_token": "[IMG]", "image_break_token": "[IMG_BREAK]", "image_end_token": "[IMG_END]"}
    tokenizer = video_tokenizer(label_set, tokens)
    config = Mistral3Config(
        vision_config={
            **VISION,
            "model_type": "pixtral",
            "image_size": 2 * SIDE_PX,
            "patch_size": 16,
            "head_dim": 16,
            "rope_parameters": rope_parameters(),
        },
        text_config={**TEXT, "model_type": "mistral", "head_dim": 8, **special_ids(tokenizer)},
        image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
        spatial_merge_size=2,
        vision_feature_layer=-1,
    )
    Mistral3ForConditionalGeneration(config).save_pretrained(folder)
    PixtralProcessor(
        image_processor=PixtralImageProcessor(
            size={"longest_edge": 2 * SIDE_PX}, patch_size={"height": 16, "width": 16}
        ),
        tokenizer=tokenizer,
        patch_size=16,
        spatial_merge_size=2,
        chat_template=IMAGE_TEMPLATE.replace("<image>", "[IMG]"),
    ).save_pretrained(folder)
    return folder


def vip_llava(folder: Path, label_set: LabelSet) -> Path:
    """Of a type that no family names."""
    torch.manual_seed(0)
    tokenizer = video_tokenizer(label_set, {"image_token": "<image>"})
    config = VipLlavaConfig(
        vision_config={**VISION, "model_type": "clip_vision_model", "image_size": SIDE_PX, "patch_size": 16},
        text_config=LlamaConfig(**TEXT, **special_ids(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layers=[-1, -2],
    )
    VipLlavaForConditionalGeneration(config).save_pretrained(folder)
    cropping_processor(tokenizer).save_pretrained(folder)
    return folder


MORE_CHECKPOINTS: Mapping[str, Callable[[Path, LabelSet], Path]] = {
    "gemma3": gemma3,
    "idefics3": idefics3,
    "intern_vl": intern_vl,
    "llava": llava,
    "llava_onevision": llava_onevision,
    "mistral3": mistral3,
    "qwen2_vl": qwen2_vl,
}
"""Vision-language models."""

OTHER_CHECKPOINTS: Mapping[str, Callable[[Path, LabelSet], Path]] = {"vip_llava": vip_llava}
"""Of types that no family names: they are taken for `other_vlm`."""
