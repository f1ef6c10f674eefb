"""Loads a checkpoint folder of any family through transformers' Auto classes, or says why it cannot."""

from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoConfig
from transformers.utils import logging as transformers_logging

from nrray.errors import ModelError
from nrray.models.config import Device, Dtype, Execution, resolved_dtype
from nrray.models.families import loaded_family
from nrray.models.families.family import Family, LoadedCheckpoint
from nrray.models.families.four_bit import is_loaded_in_four_bit
from nrray.models.labeler import ModelInfo
from nrray.models.looks import read_looks
from nrray.models.resolved import ResolvedCheckpoint, check_same_here

LOADING_ERRORS = (
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


def load_checkpoint(resolved: ResolvedCheckpoint, *, execution: Execution) -> LoadedCheckpoint:
    """The model and processor, on their device. Raises ModelError, also where this node has another model under the path."""
    check_same_here(resolved)
    folder = resolved.folder
    family = loaded_family(resolved.family)
    device = torch_device(execution.device)
    dtype = torch_dtype(execution.dtype, device)
    is_four_bit = execution.dtype is Dtype.NF4
    if is_four_bit:
        family.check_four_bit()
    if device.type == "cpu":
        torch.set_num_threads(execution.num_threads)
    config, processor = _config_and_processor(folder, family)
    try:
        model, loading = family.model_class.from_pretrained(
            folder,
            dtype=dtype,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            **(family.four_bit_arguments(config, device) if is_four_bit else {}),
        )
    except LOADING_ERRORS as error:
        raise _unloadable(folder, error) from error
    _check_loaded(folder, loading=loading)
    family.prepare(model)
    if resolved.metadata is not None and resolved.metadata.has_matrices:
        from nrray.models.adapters import with_adapter  # peft takes a second to import

        model = with_adapter(model, resolved.head_folder)
    return LoadedCheckpoint(
        name=str(folder),
        family=family,
        model=(model if is_four_bit else model.to(device)).eval(),
        processor=processor,
        device=device,
        dtype=dtype,
        looks=read_looks(resolved.head_folder),
    )


def outlined_checkpoint(resolved: ResolvedCheckpoint) -> LoadedCheckpoint:
    """The model without its weights, which are on torch's `meta` device, and its processor: enough to ask what it takes and what
    fits it, in a second and before any node reads gigabytes. Raises ModelError."""
    folder = resolved.folder
    family = loaded_family(resolved.family)
    config, processor = _config_and_processor(folder, family)
    try:
        with torch.device("meta"):
            model = family.model_class.from_config(config)
    except LOADING_ERRORS as error:
        raise _unloadable(folder, error) from error
    return LoadedCheckpoint(
        name=str(folder),
        family=family,
        model=model.eval(),
        processor=processor,
        device=torch.device("cpu"),
        dtype=torch.float32,
    )


def _config_and_processor(folder: Path, family: Family) -> tuple[Any, Any]:
    transformers_logging.disable_progress_bar()  # actors would write it into each other's lines
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        family.check_config(config, folder=folder)
        processor = family.processor_class.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except LOADING_ERRORS as error:
        raise _unloadable(folder, error) from error
    family.check_processor(processor, folder=folder)
    family.prepare_processor(processor)
    return config, processor


def _unloadable(folder: Path, error: Exception) -> ModelError:
    return ModelError(
        f"model {folder} cannot be loaded: {type(error).__name__}: {error}. Expected a complete checkpoint of an "
        f"image-text-to-text class, with its processor; copy it again or install the package that the message names."
    )


def model_info(checkpoint: LoadedCheckpoint, resolved: ResolvedCheckpoint) -> ModelInfo:
    """Facts of a loaded model, for people and for the identity of an output."""
    tensors = [*checkpoint.model.parameters(), *checkpoint.model.buffers()]
    return ModelInfo(
        name=resolved.name,
        path=str(resolved.folder),
        digest=resolved.digest,
        parameter_count=checkpoint.model.num_parameters(),  # of 4 bits, two are one element
        sampling=resolved.inputs.sampling if resolved.inputs is not None else None,
        device=str(checkpoint.device),
        dtype=Dtype.NF4.value
        if is_loaded_in_four_bit(checkpoint.model)
        else str(checkpoint.dtype).removeprefix("torch."),
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
