"""Windows of frames and a question to the tensors that a model takes. Knows no weights, so it can go to other processes."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from nrray.models.checkpoint import LoadedCheckpoint

CPU = torch.device("cpu")


class WindowProcessor(Protocol):
    """What makes a model's inputs."""

    def tensors(
        self,
        windows: Sequence[NDArray[np.uint8]],
        *,
        question: str,
        frames_per_second: float,
        device: torch.device = CPU,
    ) -> dict[str, torch.Tensor]:
        """The tensors of windows of (F, H, W, 3) frames each; a video's pixels are made on `device`, all else on the CPU."""
        ...


@dataclass(frozen=True, kw_only=True)
class ClassifierProcessor:
    """Frames alone, for a model that knows no words."""

    processor: Any  # transformers.BaseVideoProcessor
    dtype: torch.dtype

    def tensors(
        self,
        windows: Sequence[NDArray[np.uint8]],
        *,
        question: str,
        frames_per_second: float,
        device: torch.device = CPU,
    ) -> dict[str, torch.Tensor]:
        """(B, F, 3, H, W) pixel values, as the checkpoint's processor makes them; the question is not asked."""
        made = self.processor(videos=list(windows), do_sample_frames=False, return_tensors="pt", **_made_on(device))
        return {"pixel_values": made["pixel_values"].to(self.dtype)}


@dataclass(frozen=True, kw_only=True)
class PromptProcessor:
    """A vision-language model's processor, and what its model wants of it."""

    processor: Any  # transformers.ProcessorMixin
    dtype: torch.dtype
    wants_token_types: bool

    @property
    def takes_video(self) -> bool:
        """Whether the frames of a window are one video; else they are images in order."""
        return getattr(self.processor, "video_processor", None) is not None

    @property
    def takes_images(self) -> bool:
        return getattr(self.processor, "image_processor", None) is not None

    def tensors(
        self,
        windows: Sequence[NDArray[np.uint8]],
        *,
        question: str,
        frames_per_second: float,
        device: torch.device = CPU,
    ) -> dict[str, torch.Tensor]:
        """As the protocol says; padding stands on the left."""
        if self.takes_video:
            text = self._chat_text([{"type": "video"}], question=question)
            metadata = [_video_metadata(window, frames_per_second=frames_per_second) for window in windows]
            return self._processed(
                text=[text] * len(windows),
                videos=list(windows),
                video_metadata=metadata,
                do_sample_frames=False,
                **_made_on(device),
            )
        text = self._chat_text([{"type": "image"}] * len(windows[0]), question=question)
        return self._processed(text=[text] * len(windows), images=[list(window) for window in windows])

    def _chat_text(self, media: Iterable[Mapping[str, str]], *, question: str) -> str:
        """The prompt: one user turn of media and question, and the opening of the answer."""
        messages = [{"role": "user", "content": [*media, {"type": "text", "text": question}]}]
        text: str = self.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return text

    def _processed(self, **arguments: Any) -> dict[str, torch.Tensor]:
        if self.wants_token_types:
            arguments["return_mm_token_type_ids"] = True
        inputs = self.processor(**arguments, padding=True, return_tensors="pt")
        placed: dict[str, torch.Tensor] = dict(inputs.to(dtype=self.dtype))
        return placed


def window_processor(checkpoint: LoadedCheckpoint) -> WindowProcessor:
    """How the checkpoint takes windows."""
    if checkpoint.is_classifier:
        return ClassifierProcessor(processor=checkpoint.processor, dtype=checkpoint.dtype)
    return prompt_processor(checkpoint)


def prompt_processor(checkpoint: LoadedCheckpoint) -> PromptProcessor:
    """How a vision-language model takes windows."""
    return PromptProcessor(
        processor=checkpoint.processor,
        dtype=checkpoint.dtype,
        # Models with 3-D positions need the token types; some drop them silently, others raise, the rest do not know them.
        wants_token_types="mm_token_type_ids" in inspect.signature(checkpoint.model.forward).parameters,
    )


def processing_device(
    processor: WindowProcessor, shape: tuple[int, ...], *, device: torch.device, frames_per_second: float
) -> torch.device:
    """Where windows of (F, H, W, 3) frames are scaled and normalized: on the model's device, which takes no time, where that
    makes of noise what a CPU makes of it, as in training. Frames that are resized come out otherwise on a GPU."""
    if device.type == "cpu":
        return CPU
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    there, here = (
        processor.tensors([noise], question="", frames_per_second=frames_per_second, device=place)
        for place in (device, CPU)
    )
    # A grey level is 1 / 128 of what pixels are scaled to; bfloat16 keeps three digits.
    is_same = all(
        torch.allclose(there[name].to(CPU).float(), here[name].float(), rtol=8e-3, atol=2e-3) for name in here
    )
    return device if is_same else CPU


def _video_metadata(video: NDArray[np.uint8], *, frames_per_second: float) -> dict[str, Any]:
    num_frames = len(video)
    return {
        "total_num_frames": num_frames,
        "fps": frames_per_second,
        "duration": num_frames / frames_per_second,
        "frames_indices": list(range(num_frames)),
    }


def _made_on(device: torch.device) -> dict[str, torch.device]:
    # A GPU scales and normalizes in no time; on a CPU it would wait for this longer than it computes.
    return {} if device.type == "cpu" else {"device": device}
