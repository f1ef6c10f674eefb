"""Loads any image-text-to-text checkpoint folder, or a TimeSformer's, through transformers' Auto classes, or says why it
cannot."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModel, AutoModelForImageTextToText, AutoProcessor, AutoVideoProcessor
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
from transformers.utils import logging as transformers_logging

from nrray.errors import ModelError
from nrray.models.config import Device, Dtype, Execution, resolved_dtype
from nrray.models.four_bit import check_four_bit, four_bit_arguments, is_four_bit
from nrray.models.labeler import ModelInfo, ModelKind
from nrray.models.packed_attention import pack_attention
from nrray.models.resolved import CLASSIFIER_TYPES, ResolvedCheckpoint, check_same_here

_LOADING_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    ImportError,
    RuntimeError,
    SafetensorError,
    StrictDataclassError,
)


@dataclass(frozen=True, kw_only=True)
class LoadedCheckpoint:
    """A model in eval mode, its processor, and where it runs. name: for messages."""

    name: str
    model: Any  # transformers.PreTrainedModel
    processor: Any  # transformers.ProcessorMixin
    device: torch.device
    dtype: torch.dtype

    @property
    def is_classifier(self) -> bool:
        """Whether it knows no words: no prompt, no answers, and a head that reads the tokens of its patches."""
        return self.model.config.model_type in CLASSIFIER_TYPES

    @property
    def frame_token_ids(self) -> tuple[int, ...]:
        """Ids of the tokens that stand for pictures in the prompt."""
        owners = (self.processor, self.model.config)
        names = ("image_token_id", "video_token_id")
        found = {getattr(owner, name, None) for owner in owners for name in names}
        return tuple(sorted(token for token in found if isinstance(token, int)))


def load_checkpoint(resolved: ResolvedCheckpoint, *, execution: Execution) -> LoadedCheckpoint:
    """The model and processor, on their device. Raises ModelError, also where this node has another model under the path."""
    check_same_here(resolved)
    folder = resolved.folder
    transformers_logging.disable_progress_bar()  # actors would write it into each other's lines
    device = torch_device(execution.device)
    dtype = torch_dtype(execution.dtype, device)
    if execution.dtype is Dtype.NF4:
        check_four_bit()
    if device.type == "cpu":
        torch.set_num_threads(execution.num_threads)
    try:
        model_config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        is_classifier = model_config.model_type in CLASSIFIER_TYPES
        if not is_classifier and type(model_config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
            raise ModelError(
                f"model {folder}: found a '{model_config.model_type}' checkpoint, expected one of transformers' "
                f"image-text-to-text classes, or {', '.join(sorted(CLASSIFIER_TYPES))}. Give a vision-language model."
            )
        model_class, processor_class = (
            (AutoModel, AutoVideoProcessor) if is_classifier else (AutoModelForImageTextToText, AutoProcessor)
        )
        model, loading = model_class.from_pretrained(
            folder,
            dtype=dtype,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            **(four_bit_arguments(model_config, device) if execution.dtype is Dtype.NF4 else {}),
        )
        processor = processor_class.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except _LOADING_ERRORS as error:
        raise ModelError(
            f"model {folder} cannot be loaded: {type(error).__name__}: {error}. Expected a complete checkpoint of an "
            f"image-text-to-text class, with its processor; copy it again or install what the message names."
        ) from error
    _check_loaded(folder, loading=loading)
    if not is_classifier:
        _check_speaks(folder, processor=processor)
        pack_attention(model)
    if resolved.adapter is not None:
        from nrray.models.adapters import with_adapter  # peft takes a second to import

        model = with_adapter(model, resolved.head_folder)
    video_processor: Any = getattr(processor, "video_processor", None)
    if getattr(video_processor, "cap_pixels_per_frame", True) is None:  # undecided: its default is to change
        video_processor.cap_pixels_per_frame = False  # frames come in the size that the sampling section says
    if not is_classifier:
        processor.tokenizer.padding_side = "left"  # so that the last token of every row is the last of its prompt
    return LoadedCheckpoint(
        name=str(folder),
        model=(model if execution.dtype is Dtype.NF4 else model.to(device)).eval(),
        processor=processor,
        device=device,
        dtype=dtype,
    )


def model_info(
    checkpoint: LoadedCheckpoint, resolved: ResolvedCheckpoint, *, activities: tuple[str, ...], kind: ModelKind
) -> ModelInfo:
    """Facts of a loaded model, for people and for the identity of an output."""
    tensors = [*checkpoint.model.parameters(), *checkpoint.model.buffers()]
    return ModelInfo(
        name=resolved.name,
        path=str(resolved.folder),
        digest=resolved.digest,
        parameter_count=checkpoint.model.num_parameters(),  # of 4 bits, two are one element
        activities=activities,
        sampling=resolved.metadata.sampling if resolved.metadata is not None else None,
        kind=kind,
        device=str(checkpoint.device),
        dtype=Dtype.NF4.value if is_four_bit(checkpoint.model) else str(checkpoint.dtype).removeprefix("torch."),
        memory_bytes=sum(tensor.numel() * tensor.element_size() for tensor in tensors),
    )


def torch_device(device: Device) -> torch.device:
    """The device to run on. Raises ModelError where CUDA is asked for and there is none."""
    if device is Device.AUTO:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device is Device.CUDA and not torch.cuda.is_available():
        raise ModelError(
            "model.device: found cuda in the config, but torch sees no CUDA device here. Set it to auto or cpu, or "
            "install a CUDA build of torch and the GPU's driver."
        )
    return torch.device(device.value)


def torch_dtype(dtype: Dtype, device: torch.device) -> torch.dtype:
    """The number format to run in."""
    resolved = resolved_dtype(dtype, on_gpu=device.type == "cuda")
    return torch.float32 if resolved is Dtype.FLOAT32 else torch.bfloat16


def _check_loaded(folder: Path, *, loading: dict[str, Any]) -> None:
    for problem in ("missing_keys", "mismatched_keys"):
        if keys := sorted(str(key) for key in loading.get(problem) or ()):
            raise ModelError(
                f"model {folder}: found {len(keys)} {problem.replace('_', ' ')} among its weights "
                f"({', '.join(keys[:3])}, ...), expected none: they would be random. Copy the checkpoint again, or "
                f"install the transformers version that it was saved with."
            )


def _check_speaks(folder: Path, *, processor: Any) -> None:
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
