"""A checkpoint whose language model takes a quarter of the memory: its linears in 4 bits, through bitsandbytes."""

import importlib.util
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, BitsAndBytesConfig

from nrray.errors import ModelError


def check_four_bit() -> None:
    """Raise ModelError where bitsandbytes is missing."""
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ModelError("model.dtype: found nf4, which needs bitsandbytes. Run `pip install 'nrray[nf4]'`.")


def four_bit_arguments(config: Any, device: torch.device) -> dict[str, Any]:
    """Arguments of `from_pretrained` that load a vision-language model so. Tower, projector and vocabulary stay as they are:
    they are small beside the rest, and all layers read the tower's outputs."""
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    inside = {id(module) for module in model.get_decoder().modules()}
    outside = [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and id(module) not in inside
    ]
    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        llm_int8_skip_modules=outside,
    )
    return {"quantization_config": quantization, "device_map": {"": device}}


def is_loaded_in_four_bit(model: Any) -> bool:
    """Whether a model was loaded so."""
    return bool(getattr(model, "is_loaded_in_4bit", False))
