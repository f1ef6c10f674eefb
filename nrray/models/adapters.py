"""Parts of a checkpoint that learn: small matrices beside its layers (LoRA), or copies of its own modules. Put there to be
trained, saved as `peft` saves them, and loaded by `peft` for labelling, or refused where they do not fit."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from peft.utils import ModulesToSaveWrapper, get_peft_model_state_dict
from peft.utils.constants import DUMMY_TARGET_MODULES
from safetensors import SafetensorError, safe_open

from nrray.errors import ModelError
from nrray.models.config import LoraSection, ResolvedParts, TowerLearning
from nrray.models.families.family import LoadedCheckpoint
from nrray.models.metadata import MATRICES_FILE
from nrray.models.parts import parts_of
from nrray.models.trained_modules import trained_modules


def add_adapter(checkpoint: LoadedCheckpoint, learning: ResolvedParts, section: LoraSection) -> PeftModel:
    """The checkpoint's model with fresh matrices beside the modules that are adapted, and a copy of those whose own weights
    learn, both in float32; everything else is frozen. Its outputs are still the same. Raises ModelError where nothing fits."""
    parts = parts_of(checkpoint.model, checkpoint.family)
    trained = trained_modules(parts, learning, section)
    config = LoraConfig(
        r=section.rank,
        lora_alpha=section.alpha_per_rank * section.rank,
        lora_dropout=section.dropout,
        use_rslora=section.rank_stabilized,
        use_dora=section.weight_decomposed,
        target_modules=list(trained.adapted) or DUMMY_TARGET_MODULES,  # peft's word for: none
        modules_to_save=list(trained.own) or None,
    )
    with quiet_peft():
        adapted = get_peft_model(checkpoint.model, config)
    if (
        learning.tower is TowerLearning.WHOLE
    ):  # 32-bit states go through what is not used too; a CPU's layers do not mix
        for name in parts.unused:
            checkpoint.model.get_submodule(name).float()
    for name in trained.fixed:  # peft's wrapper answers with the modules of the copy that learns
        checkpoint.model.get_submodule(name).requires_grad_(False)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    for module in adapted.modules():
        if isinstance(module, ModulesToSaveWrapper):
            module.modules_to_save.float()  # statistics too: they are read with the weights
        if isinstance(module, LoraLayer):
            module.cast_input_dtype_enabled = (
                False  # to 32 bits and, by autocast, back: two passes over memory for nothing
            )
    return adapted


def learning_modules(adapted: PeftModel) -> list[torch.nn.Module]:
    """Of a model with an adapter: the modules that stand in the place of those that learn, with what learns in them."""
    return [module for module in adapted.modules() if isinstance(module, ModulesToSaveWrapper | LoraLayer)]


def with_adapter(model: Any, folder: Path) -> Any:
    """The checkpoint's own class with the adapter in `folder`: merged into its weights where they are float32, beside them
    in fewer bits, where a sum would round it away. Raises ModelError where a tensor is missing or has no place."""
    saved = saved_shapes(folder / MATRICES_FILE)
    try:
        # In the base's number format, in which autocast has trained it too: mixed ones would be cast in every layer.
        with quiet_peft():
            adapted = PeftModel.from_pretrained(model, folder, local_files_only=True, autocast_adapter_dtype=False)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"adapter {folder} cannot be loaded: {type(error).__name__}: {error}. Expected adapter_config.json and "
            f"{MATRICES_FILE} of this base; copy them again, or train again."
        ) from error
    placed = get_peft_model_state_dict(adapted)
    check_tensors(folder, saved=saved, placed=placed)
    if wrong := sorted(name for name, tensor in placed.items() if not bool(torch.isfinite(tensor).all())):
        raise ModelError(
            f"adapter {folder}: found NaN or infinite weights in {len(wrong)} tensors ({', '.join(wrong[:3])}), expected "
            f"numbers. Copy the folder again, or train again."
        )
    is_whole = all(parameter.dtype == torch.float32 for parameter in model.parameters())
    return adapted.merge_and_unload() if is_whole else adapted.get_base_model()


@contextmanager
def quiet_peft() -> Iterator[None]:
    """Peft asks transformers by a name that will be another one, and says so each time; and that a base lies elsewhere than where
    it was trained, which digests tell better."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.filterwarnings("ignore", message=".*base_model_name_or_path.* was renamed")
        yield


def check_tensors(folder: Path, *, saved: Mapping[str, tuple[int, ...]], placed: Mapping[str, torch.Tensor]) -> None:
    """Raise ModelError where tensors of a file are not those for which a model has a place. placed: peft's state of that
    model."""
    expected = {name: tuple(tensor.shape) for name, tensor in placed.items()}
    if wrong := sorted({name for name, _ in saved.items() ^ expected.items()}):
        raise ModelError(
            f"adapter {folder}: {len(wrong)} tensors are missing, have no place or another shape in its base "
            f"({', '.join(wrong[:3])}). Use the base and the versions that it was trained "
            f"with."
        )


def saved_shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """Name to shape of the tensors in a file, of which only the header is read. Raises ModelError."""
    try:
        with safe_open(file, framework="pt") as tensors:
            return {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{file} cannot be read: {error}. Copy the adapter again, or train again.") from None
