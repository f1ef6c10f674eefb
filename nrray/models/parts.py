"""The parts of a model by the names of their modules: tower, its blocks in order, projector, language model. Reads no weight,
so that a model on torch's `meta` device, which is built from its config alone, will do.

Told by structure wherever that says it: blocks are the members of the tower's largest list of composite modules; a projector
stands outside of tower and language model. Names are needed for two things that structure does not say: a projector inside the
tower, and a pooling head that nobody reads.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from transformers import AutoConfig

from nrray.errors import ModelError
from nrray.models.families import loaded_family
from nrray.models.families.blocks import has_weights, is_list_of_blocks
from nrray.models.families.family import Family
from nrray.models.resolved import ResolvedCheckpoint

_MERGERS = ("merger", "deepstack_merger", "multi_modal_projector", "connector")
"""Beginnings of the names of a projector inside a tower: Qwen's, of which there may be several."""
_POOLING_HEADS = ("head", "pooler", "attn_pool", "classifier")
"""Beginnings of the names of modules behind a tower's last block that make one vector of an image: a VLM reads its patches."""


class Part(str, Enum):
    """A part of a model."""

    TOWER = "tower"
    PROJECTOR = "projector"
    LANGUAGE_MODEL = "language_model"


@dataclass(frozen=True, kw_only=True)
class ModelParts:
    """Parts by full names of modules of `model`, "" for the model itself.

    blocks: of the tower, in the order in which they are computed, those alone whose outputs are read; () where they cannot be
    told apart. behind: modules between the last of them and the projector. unused: modules of the tower that have no part in the
    model's outputs. projector: modules between tower and language model. language_model: None where there is none.
    """

    model: Any
    tower: str
    blocks: tuple[str, ...]
    behind: tuple[str, ...]
    unused: tuple[str, ...]
    projector: tuple[str, ...]
    language_model: str | None

    def part_of(self, name: str) -> Part | None:
        """The part of a module or parameter, None outside of all."""
        if is_inside(name, self.projector):
            return Part.PROJECTOR
        if self.language_model is not None and is_inside(name, (self.language_model,)):
            return Part.LANGUAGE_MODEL
        return Part.TOWER if is_inside(name, (self.tower,)) else None

    def modules_of(self, part: Part) -> dict[str, torch.nn.Module]:
        """All modules of a part by name, without those that have no part in the outputs."""
        return {
            name: module
            for name, module in self.model.named_modules()
            if self.part_of(name) is part and not is_inside(name, self.unused)
        }

    def num_parameters(self, part: Part) -> int:
        """Of a part, with those that are not used."""
        return sum(parameter.numel() for name, parameter in self.model.named_parameters() if self.part_of(name) is part)

    def last_blocks(self, count: int) -> tuple[str, ...]:
        """The last blocks of the tower, and what stands behind them. Raises ModelError where there are not so many, or where
        blocks cannot be told apart."""
        if not self.blocks:
            raise ModelError(
                f"model {type(self.model).__name__}: found no list of repeated blocks in its tower, a "
                f"{type(self.model.get_submodule(self.tower)).__name__}; expected a ModuleList or a Sequential of them where "
                f"parts.tower=last_blocks. Set parts.tower to adapter or frozen."
            )
        if count > len(self.blocks):
            raise ModelError(
                f"model {type(self.model).__name__}: found {len(self.blocks)} blocks in its tower, expected at least the {count} "
                f"of parts.tower_blocks. Lower it, or set parts.tower=whole."
            )
        return (*self.blocks[-count:], *self.behind)


def parts_of(model: Any, family: Family) -> ModelParts:
    """The parts of a model. Raises ModelError where a projector is to be found and is not."""
    names = {id(module): name for name, module in reversed(list(model.named_modules()))}
    tower = names[id(family.tower(model))]
    language_model = family.language_model(model)
    decoder = None if language_model is None else names[id(language_model)]
    projector = () if decoder is None else _projector(model, tower=tower, decoder=decoder)
    blocks, behind = _blocks(model, tower, projector)
    num_used = _num_used_blocks(model, len(blocks))
    reads_last = num_used == len(blocks) and not _reads_hidden_states(model)
    unused = [*blocks[num_used:], *(name for name in behind if not reads_last or _is_pooling_head(name))]
    return ModelParts(
        model=model,
        tower=tower,
        blocks=blocks[:num_used],
        behind=tuple(name for name in behind if name not in unused),
        unused=tuple(unused),
        projector=projector,
        language_model=decoder,
    )


def checkpoint_parts(checkpoint: ResolvedCheckpoint) -> ModelParts:
    """The parts of a checkpoint, of which only the config is read. Raises ModelError."""
    family = loaded_family(checkpoint.family)
    try:
        config = AutoConfig.from_pretrained(checkpoint.folder, local_files_only=True, trust_remote_code=False)
        family.check_config(config, folder=checkpoint.folder)
        with torch.device("meta"):
            model = family.model_class.from_config(config)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ImportError, RuntimeError) as error:
        raise ModelError(
            f"model {checkpoint.folder}: its config.json cannot be used: {type(error).__name__}: {error}. Copy the checkpoint "
            f"again, or install the package that the message names."
        ) from error
    return parts_of(model, family)


def _projector(model: Any, *, tower: str, decoder: str) -> tuple[str, ...]:
    """Modules with weights beside tower and language model, and those inside the tower that are named like one."""
    vocabulary = model.get_output_embeddings()
    found: list[str] = []
    for name, module in model.named_modules():
        is_outside = not any(is_inside(name, (part,)) or is_inside(part, (name,)) for part in (tower, decoder))
        is_merger = is_inside(name, (tower,)) and name.rsplit(".", 1)[-1].startswith(_MERGERS)
        if not (is_outside or is_merger) or module is vocabulary or not has_weights(module):
            continue
        if not is_inside(name, found):
            found += _callable_members(name, module)
    if not found:
        raise ModelError(
            f"model {type(model).__name__}: found no module between its tower and its language model, expected one beside "
            f"{tower} and {decoder}, or one inside of the tower that is named {', '.join(_MERGERS)}. Its parts cannot be told "
            f"apart; use another checkpoint."
        )
    return tuple(found)


def _blocks(model: Any, tower: str, projector: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The blocks of a tower in order, and the modules with weights that are registered behind them; none where there is no list
    of composite modules. Stages that stand beside each other, as a ResNet's do, are blocks themselves."""
    lists = {
        name: module
        for name, module in _modules_inside(model, tower)
        if is_list_of_blocks(module) and not any(is_inside(part, (name,)) for part in projector)
    }
    if not lists:
        return (), ()
    sizes = {name: sum(parameter.numel() for parameter in module.parameters()) for name, module in lists.items()}
    largest = max(sizes, key=lambda name: sizes[name])  # the outermost of equal ones comes first
    parent = largest.rpartition(".")[0]
    kinds = _member_classes(lists[largest])
    stages = [
        name for name, module in lists.items() if name.rpartition(".")[0] == parent and kinds & _member_classes(module)
    ]
    members = [f"{largest}.{name}" for name, member in lists[largest].named_children() if has_weights(member)]
    blocks = stages if len(stages) > 1 else members
    return tuple(blocks), tuple(_behind(model, stages[-1], tower=tower, without=projector))


def _behind(model: Any, blocks: str, *, tower: str, without: tuple[str, ...]) -> list[str]:
    """Modules with weights that are registered after a module, in it and in everything around it up to the tower."""
    behind: list[str] = []
    inner = blocks
    while inner != tower:
        outer = inner.rpartition(".")[0]
        children = [f"{outer}.{name}".lstrip(".") for name, _ in model.get_submodule(outer).named_children()]
        for name in children[children.index(inner) + 1 :]:
            module = model.get_submodule(name)
            if not is_inside(name, without) and has_weights(module):
                behind += _callable_members(name, module)
        inner = outer
    return [name for name in behind if not is_inside(name, without)]


def _num_used_blocks(model: Any, num_blocks: int) -> int:
    """How many blocks lie below the states that the projector is given. LLaVA's config names them by their number, of which the
    first stands in front of the first block."""
    if not _reads_hidden_states(model):
        return num_blocks
    selected = model.config.vision_feature_layer
    numbers = [selected] if isinstance(selected, int) else list(selected)
    return max(number if number >= 0 else num_blocks + 1 + number for number in numbers)


def _reads_hidden_states(model: Any) -> bool:
    """Whether the projector is given the states of some layer, and not the tower's output. A wrapped network of timm has no such
    states, whatever the config says."""
    is_wrapped = any(hasattr(module, "timm_model") for module in model.modules())
    return getattr(model.config, "vision_feature_layer", None) is not None and not is_wrapped


def _modules_inside(model: Any, outer: str) -> Iterable[tuple[str, torch.nn.Module]]:
    return ((name, module) for name, module in model.named_modules() if is_inside(name, (outer,)))


def is_inside(name: str, outers: Iterable[str]) -> bool:
    """Whether a module is one of others, or in one, by their full names."""
    return any(outer in ("", name) or name.startswith(f"{outer}.") for outer in outers)


def _is_pooling_head(name: str) -> bool:
    return name.rsplit(".", 1)[-1].startswith(_POOLING_HEADS)


def _member_classes(module: torch.nn.Module) -> set[type]:
    return {type(member) for member in module.children()}


def _callable_members(name: str, module: torch.nn.Module) -> list[str]:
    """A module, or the members of a list, which cannot be called itself."""
    if not isinstance(module, torch.nn.ModuleList):
        return [name]
    return [f"{name}.{child}" for child, member in module.named_children() if has_weights(member)]
