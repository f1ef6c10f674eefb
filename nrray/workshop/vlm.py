"""Builds a small vision-language model: a standard FastVLM class with an ImageNet tower and a small language model.

In: the tower's weights, the words it is to know, a seed. Out: model and processor, untrained. Knows no data and no recipe.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessor,
    FastVlmConfig,
    FastVlmForConditionalGeneration,
    LlamaConfig,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    TimmWrapperConfig,
)

from nrray.models.frame_stacking import FrameStacking
from nrray.models.fuse_conv_bn import fuse_conv_bn
from nrray.models.head import Head
from nrray.models.inputs import INPUTS_KEY, CheckpointInputs
from nrray.sampling import Sampling
from nrray.workshop.tower import load_tower

CAPTION_PROMPT = "Describe what is seen."
FRAME_STACKING = FrameStacking.LUMA_TRIPLETS  # a small language model compares frames too slowly; the tower sees motion
TOWER = "tf_efficientnet_lite0"
TOWER_STRIDE_PX = 32
TOWER_CHANNELS = 1280
TRUNK_BLOCKS = 5  # to stride 16: general edges and shapes; the later blocks know ImageNet's classes, and learn ours
PIXEL_MEAN, PIXEL_STD = 127 / 255, 128 / 255  # EfficientNet-Lite: (x - 127) / 128
VOCABULARY_SIZE = 1024
TEXT_WIDTH = 192
TEXT_LAYERS = 4
SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<image>", "<user>", "<assistant>")
CHAT_TEMPLATE = (
    "{{ '<s>' }}{% for message in messages %}{{ '<' + message['role'] + '>' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<image>' }}{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{{ '</s>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
)
VlmT = TypeVar("VlmT", bound="TrainableVlm")


@dataclass(frozen=True, kw_only=True)
class TrainableVlm:
    """A model in parts that are trained together, its head among them where it has one.

    The tower is its trunk, which stays frozen, then its tail, which is trained but for its depthwise kernels. `tail` is the
    model's own module; `trunk` is a copy with its normalization fused away, which is faster.
    """

    model: Any  # FastVlmForConditionalGeneration
    processor: Any  # LlavaProcessor
    head: Head | None
    frame_stacking: FrameStacking
    trunk: torch.nn.Module
    tail: torch.nn.Module

    @property
    def device(self) -> torch.device:
        device: torch.device = self.model.device
        return device

    def to(self: VlmT, device: torch.device) -> VlmT:
        """The same, all parts moved in place."""
        for part in (self.model, self.trunk, *(() if self.head is None else (self.head,))):
            part.to(device)
        return self


def fresh_vlm(
    *,
    tower_file: Path,
    sentences: Iterable[str],
    sampling: Sampling,
    seed: int,
    frame_stacking: FrameStacking = FRAME_STACKING,
) -> TrainableVlm:
    """A model before its training, without a head; the tower holds the weights in `tower_file`, the tokenizer knows the
    words of the sentences. Raises ModelError."""
    torch.manual_seed(seed)
    tokenizer = trained_tokenizer(sentences)
    model = FastVlmForConditionalGeneration(_model_config(tokenizer, sampling))
    load_tower(model.model.vision_tower.timm_model, tower_file)
    model.model.vision_tower.requires_grad_(False)
    model.model.vision_tower.half().float().eval()  # rounded as it will be stored: it is trained as it will be used
    tower = model.model.vision_tower.timm_model
    tail = torch.nn.Sequential(*tower.blocks[TRUNK_BLOCKS:], tower.conv_head, tower.bn2).requires_grad_(True)
    for part in tail.modules():
        if isinstance(part, torch.nn.Conv2d) and part.groups > 1:
            part.requires_grad_(False)  # depthwise: 2 % of the tail's weights, 40 % of a training step on a CPU
    trunk = torch.nn.Sequential(tower.conv_stem, tower.bn1, *tower.blocks[:TRUNK_BLOCKS])
    example = torch.rand(1, 3, sampling.frame_height_px, sampling.frame_width_px)
    return TrainableVlm(
        model=model,
        processor=processor_of(tokenizer, sampling),
        head=None,
        frame_stacking=frame_stacking,
        trunk=fuse_conv_bn(trunk, lambda module: module(example)).requires_grad_(False),
        tail=tail,
    )


def trained_tokenizer(sentences: Iterable[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE of at most `VOCABULARY_SIZE` tokens over the words of the sentences; others are spelt in bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences, trainer=trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>"},
        model_max_length=2048,
        padding_side="left",
    )


def window_prompt_ids(vlm: TrainableVlm, sampling: Sampling, *, num_frames: int, question: str) -> NDArray[np.int64]:
    """(L,) tokens of the whole prompt of a window of `num_frames`, laid out by the processor as in every later run."""
    size = (sampling.frame_height_px, sampling.frame_width_px, 3)
    images = [np.zeros(size, dtype=np.uint8)] * len(vlm.frame_stacking.rows(num_frames))
    content = [*[{"type": "image"}] * len(images), {"type": "text", "text": question}]
    text = vlm.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    ids: NDArray[np.int64] = vlm.processor(text=[text], images=[images], return_tensors="np")["input_ids"][0]
    return ids


def save_vlm(vlm: TrainableVlm, folder: Path, *, inputs: CheckpointInputs, dtype: torch.dtype) -> None:
    """Write model (in `dtype`) and processor into `folder`, a plain checkpoint that says what inputs it needs."""
    folder.mkdir(parents=True, exist_ok=True)
    setattr(vlm.model.config, INPUTS_KEY, inputs.model_dump(mode="json"))
    vlm.model.to(dtype).save_pretrained(folder)
    vlm.processor.save_pretrained(folder)
    for file in folder.iterdir():
        file.chmod(0o644)  # safetensors writes for its owner alone; a package is read by all


def tokens_per_frame(sampling: Sampling) -> int:
    """How many embeddings the tower gives for one frame."""
    return (sampling.frame_width_px // TOWER_STRIDE_PX) * (sampling.frame_height_px // TOWER_STRIDE_PX)


def _model_config(tokenizer: PreTrainedTokenizerFast, sampling: Sampling) -> FastVlmConfig:
    tower = TimmWrapperConfig(architecture=TOWER, do_pooling=False, hidden_size=TOWER_CHANNELS, num_labels=0)
    text = LlamaConfig(
        vocab_size=VOCABULARY_SIZE,
        hidden_size=TEXT_WIDTH,
        intermediate_size=512,
        num_hidden_layers=TEXT_LAYERS,
        num_attention_heads=6,
        num_key_value_heads=6,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return FastVlmConfig(
        vision_config=tower,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=tokens_per_frame(sampling),
        tie_word_embeddings=True,
    )


def processor_of(tokenizer: PreTrainedTokenizerFast, sampling: Sampling) -> LlavaProcessor:
    size = {"height": sampling.frame_height_px, "width": sampling.frame_width_px}
    images = CLIPImageProcessor(
        do_resize=False,  # the decoder already gives this size
        do_center_crop=False,
        size=size,
        crop_size=size,
        image_mean=[PIXEL_MEAN] * 3,
        image_std=[PIXEL_STD] * 3,
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=TOWER_STRIDE_PX,
        vision_feature_select_strategy="full",
        num_additional_image_tokens=0,
        chat_template=CHAT_TEMPLATE,
        image_token="<image>",
    )
