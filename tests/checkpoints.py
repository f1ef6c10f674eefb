"""Tiny checkpoints of every family with random weights, built offline from config classes and saved as any checkpoint is.

Each takes frames of 64 x 64 px and has hidden states of HIDDEN_SIZE.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from transformers import (
    CLIPImageProcessor,
    FastVlmConfig,
    FastVlmForConditionalGeneration,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaNextImageProcessor,
    LlavaNextVideoConfig,
    LlavaNextVideoForConditionalGeneration,
    LlavaNextVideoProcessor,
    LlavaNextVideoVideoProcessor,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
    SmolVLMImageProcessor,
    SmolVLMProcessor,
    SmolVLMVideoProcessor,
    TimesformerConfig,
    TimesformerForVideoClassification,
    TimesformerVideoProcessor,
    TimmWrapperConfig,
    VideoMAEConfig,
    VideoMAEModel,
    VideoMAEVideoProcessor,
    VJEPA2Config,
    VJEPA2Model,
    VJEPA2VideoProcessor,
)

from nrray.labels import LabelSet
from nrray.models.strategies.judge import INSTRUCTION
from nrray.workshop.embedded import embedded_sentences
from nrray.workshop.vlm import CHAT_TEMPLATE, trained_tokenizer

HIDDEN_SIZE, SIDE_PX, VOCABULARY_SIZE = 32, 64, 1024
NUM_FRAMES = 6  # of a window, where a checkpoint is made for so many
TEXT = {
    "vocab_size": VOCABULARY_SIZE,
    "hidden_size": HIDDEN_SIZE,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
VISION = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
QWEN_TOKENS = {
    "vision_start_token": "<|vision_start|>",
    "vision_end_token": "<|vision_end|>",
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
}


def chat_template(video: str) -> str:
    """One turn of a video, which stands as the text `video`, and a question."""
    return (
        "{% for message in messages %}<user>{% for part in message['content'] %}"
        f"{{% if part['type'] == 'video' %}}{video}"
        "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
        "{% endfor %}</s>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
    )


QWEN_TEMPLATE = chat_template("<|vision_start|><|video_pad|><|vision_end|>")


def fast_vlm(folder: Path, label_set: LabelSet) -> Path:
    """Frames go in as images, each seen alone."""
    torch.manual_seed(0)
    tokenizer = trained_tokenizer(embedded_sentences(label_set))
    config = FastVlmConfig(
        vision_config=TimmWrapperConfig(
            architecture="tf_efficientnet_lite0", do_pooling=False, hidden_size=1280, num_labels=0
        ),
        text_config=LlamaConfig(**TEXT, **special_ids(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    model = FastVlmForConditionalGeneration(config)
    _let_pictures_through(model)
    model.save_pretrained(folder)
    LlavaProcessor(
        image_processor=CLIPImageProcessor(do_resize=False, do_center_crop=False),
        tokenizer=tokenizer,
        patch_size=32,
        vision_feature_select_strategy="full",
        chat_template=CHAT_TEMPLATE,
    ).save_pretrained(folder)
    return folder


def qwen2_5_vl(folder: Path, label_set: LabelSet) -> Path:
    """Frames go in as one video, two to a step; positions are 3-D."""
    torch.manual_seed(0)
    tokenizer = video_tokenizer(label_set, QWEN_TOKENS)
    config = Qwen2_5_VLConfig(
        text_config={**TEXT, **special_ids(tokenizer), "rope_parameters": rope_parameters(mrope_section=[1, 1, 2])},
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": HIDDEN_SIZE,
            "fullatt_block_indexes": [1],
            "window_size": 56,
        },
        **token_ids(tokenizer, QWEN_TOKENS),
    )
    Qwen2_5_VLForConditionalGeneration(config).save_pretrained(folder)
    pixels = {"shortest_edge": 28 * 28, "longest_edge": 12 * 28 * 28}
    Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=pixels),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(size=pixels),
        chat_template=QWEN_TEMPLATE,
    ).save_pretrained(folder)
    return folder


def qwen3_vl(
    folder: Path,
    label_set: LabelSet,
    *,
    text: Mapping[str, object] | None = None,
    vision: Mapping[str, object] | None = None,
    side_px: int = SIDE_PX,
    is_tied: bool = True,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> Path:
    """As Qwen2.5-VL, with time stamps in the text; `text` and `vision` make it as large as a published one."""
    torch.manual_seed(0)
    tokenizer = video_tokenizer(label_set, QWEN_TOKENS)
    rope = rope_parameters(mrope_section=[2, 1, 1], mrope_interleaved=True)
    config = Qwen3VLConfig(
        text_config=dict(text or {**TEXT, "head_dim": 8, "rope_parameters": rope}),
        vision_config=dict(
            vision
            or {
                "depth": 3,
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_heads": 2,
                "patch_size": 16,
                "out_hidden_size": HIDDEN_SIZE,
                "deepstack_visual_indexes": [0, 1],
            }
        ),
        tie_word_embeddings=is_tied,
        **token_ids(tokenizer, QWEN_TOKENS),
    )
    with torch.device(device):
        Qwen3VLForConditionalGeneration(config).to(dtype).save_pretrained(folder)
    pixels = {"shortest_edge": 32 * 32, "longest_edge": 64 * side_px * side_px}
    Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=pixels, patch_size=16),
        tokenizer=tokenizer,
        video_processor=Qwen3VLVideoProcessor(size=pixels),
        chat_template=QWEN_TEMPLATE,
    ).save_pretrained(folder)
    return folder


def llava_next_video(
    folder: Path,
    label_set: LabelSet,
    *,
    text: Mapping[str, object] | None = None,
    vision: Mapping[str, object] | None = None,
    side_px: int = SIDE_PX,
    patch_px: int = 16,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> Path:
    """The study's: every frame pooled to a quarter of its patches; `text` and `vision` make it as large as a published one."""
    torch.manual_seed(0)
    tokens = {"image_token": "<image>", "video_token": "<video>"}
    tokenizer = video_tokenizer(label_set, tokens)
    config = LlavaNextVideoConfig(
        vision_config={
            **(vision or VISION),
            "model_type": "clip_vision_model",
            "image_size": side_px,
            "patch_size": patch_px,
        },
        text_config=LlamaConfig(**(text or TEXT), **special_ids(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=[[side_px, side_px]],
        vision_feature_layer=-1,
    )
    with torch.device(device):
        LlavaNextVideoForConditionalGeneration(config).to(dtype).save_pretrained(folder)
    size = {"height": side_px, "width": side_px}
    LlavaNextVideoProcessor(
        video_processor=LlavaNextVideoVideoProcessor(size=size, crop_size=size),
        image_processor=LlavaNextImageProcessor(
            size={"shortest_edge": SIDE_PX}, crop_size=size, image_grid_pinpoints=[[SIDE_PX, SIDE_PX]]
        ),
        tokenizer=tokenizer,
        chat_template=chat_template("<video>"),
        patch_size=patch_px,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    ).save_pretrained(folder)
    return folder


def smol_vlm(folder: Path, label_set: LabelSet) -> Path:
    """Frames go in as a video whose tokens are image tokens, with time stamps in the text."""
    torch.manual_seed(0)
    tokens = {
        "image_token": "<image>",
        "video_token": "<video>",
        "fake_image_token": "<fake_token_around_image>",
        "global_image_token": "<global-img>",
        "end_of_utterance_token": "<end_of_utterance>",
    }
    tokenizer = video_tokenizer(label_set, tokens)
    config = SmolVLMConfig(
        vision_config={**VISION, "image_size": SIDE_PX, "patch_size": 16},
        text_config={**TEXT, "model_type": "llama", **special_ids(tokenizer)},
        scale_factor=2,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
    )
    SmolVLMForConditionalGeneration(config).save_pretrained(folder)
    edge = {"longest_edge": SIDE_PX}
    SmolVLMProcessor(
        image_processor=SmolVLMImageProcessor(size=edge, max_image_size=edge, do_image_splitting=False),
        tokenizer=tokenizer,
        video_processor=SmolVLMVideoProcessor(size=edge, max_image_size=edge),
        image_seq_len=4,
        chat_template=chat_template("<video>"),
    ).save_pretrained(folder)
    return folder


def wide_qwen3_vl(folder: Path, label_set: LabelSet) -> Path:
    """Wide enough for blocks of 64 weights, which 4 bits come in; hidden states of 128."""
    return qwen3_vl(
        folder,
        label_set,
        text={
            **TEXT,
            "hidden_size": 128,
            "intermediate_size": 128,
            "head_dim": 32,
            "rope_parameters": rope_parameters(mrope_section=[6, 5, 5], mrope_interleaved=True),
        },
        vision={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "patch_size": 16,
            "out_hidden_size": 128,
            "deepstack_visual_indexes": [0],
        },
    )


def timesformer(folder: Path, _: LabelSet, **shape: object) -> Path:
    """The study's baseline, as a classifier of other classes is published; `shape` makes it as large as that."""
    torch.manual_seed(0)
    tiny = {
        "image_size": SIDE_PX,
        "patch_size": 16,
        "num_frames": NUM_FRAMES,
        "hidden_size": HIDDEN_SIZE,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
    }
    config = TimesformerConfig(**(shape or tiny))
    TimesformerForVideoClassification(config).save_pretrained(folder)
    size = {"height": config.image_size, "width": config.image_size}
    TimesformerVideoProcessor(size={"shortest_edge": config.image_size}, crop_size=size).save_pretrained(folder)
    return folder


def vjepa2(folder: Path, _: LabelSet, **shape: object) -> Path:
    """Encoder and predictor, as it is published; frames are resized to 73 px and cropped. `shape` makes it as large."""
    torch.manual_seed(0)
    tiny = {
        "crop_size": SIDE_PX,
        "frames_per_clip": NUM_FRAMES,
        "hidden_size": HIDDEN_SIZE,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "mlp_ratio": 2.0,
        "pred_hidden_size": 16,
        "pred_num_hidden_layers": 1,
        "pred_num_attention_heads": 2,
        "pred_num_mask_tokens": 1,
    }
    config = VJEPA2Config(**(shape or tiny))
    VJEPA2Model(config).save_pretrained(folder)
    VJEPA2VideoProcessor(crop_size=config.crop_size).save_pretrained(folder)
    return folder


def videomae(folder: Path, _: LabelSet) -> Path:
    """An encoder alone."""
    torch.manual_seed(0)
    config = VideoMAEConfig(
        image_size=SIDE_PX,
        num_frames=NUM_FRAMES,
        hidden_size=HIDDEN_SIZE,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        use_mean_pooling=False,
    )
    VideoMAEModel(config).save_pretrained(folder)
    size = {"height": SIDE_PX, "width": SIDE_PX}
    VideoMAEVideoProcessor(size={"shortest_edge": SIDE_PX}, crop_size=size).save_pretrained(folder)
    return folder


def llama_judge(
    folder: Path,
    label_set: LabelSet,
    *,
    text: Mapping[str, object] | None = None,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> Path:
    """A language model with a chat template that says nothing but yes, no and not, as its prompt moves it."""
    torch.manual_seed(0)
    sentences = [*embedded_sentences(label_set), *(f"{INSTRUCTION} {word}" for word in ("yes", "no", "not"))]
    tokenizer = trained_tokenizer([*sentences, "not", "not"])
    tokenizer.chat_template = (
        "{{ bos_token }}{% for message in messages %}<user>{{ message['content'] }}</s>{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    config = LlamaConfig(**(text or TEXT), **special_ids(tokenizer), initializer_range=0.3)
    with torch.device(device):
        model = LlamaForCausalLM(config).to(dtype).eval()
    spoken = {tokenizer.encode(word, add_special_tokens=False)[0] for word in ("yes", "no", "not")}
    with torch.no_grad():
        model.lm_head.weight[[token for token in range(config.vocab_size) if token not in spoken]] = 0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


CHECKPOINTS: dict[str, Callable[[Path, LabelSet], Path]] = {
    "fast_vlm": fast_vlm,
    "llava_next_video": llava_next_video,
    "qwen2_5_vl": qwen2_5_vl,
    "qwen3_vl": qwen3_vl,
    "smolvlm": smol_vlm,
}
"""Vision-language models."""

ENCODERS: dict[str, Callable[[Path, LabelSet], Path]] = {
    "timesformer": timesformer,
    "videomae": videomae,
    "vjepa2": vjepa2,
}
"""Video encoders, which know no words."""


def video_tokenizer(label_set: LabelSet, tokens: Mapping[str, str]) -> PreTrainedTokenizerFast:
    """The embedded model's, with a family's own special tokens."""
    return PreTrainedTokenizerFast(
        tokenizer_object=trained_tokenizer(embedded_sentences(label_set)).backend_tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens=dict(tokens),
    )


def token_ids(tokenizer: PreTrainedTokenizerFast, tokens: Mapping[str, str]) -> dict[str, int]:
    return {f"{name}_id": tokenizer.convert_tokens_to_ids(token) for name, token in tokens.items()}


def special_ids(tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    return {
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }


def rope_parameters(**sections: object) -> dict[str, object]:
    return {"rope_type": "default", "rope_theta": 10_000.0, **sections}


def _let_pictures_through(model: FastVlmForConditionalGeneration) -> None:
    # Freshly initialized, 50 layers of small weights shrink any picture to nothing: all frames would look the same.
    tower = model.model.vision_tower.train()
    with torch.no_grad():
        for parameter in tower.parameters():
            if parameter.ndim == 4:
                torch.nn.init.kaiming_normal_(parameter)
        for _ in range(30):  # fills the running statistics
            tower(torch.randn(4, 3, SIDE_PX, SIDE_PX))
        for projection in (model.model.multi_modal_projector.linear_1, model.model.multi_modal_projector.linear_2):
            projection.weight.mul_(3)
    model.eval()
