"""Several trainings at once, as many as the cluster has workers for: small ones learn faster each by itself than all workers
learn on one after another."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack

from nrray.console.progress import Progress
from nrray.console.reporter import Reporter
from nrray.console.run_record import refuse_other_output
from nrray.errors import NrrayError, OutputBusyError
from nrray.pipelines.finetune.job import FinetuneConfig, resolved_finetune
from nrray.pipelines.finetune.progress import HistoryReport, StepCount
from nrray.pipelines.finetune.run import begun_job, checked_finetune, worker_limits
from nrray.pipelines.on_ray.pools import Capacity, cluster_capacity
from nrray.pipelines.on_ray.training_workers import (
    WorkerLimits,
    planned_workers,
    train_on_workers,
    worker_room,
    workers_of_each,
)
from nrray.pipelines.workers import WorkersConfig
from nrray.storage import Folder
from nrray.train.job import FinetuneJob
from nrray.train.output import finished_model_folder
from nrray.writer_lock import WriterLock


def train_side_by_side(trainings: Mapping[str, FinetuneConfig], reporter: Reporter) -> dict[str, NrrayError]:
    """Do what is left of those of these trainings, by name, of which the cluster holds two at once; nothing where that is one of
    them. Why some failed, by name; the others go on. Needs a Ray session. Raises OutputBusyError."""
    failures: dict[str, NrrayError] = {}
    room: dict[str, int] = {}
    capacity = cluster_capacity()
    for name, config in trainings.items():
        try:
            if finished_model_folder(config.output) is None:
                limits = worker_limits(resolved_finetune(config).job)
                if (num_fitting := num_side_by_side(config.workers, capacity, limits)) > 1:
                    room[name] = num_fitting
        except NrrayError as error:
            failures[name] = error
    at_once = min([len(room), *room.values()])
    if at_once < 2:
        return {}
    with ExitStack() as locks:
        jobs: dict[str, FinetuneJob] = {}
        for name in room:
            try:
                jobs[name] = _begun(trainings[name], locks, reporter)
            except OutputBusyError:
                raise
            except NrrayError as error:
                failures[name] = error
        asked = {name: trainings[name].workers for name in jobs}
        if jobs:
            failures |= _trained(jobs, asked, capacity, min(at_once, len(jobs)), reporter)
    return failures


def num_side_by_side(asked: WorkersConfig, capacity: Capacity, limits: WorkerLimits) -> int:
    """How many trainings with such workers fit the cluster together. Raises ResourcesError where one does not."""
    workers, on_gpu = workers_of_each(asked, capacity)
    room = worker_room(asked, capacity, on_gpu=on_gpu)
    in_memory = room if on_gpu else int(capacity.memory_bytes // limits.worker_bytes)
    return min(room, in_memory) // workers


def workers_of_share(
    asked: WorkersConfig, capacity: Capacity, limits: WorkerLimits, *, at_once: int
) -> tuple[int, bool]:
    """How many workers each of `at_once` trainings has, as if its share of the cluster were all, and whether each has a GPU."""
    share = Capacity(
        num_cpus=capacity.num_cpus / at_once,
        num_gpus=capacity.num_gpus / at_once,
        memory_bytes=capacity.memory_bytes / at_once,
    )
    workers, on_gpu = planned_workers(asked, share, limits)
    return min(workers, worker_room(asked, capacity, on_gpu=on_gpu) // at_once), on_gpu


def _begun(config: FinetuneConfig, locks: ExitStack, reporter: Reporter) -> FinetuneJob:
    """The job, its frames on disk: extracting takes all CPUs, so that it comes before any training."""
    resolved = checked_finetune(config, reporter)
    output = Folder(resolved.job.output)
    refuse_other_output(output, "finetune")
    output.create()
    locks.enter_context(WriterLock(output))
    return begun_job(resolved, reporter)


def _trained(
    jobs: Mapping[str, FinetuneJob],
    asked: Mapping[str, WorkersConfig],
    capacity: Capacity,
    at_once: int,
    reporter: Reporter,
) -> dict[str, NrrayError]:
    """Why some failed."""
    failures: dict[str, NrrayError] = {}
    shown = Progress(
        console=reporter.console,
        verb="train",
        total_units=sum(job.training.num_steps for job in jobs.values()),
        total_us=0,
        unit="steps",
        quiet=reporter.is_silent,
    )
    done = dict.fromkeys(jobs, 0.0)

    def train(name: str, job: FinetuneJob) -> None:
        workers, on_gpu = workers_of_share(asked[name], capacity, worker_limits(job), at_once=at_once)
        progress = HistoryReport(Folder(job.output), reporter, _Part(name, done, shown), name=name)
        train_on_workers(asked[name], job, num_workers=workers, on_gpu=on_gpu, progress=progress)

    reporter.say(f"{len(jobs)} trainings, {at_once} at once")
    pool = ThreadPoolExecutor(at_once)
    with shown:
        try:
            names = {pool.submit(train, name, job): name for name, job in jobs.items()}
            for future in as_completed(names):
                error = future.exception()
                if isinstance(error, NrrayError):
                    failures[names[future]] = error
                    reporter.say(f"{names[future]} failed, the others go on: {error}")
                elif error is not None:
                    raise error
        finally:
            pool.shutdown(cancel_futures=True)
    return failures


class _Part(StepCount):
    """The steps of one training, in a count of all."""

    def __init__(self, name: str, done: dict[str, float], shown: Progress) -> None:
        self._name = name
        self._done = done
        self._shown = shown

    def reach(self, done_units: float, *, note: str) -> None:
        self._done[self._name] = done_units
        self._shown.reach(sum(self._done.values()), note=f"{self._name}: {note}")
