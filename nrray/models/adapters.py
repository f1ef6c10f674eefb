"""LoRA: small matrices beside the linears of a checkpoint. Put there to be trained, saved as `peft` saves them, and loaded
by `peft` for labelling, or refused where they do not fit."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from peft.utils import get_peft_model_state_dict
from safetensors import SafetensorError, safe_open

from nrray.errors import ModelError
from nrray.models.config import LoraSection, LoraTargets
from nrray.models.metadata import MATRICES_FILE

_QUERY_VALUE = ("q_proj", "v_proj")
_PROJECTORS = ("multi_modal_projector", "connector", "merger")
"""Names that families give to the layers between tower and language model; inside a Qwen tower there are several mergers."""


def add_adapter(model: Any, section: LoraSection) -> PeftModel:
    """`model` with fresh matrices beside its linears, in float32, everything else frozen: its outputs are still the
    same. Raises ModelError where nothing fits."""
    targets = adapted_names(model, section)
    saved = projector_names(model) if section.train_projector else []
    config = LoraConfig(
        r=section.rank,
        lora_alpha=section.alpha_per_rank * section.rank,
        lora_dropout=section.dropout,
        use_rslora=section.rank_stabilized,
        use_dora=section.weight_decomposed,
        target_modules=targets,
        modules_to_save=saved or None,
    )
    with _quiet():
        adapted = get_peft_model(model, config)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    for module in adapted.modules():
        if isinstance(module, LoraLayer):
            module.cast_input_dtype_enabled = (
                False  # to 32 bits and, by autocast, back: two passes over memory for nothing
            )
    return adapted


def adapted_names(model: Any, section: LoraSection) -> list[str]:
    """Full names of the linears that are adapted. Raises ModelError where there is none."""
    names = linears_of(model, model.get_decoder())
    if section.targets is LoraTargets.QUERY_VALUE:
        names = [name for name in names if name.endswith(_QUERY_VALUE)]
    if section.adapt_tower:
        tower = linears_of(model, model.get_encoder(modality="image"))
        tower = [name for name in tower if not _is_projector(name)]
        if not tower:
            raise ModelError(
                f"model {type(model).__name__}: found no linear layer in its vision tower, expected at least one where "
                f"adapt_tower is set. Set it to false: this tower cannot be adapted."
            )
        names += tower
    if not names:
        raise ModelError(
            f"model {type(model).__name__}: found no linear layer of its language model that fits targets="
            f"{section.targets.value}, expected at least one. Set targets to all_linear."
        )
    return names


def projector_names(model: Any) -> list[str]:
    """Full names of the modules between tower and language model. Raises ModelError where none is known."""
    names = [
        name  # peft takes the members of a list, not the list
        for name, module in model.named_modules()
        if _is_projector(name) and not isinstance(module, torch.nn.ModuleList)
    ]
    outermost = [name for name in names if not any(name.startswith(f"{other}.") for other in names)]
    if not outermost:
        raise ModelError(
            f"model {type(model).__name__}: found no module named {', '.join(_PROJECTORS)}, expected one where "
            f"train_projector is set. Set it to false."
        )
    return outermost


def linears_of(model: Any, part: Any) -> list[str]:
    """Full names, in `model`, of the linear layers of one of its parts."""
    inside = {id(module) for module in part.modules()}
    return [
        name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear) and id(module) in inside
    ]


def with_adapter(model: Any, folder: Path) -> Any:
    """The checkpoint's own class with the adapter in `folder`: merged into its weights where they are float32, beside them
    in fewer bits, where a sum would round it away. Raises ModelError where a tensor is missing or has no place."""
    saved = _saved_shapes(folder / MATRICES_FILE)
    try:
        # In the base's number format, in which autocast has trained it too: mixed ones would be cast in every layer.
        with _quiet():
            adapted = PeftModel.from_pretrained(model, folder, local_files_only=True, autocast_adapter_dtype=False)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"adapter {folder} cannot be loaded: {type(error).__name__}: {error}. Expected adapter_config.json and "
            f"{MATRICES_FILE} of this base; copy them again, or train again."
        ) from error
    placed = {name: tuple(tensor.shape) for name, tensor in get_peft_model_state_dict(adapted).items()}
    if wrong := sorted({name for name, _ in saved.items() ^ placed.items()}):
        raise ModelError(
            f"adapter {folder}: {len(wrong)} tensors are missing, have no place or another shape in its base "
            f"({', '.join(wrong[:3])}). Use the base and the versions that it was trained "
            f"with."
        )
    is_whole = all(parameter.dtype == torch.float32 for parameter in model.parameters())
    return adapted.merge_and_unload() if is_whole else adapted.get_base_model()


@contextmanager
def _quiet() -> Iterator[None]:
    """Peft asks transformers by a name that will be another one, and says so each time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def _is_projector(name: str) -> bool:
    return any(part.startswith(_PROJECTORS) or part.endswith("merger_list") for part in name.split("."))


def _saved_shapes(file: Path) -> dict[str, tuple[int, ...]]:
    try:
        with safe_open(file, framework="pt") as tensors:
            return {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{file} cannot be read: {error}. Copy the adapter again, or train again.") from None
