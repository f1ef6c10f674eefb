"""The modules of a model that learn, by their full names: those that get an adapter, and those whose own weights do.

Told by the classes of torch where that is possible; a normalization layer is told by the name of its class, of which every family
has its own.
"""

from dataclasses import dataclass
from typing import Any

import torch

from nrray.errors import ModelError
from nrray.models.config import (
    LanguageModelLearning,
    LoraSection,
    LoraTargets,
    ProjectorLearning,
    ResolvedParts,
    TowerLearning,
)
from nrray.models.families.blocks import has_weights
from nrray.models.parts import ModelParts, Part, is_inside

_QUERY_VALUE = ("q_proj", "v_proj")


@dataclass(frozen=True, kw_only=True)
class TrainedModules:
    """Full names of the modules that get an adapter beside them, and of those whose own weights learn. None is in both, and none
    of the latter is inside another. fixed: modules inside of the latter that are saved with them and do not learn."""

    adapted: tuple[str, ...]
    own: tuple[str, ...]
    fixed: tuple[str, ...] = ()


def trained_modules(parts: ModelParts, learning: ResolvedParts, section: LoraSection) -> TrainedModules:
    """The modules that learn. Raises ModelError where a part that is to learn has nothing that could.

    Of a tower's last blocks all weights do but depthwise convolutions: of EfficientNet-Lite0's those are 2 % of the weights
    and 40 % of the way back on a CPU.
    """
    adapted: list[str] = []
    own: list[str] = []
    fixed: list[str] = []
    if learning.language_model is LanguageModelLearning.ADAPTER:
        names = _linears(parts, Part.LANGUAGE_MODEL)
        if section.targets is LoraTargets.QUERY_VALUE:
            names = [name for name in names if name.endswith(_QUERY_VALUE)]
        adapted += _some(names, parts, f"linear layer of its language model that fits targets={section.targets.value}")
    elif learning.language_model is LanguageModelLearning.NORMS:
        own += _some(_norms(parts, Part.LANGUAGE_MODEL), parts, "normalization layer in its language model")
    if learning.projector is ProjectorLearning.ADAPTER:
        adapted += _some(_linears(parts, Part.PROJECTOR), parts, "linear layer in its projector")
    elif learning.projector is ProjectorLearning.WHOLE:
        own += _some(list(parts.projector), parts, "projector")
    if learning.tower is TowerLearning.ADAPTER:
        names = [*_linears(parts, Part.TOWER), *_convolutions(parts, Part.TOWER)]
        wanted = "linear layer, and no plain convolution of one group, in its tower"
        adapted += _some(names, parts, wanted)
    elif learning.tower is TowerLearning.NORMS:
        own += _some(_norms(parts, Part.TOWER), parts, "normalization layer in its tower")
    elif learning.tower is TowerLearning.LAST_BLOCKS:
        assert learning.tower_blocks is not None  # as ResolvedParts checks
        blocks = parts.last_blocks(learning.tower_blocks)
        own += blocks
        fixed += _depthwise(parts, inside=blocks)
    elif parts.language_model is None and learning.tower is TowerLearning.WHOLE:
        return TrainedModules(adapted=(), own=(parts.tower,))
    elif learning.tower is TowerLearning.WHOLE:
        own += _whole(parts.model, parts.tower, without=(*parts.projector, *parts.unused))
    return TrainedModules(adapted=tuple(adapted), own=_addressable(parts.model, own), fixed=tuple(fixed))


def _linears(parts: ModelParts, part: Part) -> list[str]:
    return [name for name, module in parts.modules_of(part).items() if isinstance(module, torch.nn.Linear)]


def _convolutions(parts: ModelParts, part: Part) -> list[str]:
    """Those of one group, whose adapter can be merged, and that compute as torch's do: one that pads by itself (timm's) would
    get an adapter whose outputs have another size."""
    plain = (torch.nn.Conv2d.forward, torch.nn.Conv3d.forward)
    return [
        name
        for name, module in parts.modules_of(part).items()
        if isinstance(module, torch.nn.Conv2d | torch.nn.Conv3d)
        and module.groups == 1
        and type(module).forward in plain
    ]


def _depthwise(parts: ModelParts, *, inside: tuple[str, ...]) -> list[str]:
    return [
        name
        for name, module in parts.modules_of(Part.TOWER).items()
        if isinstance(module, torch.nn.Conv2d | torch.nn.Conv3d)
        and module.groups == module.in_channels > 1
        and is_inside(name, inside)
    ]


def _norms(parts: ModelParts, part: Part) -> list[str]:
    return [
        name
        for name, module in parts.modules_of(part).items()
        if "norm" in type(module).__name__.lower()
        and list(module.parameters(recurse=False))
        and len(list(module.parameters())) == len(list(module.parameters(recurse=False)))
    ]


def _whole(model: Any, name: str, *, without: tuple[str, ...]) -> list[str]:
    """The outermost modules inside one that hold nothing of others, and can be called. Tensors that belong to a module around
    others directly, such as a table of positions, stay."""
    module = model.get_submodule(name)
    if is_inside(name, without) or not has_weights(module):
        return []
    is_closed = name != "" and not any(is_inside(other, (name,)) for other in without)
    if is_closed and not isinstance(module, torch.nn.ModuleList | torch.nn.ModuleDict):
        return [name]
    found: list[str] = []
    for child, _ in module.named_children():
        found += _whole(model, f"{name}.{child}".lstrip("."), without=without)
    return found


def _addressable(model: Any, names: list[str]) -> tuple[str, ...]:
    """Without those that peft, which takes a name for the end of a name, would take for others too: the last normalization of a
    TimeSformer is called like the end of each layer's own."""
    every = [name for name, _ in model.named_modules()]
    return tuple(
        name for name in names if all(other in names for other in every if other.endswith(name) and other != name)
    )


def _some(names: list[str], parts: ModelParts, wanted: str) -> list[str]:
    if not names:
        raise ModelError(
            f"model {type(parts.model).__name__}: found no {wanted}; expected at least one, as that is what is to learn. Choose "
            f"otherwise in the section parts (adapter.targets for linears of the language model)."
        )
    return names
