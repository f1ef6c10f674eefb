"""Pools of workers: the number of workers of each kind and the resources that each reserves, so that all of them fit the cluster.

Planning is pure; `cluster_capacity` alone asks Ray.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import ray

from nrray.errors import ResourcesError
from nrray.wording import counted

MIB = 2**20
_RESOURCE_STEP = 10_000  # Ray counts resources in ten-thousandths
_TOLERANCE = 1e-6
_MORE = "nodes or memory (batch systems and containers limit it)"


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """CPUs, GPUs and memory of the cluster, in all and node by node."""

    num_cpus: float
    num_gpus: float
    memory_bytes: float
    nodes: tuple["Capacity", ...] = ()  # each alone; none where it is not known

    def __str__(self) -> str:
        return f"{self.num_cpus:g} CPUs, {self.num_gpus:g} GPUs, {self.memory_bytes / 2**30:.1f} GiB of memory"


@dataclass(frozen=True, kw_only=True)
class PoolRequest:
    """Workers of one kind that a verb asks for. `auto`: one per CPU, or for workers that need a GPU, one per GPU."""

    name: str  # a plural, such as decoders
    count: int | Literal["auto"]
    needs_gpu: bool = False
    memory_bytes: int = 0  # that a worker reserves
    count_setting: str | None = None  # the config key of `count`, for a refusal
    memory_setting: str | None = None


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Workers of one kind; `cpus`, `gpus` and `memory_bytes` are of one worker."""

    name: str
    count: int
    cpus: float
    gpus: float
    memory_bytes: int


def planned_pools(requests: Sequence[PoolRequest], capacity: Capacity, *, num_units: int) -> tuple[Pool, ...]:
    """A pool for each request, in that order. All run at once and fit `capacity` together; none has more workers than
    there are units. A pure function.

    Pools without GPUs share the CPUs: each worker reserves an equal fraction of one, so that whichever pool has work takes
    them; whole CPUs for every pool would not fit a small machine, and Ray would wait for ever. Workers with GPUs reserve
    no CPU: the GPUs are split evenly between their pools, and where there are fewer GPUs than pools, so is each GPU. Where
    every count is `auto`, pools without GPUs shrink until the memory suffices.

    Raises ResourcesError where the pools do not fit.
    """
    if capacity.num_cpus < 1:
        raise ResourcesError(f"the cluster has {capacity}: at least one CPU is needed to decode")
    if capacity.num_gpus < 1 and (without := [request.name for request in requests if request.needs_gpu]):
        raise ResourcesError(f"{_listed(without)} need a GPU, but the cluster has {capacity}")
    cpus = _fraction_of_one(sum(not request.needs_gpu for request in requests))
    gpus = _fraction_of_one(_pools_per_gpu(requests, capacity))
    pools = tuple(
        Pool(
            name=request.name,
            count=min(count, num_units),
            cpus=0.0 if request.needs_gpu else cpus,
            gpus=gpus if request.needs_gpu else 0.0,
            memory_bytes=request.memory_bytes,
        )
        for request, count in zip(requests, _counts(requests, capacity), strict=True)
    )
    _check_fits(pools, capacity, advice=_advice(requests))
    return pools


def pools_sentence(pools: Sequence[Pool]) -> str:
    """Such as `2 decoders and 2 labelers on CPU`."""
    workers = _listed([counted(pool.count, pool.name.removesuffix("s")) for pool in pools])
    return f"{workers} on {'GPU' if any(pool.gpus for pool in pools) else 'CPU'}"


def _counts(requests: Sequence[PoolRequest], capacity: Capacity) -> list[int]:
    num_cpus = int(capacity.num_cpus)
    counts = _counts_at(num_cpus, requests, capacity)
    if all(request.count == "auto" for request in requests):
        while num_cpus > 1 and _memory_bytes(requests, counts) > capacity.memory_bytes:
            num_cpus -= 1
            counts = _counts_at(num_cpus, requests, capacity)
    return counts


def _counts_at(workers_on_cpus: int, requests: Sequence[PoolRequest], capacity: Capacity) -> list[int]:
    """Workers of each request, with `workers_on_cpus` for one without GPUs that leaves its count open."""
    with_gpu = [request for request in requests if request.needs_gpu]
    places = int(capacity.num_gpus) * _pools_per_gpu(requests, capacity)
    places -= sum(request.count for request in with_gpu if request.count != "auto")
    num_open = sum(request.count == "auto" for request in with_gpu)
    counts, num_placed = [], 0
    for request in requests:
        if request.count != "auto":
            counts.append(request.count)
        elif not request.needs_gpu:
            counts.append(workers_on_cpus)
        else:  # earlier pools get the workers that cannot be split evenly
            counts.append(max(1, places // num_open + (num_placed < places % num_open)))
            num_placed += 1
    return counts


def _pools_per_gpu(requests: Sequence[PoolRequest], capacity: Capacity) -> int:
    num_pools = sum(request.needs_gpu for request in requests)
    return math.ceil(num_pools / int(capacity.num_gpus)) if num_pools else 1


def _fraction_of_one(parts: int) -> float:
    """Rounded down as Ray counts: three times a third must not be more than one."""
    return _RESOURCE_STEP // max(parts, 1) / _RESOURCE_STEP


def _memory_bytes(requests: Sequence[PoolRequest], counts: Sequence[int]) -> int:
    return sum(request.memory_bytes * count for request, count in zip(requests, counts, strict=True))


def _check_fits(pools: Sequence[Pool], capacity: Capacity, *, advice: str) -> None:
    asked = {
        "CPUs": (sum(pool.count * pool.cpus for pool in pools), capacity.num_cpus),
        "GPUs": (sum(pool.count * pool.gpus for pool in pools), capacity.num_gpus),
        "GiB of memory": (
            sum(pool.count * pool.memory_bytes for pool in pools) / 2**30,
            capacity.memory_bytes / 2**30,
        ),
    }
    short = [
        f"{needed:.3g} {name} of {there:.3g}" for name, (needed, there) in asked.items() if needed > there + _TOLERANCE
    ]
    if any(pool.count < 1 for pool in pools):
        needed = _listed([f"one {pool.name.removesuffix('s')}" for pool in pools])
        short.append(f"at least {needed} {'are' if len(pools) > 1 else 'is'} needed")
    if not short and capacity.nodes and not _can_be_placed(pools, capacity.nodes):
        short.append(f"more than any way of placing them on the {len(capacity.nodes)} nodes alone")
    if short:
        raise ResourcesError(
            f"{pools_sentence(pools)} do not fit: they ask for {'; '.join(short)}. {advice}. They would wait for ever, so "
            f"nothing was started."
        )


def _advice(requests: Sequence[PoolRequest]) -> str:
    counts = [request.count_setting for request in requests if request.count_setting is not None]
    memories = [request.memory_setting for request in requests if request.memory_setting is not None]
    if not counts:
        return f"Add {_MORE}"
    return f"Lower {', '.join(counts)}{f' or their memory ({_listed(memories)})' if memories else ''}, or add {_MORE}"


def _can_be_placed(pools: Sequence[Pool], nodes: Sequence[Capacity]) -> bool:
    """Whether every worker finds a node, each on the node that then has the most CPUs left: first workers with GPUs, then
    the later stages' workers, which are the larger ones."""
    left = [[node.num_cpus, node.num_gpus, node.memory_bytes] for node in nodes]
    by_gpus = sorted(pools, key=lambda pool: pool.gpus)
    for pool in by_gpus[::-1]:
        asked = (pool.cpus, pool.gpus, pool.memory_bytes)
        for _ in range(pool.count):
            fitting = [
                node for node in left if all(have + _TOLERANCE >= want for have, want in zip(node, asked, strict=True))
            ]
            if not fitting:
                return False
            node = max(fitting, key=lambda node: node[0])
            node[:] = [have - want for have, want in zip(node, asked, strict=True)]
    return True


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def cluster_capacity() -> Capacity:
    """The capacity of the cluster that Ray is connected to."""
    nodes = tuple(_capacity_of(node["Resources"]) for node in ray.nodes() if node["Alive"])
    return replace(_capacity_of(ray.cluster_resources()), nodes=nodes)


def _capacity_of(resources: Mapping[str, float]) -> Capacity:
    return Capacity(
        num_cpus=resources.get("CPU", 0.0),
        num_gpus=resources.get("GPU", 0.0),
        memory_bytes=resources.get("memory", 0.0),
    )
