"""Models of published sizes with random weights, which take as long as trained ones: each as its published config.json has it,
and a tiny one of the same class to try a script without a GPU."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nrray.labels import LabelSet
from nrray.sampling import Sampling
from tests.checkpoints import SIDE_PX as TINY_SIDE_PX
from tests.checkpoints import llama_judge, llava_next_video, qwen3_vl, timesformer, vjepa2

QWEN3_ROPE = {
    "rope_type": "default",
    "rope_theta": 5_000_000.0,
    "mrope_section": [24, 20, 20],
    "mrope_interleaved": True,
}
LLAMA_7B = {
    "vocab_size": 32_064,
    "hidden_size": 4096,
    "intermediate_size": 11_008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "max_position_embeddings": 4096,
}
MISTRAL_7B = {
    **LLAMA_7B,
    "vocab_size": 32_768,
    "intermediate_size": 14_336,
    "num_key_value_heads": 8,
    "max_position_embeddings": 32_768,
}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """make: writes a checkpoint into a folder; full: its arguments; side_px, frames: of a window as it is labelled; knows_words:
    whether it can be asked."""

    make: Callable[..., Path]
    full: Mapping[str, Any]
    side_px: int
    frames: int
    knows_words: bool

    def written(self, folder: Path, label_set: LabelSet, *, is_tiny: bool) -> Path:
        """The checkpoint in the folder, written unless it is there."""
        if not (folder / "config.json").exists():
            placed: dict[str, Any] = {"device": "cuda" if torch.cuda.is_available() else "cpu"}
            dtype = {"dtype": torch.bfloat16}
            words = {**placed, **dtype} if self.knows_words else {}
            self.make(folder, label_set, **({} if is_tiny else self.full), **words)
            torch.cuda.empty_cache()
        return folder

    def sampling(self, *, is_tiny: bool) -> Sampling:
        """Windows that the model takes."""
        side = TINY_SIDE_PX if is_tiny else self.side_px
        frames = 6 if is_tiny else self.frames
        return Sampling(
            frames_per_second=frames / 3.0 if frames % 3 == 0 else frames / 2.0,
            window_seconds=3.0 if frames % 3 == 0 else 2.0,
            stride_seconds=1.0,
            frame_width_px=side,
            frame_height_px=side,
        )


SHAPES: Mapping[str, Shape] = {
    "Qwen3-VL-2B": Shape(
        make=qwen3_vl,
        full={
            "text": {
                "vocab_size": 151_936,
                "hidden_size": 2048,
                "intermediate_size": 6144,
                "num_hidden_layers": 28,
                "num_attention_heads": 16,
                "num_key_value_heads": 8,
                "head_dim": 128,
                "rope_parameters": QWEN3_ROPE,
            },
            "vision": {
                "depth": 24,
                "hidden_size": 1024,
                "intermediate_size": 4096,
                "num_heads": 16,
                "patch_size": 16,
                "out_hidden_size": 2048,
                "deepstack_visual_indexes": [5, 11, 17],
            },
            "side_px": 224,
        },
        side_px=224,
        frames=12,
        knows_words=True,
    ),
    "Qwen3-VL-8B": Shape(
        make=qwen3_vl,
        full={
            "text": {
                "vocab_size": 151_936,
                "hidden_size": 4096,
                "intermediate_size": 12_288,
                "num_hidden_layers": 36,
                "num_attention_heads": 32,
                "num_key_value_heads": 8,
                "head_dim": 128,
                "rope_parameters": QWEN3_ROPE,
            },
            "vision": {
                "depth": 27,
                "hidden_size": 1152,
                "intermediate_size": 4304,
                "num_heads": 16,
                "patch_size": 16,
                "out_hidden_size": 4096,
                "deepstack_visual_indexes": [8, 16, 24],
            },
            "side_px": 224,
            "is_tied": False,
        },
        side_px=224,
        frames=12,
        knows_words=True,
    ),
    "LLaVA-NeXT-Video-7B": Shape(
        make=llava_next_video,
        full={
            "text": LLAMA_7B,
            "vision": {
                "hidden_size": 1024,
                "intermediate_size": 4096,
                "num_hidden_layers": 24,
                "num_attention_heads": 16,
            },
            "side_px": 336,
            "patch_px": 14,
        },
        side_px=336,
        frames=16,
        knows_words=True,
    ),
    "TimeSformer": Shape(
        make=timesformer,
        full={
            "image_size": 224,
            "patch_size": 16,
            "num_frames": 8,
            "hidden_size": 768,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "intermediate_size": 3072,
        },
        side_px=224,
        frames=8,
        knows_words=False,
    ),
    "V-JEPA 2 L": Shape(
        make=vjepa2,
        full={"crop_size": 256, "frames_per_clip": 64, "hidden_size": 1024, "num_hidden_layers": 24},
        side_px=256,
        frames=16,
        knows_words=False,
    ),
}
"""By the name under which each is published."""


def judge_of(folder: Path, label_set: LabelSet, *, is_tiny: bool) -> Path:
    """A judge of Mistral-7B's size, written unless it is there."""
    if not (folder / "config.json").exists():
        device = "cuda" if torch.cuda.is_available() else "cpu"
        llama_judge(folder, label_set, text=None if is_tiny else MISTRAL_7B, dtype=torch.bfloat16, device=device)
        torch.cuda.empty_cache()
    return folder
