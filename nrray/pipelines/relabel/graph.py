"""The graph of relabel: its stages in their order, each with its arguments and the pool that it asks for.

A new stage is a `UnitStage` in a file of its own and an entry in `stages_of`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nrray.errors import ResourcesError
from nrray.models import Device, JudgedStrategy
from nrray.models.strategies.prompted import PromptedStrategy
from nrray.pipelines.on_ray.pools import MIB, Capacity, Pool, PoolRequest
from nrray.pipelines.on_ray.streaming import RowActor
from nrray.pipelines.relabel.captions import CaptionStage, JudgeStage
from nrray.pipelines.relabel.job import RelabelJob
from nrray.pipelines.relabel.stages import DecodeStage, LabelStage
from nrray.pipelines.workers import Pools


@dataclass(frozen=True, kw_only=True)
class StageRequest:
    """A stage before its pool is planned. batch_units: that its workers are handed at once."""

    actor: type[RowActor]
    arguments: Mapping[str, Any]  # of the actor, which is made in its worker
    pool: PoolRequest
    batch_units: int = 1


def stages_of(job: RelabelJob, *, on_gpu: bool) -> tuple[StageRequest, ...]:
    """Decode, then label; where a language model judges captions: decode, then caption, then judge."""
    config, strategy = job.config, job.strategy
    guard = {"output": job.output.uri, "run_id": job.run_id, "limits": config.entries}
    judge = strategy.judge.resolved() if isinstance(strategy, JudgedStrategy) else None
    execution = config.model.model_copy(update={"device": Device.CUDA if on_gpu else Device.CPU})
    looks = {
        **guard,
        "sampling": job.sampling,
        "checkpoint": job.checkpoint,
        "strategy": strategy,
        "execution": execution,
        "label_set": job.label_set,
    }
    return (
        StageRequest(
            actor=DecodeStage,
            arguments={**guard, "decode": config.decode, "sampling": job.sampling, "shown": config.shown},
            pool=decoder_request(config.pools),
        ),
        StageRequest(
            actor=LabelStage if judge is None else CaptionStage,
            arguments=looks,
            pool=labeler_request(config.pools, on_gpu=on_gpu and uses_device(job)),
        ),
        *(
            ()
            if judge is None
            else (
                StageRequest(
                    actor=JudgeStage,
                    arguments={
                        **guard,
                        "checkpoint": job.checkpoint,
                        "judge": judge,
                        "strategy": strategy,
                        "execution": execution,
                        "label_set": job.label_set,
                    },
                    pool=judge_request(config.pools, on_gpu=on_gpu),
                    batch_units=config.pools.judge_units,
                ),
            )
        ),
    )


def arguments_in(pool: Pool, stage: StageRequest) -> Mapping[str, Any]:
    """The stage's arguments for workers of a pool: an engine that shares out a GPU's memory is told its part. Raises ConfigError
    where it wants more."""
    strategy = stage.arguments.get("strategy")
    if not isinstance(strategy, PromptedStrategy):
        return stage.arguments
    engine = strategy.engine.in_pool(pool.gpus)
    return {**stage.arguments, "strategy": strategy.model_copy(update={"engine": engine})}


def uses_device(job: RelabelJob) -> bool:
    """Whether labelers hold the model's weights, and want GPUs for them where there are some."""
    return not isinstance(job.strategy, PromptedStrategy) or job.strategy.engine.uses_device


def check_engine(job: RelabelJob, capacity: Capacity) -> None:
    """Raise ResourcesError where the strategy's engine runs on GPUs alone and the cluster has none."""
    if isinstance(job.strategy, PromptedStrategy) and job.strategy.engine.needs_gpu and capacity.num_gpus < 1:
        raise ResourcesError(
            f"strategy.engine={job.strategy.engine.kind} needs a GPU for every labeler, but the cluster has {capacity}. Take "
            f"engine transformers, or openai with a server, or add a node with a GPU."
        )


def runs_on_gpu(device: Device, capacity: Capacity) -> bool:
    """Whether labelers get GPUs. Raises ResourcesError where the config wants some and the cluster has none."""
    if device is Device.CUDA and capacity.num_gpus < 1:
        raise ResourcesError(f"model.device=cuda, but the cluster has {capacity}: set model.device=auto or cpu")
    return device is Device.CUDA or (device is Device.AUTO and capacity.num_gpus >= 1)


def decoder_request(pools: Pools) -> PoolRequest:
    """Decoders run on CPUs."""
    return PoolRequest(
        name="decoders",
        count=pools.decoders,
        memory_bytes=pools.decoder_memory_mib * MIB,
        count_setting="pools.decoders",
        memory_setting="pools.decoder_memory_mib",
    )


def labeler_request(pools: Pools, *, on_gpu: bool) -> PoolRequest:
    """Labelers run on GPUs or on CPUs."""
    return PoolRequest(
        name="labelers",
        count=pools.labelers,
        needs_gpu=on_gpu,
        memory_bytes=pools.labeler_memory_mib * MIB,
        count_setting="pools.labelers",
        memory_setting="pools.labeler_memory_mib",
    )


def judge_request(pools: Pools, *, on_gpu: bool) -> PoolRequest:
    """Judges run where labelers do, on GPUs or on CPUs."""
    return PoolRequest(
        name="judges",
        count=pools.judges,
        needs_gpu=on_gpu,
        memory_bytes=pools.judge_memory_mib * MIB,
        count_setting="pools.judges",
        memory_setting="pools.judge_memory_mib",
    )
