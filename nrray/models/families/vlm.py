"""A vision-language model of any of transformers' image-text-to-text classes: every window goes through all of it."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForImageTextToText, AutoProcessor
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

from nrray.errors import ModelError
from nrray.models.chat_template import chat_text
from nrray.models.families import video_encoder_types
from nrray.models.families.family import (
    CPU,
    Family,
    HiddenStates,
    LoadedCheckpoint,
    WindowProcessor,
    WindowRunner,
    pixel_device,
)
from nrray.models.families.four_bit import check_four_bit, four_bit_arguments
from nrray.models.families.frame_sharing import SharingRunner
from nrray.models.families.packed_attention import pack_attention
from nrray.models.frame_size import FrameSize


class VisionLanguageModel(Family):
    """Frames go in as one video where the processor knows videos, else as images in order, before the question.

    Tokens see none behind them but those of the same frame, so that the beginning of a prompt, frames included, is read once for
    all questions. The tower sees frames apart from each other, or as many together as its config's temporal_patch_size says, so
    that windows share them. Both are proven by tests for every model type that the registry names."""

    model_class = AutoModelForImageTextToText
    processor_class = AutoProcessor

    def check_config(self, config: Any, *, folder: Path) -> None:
        if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
            raise ModelError(
                f"model {folder}: found a '{config.model_type}' checkpoint, expected one of transformers' "
                f"image-text-to-text classes, or {', '.join(video_encoder_types())}. Give a vision-language model."
            )

    def check_processor(self, processor: Any, *, folder: Path) -> None:
        if not hasattr(processor, "tokenizer"):
            raise ModelError(
                f"model {folder}: found a {type(processor).__name__} for its processor, expected a processor with "
                f"tokenizer and image or video processor. Add the checkpoint's processor and tokenizer files."
            )
        if getattr(processor, "chat_template", None) is None and processor.tokenizer.chat_template is None:
            raise ModelError(
                f"model {folder}: its processor has no chat template, so frames and question cannot be laid out as it was "
                f"trained. Add the checkpoint's chat_template.jinja."
            )
        if not (takes_video(processor) or getattr(processor, "image_processor", None) is not None):
            raise ModelError(
                f"model {folder}: found a {type(processor).__name__} without image or video processor, "
                f"expected one of the two. Add the checkpoint's preprocessor_config.json."
            )

    def check_four_bit(self) -> None:
        check_four_bit()

    def four_bit_arguments(self, config: Any, device: torch.device) -> dict[str, Any]:
        return four_bit_arguments(config, device)

    def max_tokens(self, config: Any) -> int | None:
        found = getattr(config.get_text_config(), "max_position_embeddings", None)
        return found if isinstance(found, int) else None

    def frame_processor(self, processor: Any) -> Any:
        return processor.video_processor if takes_video(processor) else processor.image_processor

    def num_tokens(self, checkpoint: LoadedCheckpoint, inputs: Mapping[str, torch.Tensor]) -> tuple[int, int]:
        input_ids = inputs["input_ids"]
        return int(frame_tokens(checkpoint, input_ids).sum()), int(input_ids.shape[1])

    def resized(self, processor: Any, inputs: Mapping[str, torch.Tensor]) -> FrameSize | None:
        patch = getattr(self.frame_processor(processor), "patch_size", None)
        grids = [inputs[name] for name in ("video_grid_thw", "image_grid_thw") if name in inputs]
        if not grids or not isinstance(patch, int):
            return None
        _, height, width = grids[0][0].tolist()  # in patches
        return FrameSize(width_px=width * patch, height_px=height * patch)

    def prepare(self, model: Any) -> None:
        pack_attention(model)

    def prepare_processor(self, processor: Any) -> None:
        processor.tokenizer.padding_side = "left"  # so that the last token of every row is the last of its prompt
        video_processor: Any = getattr(processor, "video_processor", None)
        if getattr(video_processor, "cap_pixels_per_frame", True) is None:  # undecided: its default is to change
            video_processor.cap_pixels_per_frame = False  # frames come in the size that the sampling section says

    def hidden_size(self, model: Any) -> int:
        return int(model.config.get_text_config().hidden_size)

    def layers(self, model: Any) -> list[torch.nn.Module]:
        return list(model.get_decoder().layers)

    def tower(self, model: Any) -> torch.nn.Module:
        tower: torch.nn.Module = model.get_encoder(modality="image")
        return tower

    def language_model(self, model: Any) -> torch.nn.Module:
        decoder: torch.nn.Module = model.get_decoder()
        return decoder

    def window_processor(self, checkpoint: LoadedCheckpoint) -> WindowProcessor:
        made = VideoPromptProcessor if takes_video(checkpoint.processor) else ImagePromptProcessor
        return made(
            processor=checkpoint.processor,
            dtype=checkpoint.dtype,
            wants_token_types=wants_token_types(checkpoint.model),
        )

    def hidden_states(self, checkpoint: LoadedCheckpoint, inputs: Mapping[str, torch.Tensor]) -> HiddenStates:
        return HiddenStates(
            hidden=last_hidden(checkpoint, inputs),
            attended=inputs["attention_mask"].bool(),
            frame_tokens=frame_tokens(checkpoint, inputs["input_ids"]),
        )

    def runner(self, checkpoint: LoadedCheckpoint) -> WindowRunner:
        vision = getattr(checkpoint.model.config, "vision_config", None)
        return SharingRunner(checkpoint, frames_per_block=getattr(vision, "temporal_patch_size", None) or 1)


class OtherVisionLanguageModel(VisionLanguageModel):
    """Of a class that nobody has looked at: attention may go both ways through a prompt (as PaliGemma's does), or its layers may
    keep more than keys and values, and its tower may look from one frame at others. Every question goes through the whole model,
    frames included."""

    def runner(self, checkpoint: LoadedCheckpoint) -> WindowRunner:
        return WindowRunner(checkpoint)


@dataclass(frozen=True, kw_only=True)
class PromptProcessor(ABC):
    """A vision-language model's processor. Padding stands on the left. wants_token_types: whether the model is to be given the
    kind of each token."""

    processor: Any  # transformers.ProcessorMixin
    dtype: torch.dtype
    wants_token_types: bool

    @abstractmethod
    def media(self, num_frames: int) -> list[dict[str, str]]:
        """What stands for the frames of a window in a chat's message."""

    def chat_text(self, question: str, *, num_frames: int) -> str:
        """The prompt: one user turn of media and question, and the opening of the answer."""
        messages = [{"role": "user", "content": [*self.media(num_frames), {"type": "text", "text": question}]}]
        return chat_text(self.processor, messages, name=self._name)

    @property
    def _name(self) -> str:
        return str(self.processor.tokenizer.name_or_path)

    def _processed(self, **arguments: Any) -> dict[str, torch.Tensor]:
        if self.wants_token_types:
            arguments["return_mm_token_type_ids"] = True
        inputs = self.processor(**arguments, padding=True, return_tensors="pt")
        placed: dict[str, torch.Tensor] = dict(inputs.to(dtype=self.dtype))
        return placed


@dataclass(frozen=True, kw_only=True)
class VideoPromptProcessor(PromptProcessor):
    """The frames of a window are one video."""

    def media(self, num_frames: int) -> list[dict[str, str]]:
        """As `PromptProcessor` says."""
        return [{"type": "video"}]

    def tensors(
        self,
        windows: Sequence[NDArray[np.uint8]],
        *,
        question: str,
        frames_per_second: float,
        device: torch.device = CPU,
    ) -> dict[str, torch.Tensor]:
        """As `WindowProcessor` says."""
        text = self.chat_text(question, num_frames=len(windows[0]))
        return self._processed(
            text=[text] * len(windows),
            videos=list(windows),
            video_metadata=[video_metadata(len(window), frames_per_second=frames_per_second) for window in windows],
            do_sample_frames=False,
            **pixel_device(device),
        )


@dataclass(frozen=True, kw_only=True)
class ImagePromptProcessor(PromptProcessor):
    """The frames of a window are images in order."""

    def media(self, num_frames: int) -> list[dict[str, str]]:
        """As `PromptProcessor` says."""
        return [{"type": "image"}] * num_frames

    def tensors(
        self,
        windows: Sequence[NDArray[np.uint8]],
        *,
        question: str,
        frames_per_second: float,
        device: torch.device = CPU,
    ) -> dict[str, torch.Tensor]:
        """As `WindowProcessor` says."""
        text = self.chat_text(question, num_frames=len(windows[0]))
        return self._processed(text=[text] * len(windows), images=[list(window) for window in windows])


def takes_video(processor: Any) -> bool:
    """Whether a processor knows videos."""
    return getattr(processor, "video_processor", None) is not None


def wants_token_types(model: Any) -> bool:
    """Whether a model is to be given the kind of each token: models with 3-D positions need that; some drop it silently, others
    raise, the rest do not know it."""
    return "mm_token_type_ids" in inspect.signature(model.forward).parameters


def last_hidden(checkpoint: LoadedCheckpoint, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """(B, L, D) states of the class without its vocabulary head: logits over 100,000 words would cost more than these."""
    hidden: torch.Tensor = checkpoint.model.base_model(**inputs, use_cache=False).last_hidden_state
    return hidden


def frame_tokens(checkpoint: LoadedCheckpoint, input_ids: torch.Tensor) -> torch.Tensor:
    """(B, L) which tokens of the prompt stand for frames."""
    owners = (checkpoint.processor, checkpoint.model.config)
    found = {getattr(owner, name, None) for owner in owners for name in ("image_token_id", "video_token_id")}
    ids = sorted(token for token in found if isinstance(token, int))
    return torch.isin(input_ids, torch.tensor(ids, device=input_ids.device))


def video_metadata(num_frames: int, *, frames_per_second: float) -> dict[str, Any]:
    """What processors are told of a window's frames, so that they keep all of them and know their times."""
    return {
        "total_num_frames": num_frames,
        "fps": frames_per_second,
        "duration": num_frames / frames_per_second,
        "frames_indices": list(range(num_frames)),
    }
