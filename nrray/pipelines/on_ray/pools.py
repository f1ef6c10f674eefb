"""How many workers of each kind fit on the cluster. Planning is pure; `cluster_capacity` alone asks Ray."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import ray
from pydantic import Field

from nrray.config import Section
from nrray.errors import ResourcesError

MIB = 2**20


class Pools(Section):
    """How many workers of each kind. `auto`: a decoder per CPU, a labeler per GPU, or per CPU where there is no GPU."""

    decoders: int | Literal["auto"] = Field("auto", description="auto: one per CPU")
    labelers: int | Literal["auto"] = Field("auto", description="auto: one per GPU, or per CPU where there is no GPU")
    decoder_memory_mib: int = Field(768, ge=64, description="what a decoder reserves of a node's memory")
    labeler_memory_mib: int = Field(1536, ge=64, description="what a labeler reserves of a node's memory")
    stall_timeout_seconds: int = Field(
        1800, ge=30, description="without any progress for so long, the run ends with an error instead of hanging"
    )


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """What the nodes of the cluster have in all."""

    num_cpus: float
    num_gpus: float
    memory_bytes: float
    nodes: tuple["Capacity", ...] = ()  # each alone; none where it is not known

    def __str__(self) -> str:
        return f"{self.num_cpus:g} CPUs, {self.num_gpus:g} GPUs, {self.memory_bytes / 2**30:.1f} GiB of memory"


@dataclass(frozen=True, kw_only=True)
class PoolPlan:
    """Workers of each stage and what one of them asks for. Everything runs at once, so all of it must fit together."""

    num_decoders: int
    decoder_cpus: float
    num_labelers: int
    labeler_cpus: float
    labeler_gpus: float
    decoder_memory_bytes: int
    labeler_memory_bytes: int

    def __str__(self) -> str:
        where = "GPU" if self.labeler_gpus else "CPU"
        return f"{self.num_decoders} decoders and {self.num_labelers} labelers on {where}"


def planned_pools(pools: Pools, capacity: Capacity, *, num_units: int, on_gpu: bool) -> PoolPlan:
    """Pools that fit `capacity` together; never more workers than units. A pure function.

    On CPUs every worker asks for a fraction of one, so that decoders and labelers share the cores and whichever has
    work takes them; whole CPUs for both would not fit a small machine, and Ray would wait for ever.
    Raises ResourcesError where what was asked for does not fit.
    """
    cpus = int(capacity.num_cpus)
    if cpus < 1:
        raise ResourcesError(f"the cluster has {capacity}: at least one CPU is needed to decode")
    if on_gpu and capacity.num_gpus < 1:
        raise ResourcesError(f"model.device=cuda, but the cluster has {capacity}: set model.device=auto or cpu")
    labelers = pools.labelers if pools.labelers != "auto" else (int(capacity.num_gpus) if on_gpu else cpus)
    decoders = pools.decoders if pools.decoders != "auto" else cpus
    decoder_memory = pools.decoder_memory_mib * MIB
    labeler_memory = pools.labeler_memory_mib * MIB
    if pools.decoders == "auto" and pools.labelers == "auto":
        while decoders > 1 and decoders * decoder_memory + labelers * labeler_memory > capacity.memory_bytes:
            decoders -= 1
            labelers = labelers if on_gpu else min(labelers, decoders)
    decoders, labelers = min(decoders, num_units), min(labelers, num_units)
    plan = PoolPlan(
        num_decoders=decoders,
        decoder_cpus=1.0 if on_gpu else 0.5,
        num_labelers=labelers,
        labeler_cpus=0.0 if on_gpu else 0.5,
        labeler_gpus=1.0 if on_gpu else 0.0,
        decoder_memory_bytes=decoder_memory,
        labeler_memory_bytes=labeler_memory,
    )
    _check_fits(plan, capacity)
    return plan


def _check_fits(plan: PoolPlan, capacity: Capacity) -> None:
    asked = {
        "CPUs": (plan.num_decoders * plan.decoder_cpus + plan.num_labelers * plan.labeler_cpus, capacity.num_cpus),
        "GPUs": (plan.num_labelers * plan.labeler_gpus, capacity.num_gpus),
        "GiB of memory": (
            (plan.num_decoders * plan.decoder_memory_bytes + plan.num_labelers * plan.labeler_memory_bytes) / 2**30,
            capacity.memory_bytes / 2**30,
        ),
    }
    short = [f"{needed:.3g} {what} of {there:.3g}" for what, (needed, there) in asked.items() if needed > there + 1e-6]
    if plan.num_decoders < 1 or plan.num_labelers < 1:
        short.append("at least one decoder and one labeler are needed")
    if not short and capacity.nodes and not _can_be_placed(plan, capacity.nodes):
        short.append(f"more than any way of placing them on the {len(capacity.nodes)} nodes alone")
    if short:
        raise ResourcesError(
            f"{plan} do not fit: they ask for {'; '.join(short)}. Lower pools.decoders, pools.labelers or their memory, "
            f"or add nodes. They would wait for ever, so nothing was started."
        )


def _can_be_placed(plan: PoolPlan, nodes: Sequence[Capacity]) -> bool:
    """Whether every worker finds a node, labelers first, each on the node that then has the most CPUs left."""
    left = [[node.num_cpus, node.num_gpus, node.memory_bytes] for node in nodes]
    labeler = (plan.labeler_cpus, plan.labeler_gpus, plan.labeler_memory_bytes)
    decoder = (plan.decoder_cpus, 0.0, plan.decoder_memory_bytes)
    for asked in [labeler] * plan.num_labelers + [decoder] * plan.num_decoders:
        fitting = [node for node in left if all(have + 1e-6 >= want for have, want in zip(node, asked, strict=True))]
        if not fitting:
            return False
        node = max(fitting, key=lambda node: node[0])
        node[:] = [have - want for have, want in zip(node, asked, strict=True)]
    return True


def cluster_capacity() -> Capacity:
    """What Ray says the cluster has."""
    nodes = tuple(_capacity_of(node["Resources"]) for node in ray.nodes() if node["Alive"])
    return replace(_capacity_of(ray.cluster_resources()), nodes=nodes)


def _capacity_of(resources: Mapping[str, float]) -> Capacity:
    return Capacity(
        num_cpus=resources.get("CPU", 0.0),
        num_gpus=resources.get("GPU", 0.0),
        memory_bytes=resources.get("memory", 0.0),
    )
