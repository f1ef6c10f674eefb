"""A training on Ray Train's workers: they are placed, watched, and replaced when they are lost.

The state from which a training goes on is in its output, written by the first worker: Ray commits a reported checkpoint later
than it is reported, and would start again from an older one.

torch and peft take seconds to import: they come in with a training, and on the driver torch alone.
"""

import math
import os
import secrets
import shutil
from dataclasses import dataclass
from typing import Any, Protocol

import ray.train
from ray.exceptions import RayError
from ray.train import ControllerError, FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
from ray.train.v2._internal.exceptions import WorkerGroupStartupFailedError, WorkerGroupStartupTimeoutError

from nrray.errors import NrrayError, ResourcesError, TrainingError
from nrray.pipelines.on_ray.allocator import keep_freed_memory
from nrray.pipelines.on_ray.pools import Capacity, cluster_capacity
from nrray.pipelines.on_ray.ray_errors import error_of_ours
from nrray.pipelines.on_ray.session import watched_call
from nrray.pipelines.workers import WorkersConfig
from nrray.storage import Folder
from nrray.train.failure import FAILURE_FILE, failure_of, read_failure, write_failure
from nrray.train.job import FinetuneJob
from nrray.train.output import STOP_FILE, STOPPED_FILE

_RAY_FOLDER = ".ray-train"


class ProgressCallback(Protocol):
    """Reports the progress of a training, as its history has it."""

    def report(self) -> None:
        """Report the events of the history that are new since the last call."""


@dataclass(frozen=True, kw_only=True)
class WorkerLimits:
    """Workers on CPUs are no more than these allow, where their number is `auto`: micro-batches of a step, and bytes of memory
    that a worker takes."""

    num_micro_batches: int
    worker_bytes: int


ONE_WORKER = WorkerLimits(num_micro_batches=1, worker_bytes=1)


def planned_workers(asked: WorkersConfig, capacity: Capacity, limits: WorkerLimits = ONE_WORKER) -> tuple[int, bool]:
    """How many workers, and whether each has a GPU. Raises ResourcesError where they would never all start."""
    on_gpu = capacity.num_gpus >= 1
    room = worker_room(asked, capacity, on_gpu=on_gpu)
    if asked.num_workers != "auto":
        workers = asked.num_workers
    elif on_gpu:
        workers = int(capacity.num_gpus)
    else:
        workers = max(1, min(room, limits.num_micro_batches, int(capacity.memory_bytes // limits.worker_bytes)))
    least = min(asked.min_workers or workers, workers)
    if least > room:
        raise ResourcesError(
            f"{least} workers of {asked.cpus_per_worker:g} CPUs{' and a GPU' if on_gpu else ''} do not fit: the cluster has "
            f"{capacity}. Lower workers.num_workers, or add nodes. They would wait for ever, so nothing was started."
        )
    return workers, on_gpu


def workers_of_each(asked: WorkersConfig, capacity: Capacity) -> tuple[int, bool]:
    """How many workers each of several trainings has, and whether each has a GPU: `auto` is one, so that every GPU or CPU has a
    training of its own. Raises ResourcesError as above."""
    one = asked.model_copy(update={"num_workers": 1}) if asked.num_workers == "auto" else asked
    return planned_workers(one, capacity)


def worker_room(asked: WorkersConfig, capacity: Capacity, *, on_gpu: bool) -> int:
    """How many workers fit on the nodes; one is on one node whole."""
    return sum(
        int(min(node.num_cpus / asked.cpus_per_worker, node.num_gpus if on_gpu else math.inf) + 1e-6)
        for node in capacity.nodes or (capacity,)
    )


def train_on_workers(
    asked: WorkersConfig, job: FinetuneJob, *, num_workers: int, on_gpu: bool, progress: ProgressCallback
) -> None:
    """Train, or go on with a training that was stopped; `progress` reports every second, in the calling thread.

    Raises ConfigError, DataError, ModelError, ResourcesError, StorageError, TrainingError.
    """
    from ray.train.torch import TorchTrainer

    output = Folder(job.output)
    for leftover in (FAILURE_FILE, STOP_FILE, STOPPED_FILE):
        output.remove(leftover)
    least = min(asked.min_workers or num_workers, num_workers)
    # Ray tries again for ever, 60 s each time, unless it is told how often.
    tries = math.ceil(asked.start_timeout_seconds / 60)
    os.environ["RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"] = str(asked.start_timeout_seconds / tries)
    trainer = TorchTrainer(
        train_worker,
        train_loop_config={"job": job},
        scaling_config=ScalingConfig(
            num_workers=num_workers if least == num_workers else (least, num_workers),
            use_gpu=on_gpu,
            resources_per_worker={"CPU": asked.cpus_per_worker, **({"GPU": 1} if on_gpu else {})},
        ),
        run_config=RunConfig(
            name=f"run-{secrets.token_hex(4)}",
            storage_path=f"{job.output}/{_RAY_FOLDER}",
            failure_config=FailureConfig(max_failures=asked.max_failures, controller_failure_limit=tries - 1),
        ),
    )
    try:
        watched_call(trainer.fit, tick=progress.report)
    except (TrainingFailedError, RayError) as error:
        _raise_failure(output)
        ours = error_of_ours(error)
        if ours is not None:
            raise ours from error
        failure = error.controller_failure if isinstance(error, ControllerError) else error
        if isinstance(failure, (WorkerGroupStartupTimeoutError, WorkerGroupStartupFailedError)):
            raise ResourcesError(
                f"{least} workers were not started within {asked.start_timeout_seconds} s ({_first_line(failure)}). Other "
                f"work holds the cluster, which has {cluster_capacity()}. Wait for it, lower workers.num_workers or raise "
                f"workers.start_timeout_seconds; the last checkpoint is kept."
            ) from error
        raise TrainingError(
            f"the workers were lost more than {asked.max_failures} times ({type(error).__name__}: {_first_line(error)}). The "
            f"last checkpoint is kept; the same command goes on from it."
        ) from error
    finally:
        shutil.rmtree(f"{job.output}/{_RAY_FOLDER}", ignore_errors=True)
    _raise_failure(output)


def train_worker(config: dict[str, Any]) -> None:
    """Train in one of Ray Train's workers; `config` is the dict that Ray hands to each, and holds the job."""
    import torch
    from accelerate import Accelerator

    from nrray.train.run import finetune

    job: FinetuneJob = config["job"]
    output = Folder(job.output)
    if output.exists(FAILURE_FILE):
        return  # it would happen again: the driver raises it
    keep_freed_memory()
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    context = ray.train.get_context()
    found = (accelerator.num_processes, accelerator.process_index)
    if found != (context.get_world_size(), context.get_world_rank()):
        raise ResourcesError(
            f"accelerate did not adopt Ray's processes: it sees process {found[1]} of {found[0]}, Ray "
            f"{context.get_world_rank()} of {context.get_world_size()}. Unset ACCELERATE_* variables on the nodes."
        )
    try:
        finetune(job, accelerator)
    except NrrayError as error:
        write_failure(output, failure_of(error))
        raise


def _raise_failure(output: Folder) -> None:
    failure = read_failure(output)
    if failure is not None:
        raise failure.error()


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else "no reason given"
