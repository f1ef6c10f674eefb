"""`nrray finetune`: extract frames, then train on Ray Train's workers with accelerate, and leave an adapter."""

import math
import shutil
from dataclasses import replace
from pathlib import Path

from nrray.console.progress import Progress
from nrray.console.reporter import Reporter
from nrray.console.run_record import keep_record, refuse_other_output
from nrray.pipelines.finetune.expected_time import expected_time
from nrray.pipelines.finetune.extract import Extracted, extracted
from nrray.pipelines.finetune.job import FinetuneConfig, ResolvedFinetune, planned_job, resolved_finetune
from nrray.pipelines.finetune.planning import facts_with_looks
from nrray.pipelines.finetune.progress import HistoryReport
from nrray.pipelines.finetune.report import CURVES_FILE, Finetuned, learning_curves, training_sentence
from nrray.pipelines.on_ray.pools import cluster_capacity
from nrray.pipelines.on_ray.session import ray_session, terminated_as_interrupt
from nrray.pipelines.on_ray.training_workers import WorkerLimits, planned_workers, train_on_workers
from nrray.pipelines.workers import WorkersConfig
from nrray.report.training_curves import training_curves
from nrray.storage import Folder
from nrray.train.doubts import overfitting
from nrray.train.history import read_history
from nrray.train.job import FinetuneJob
from nrray.train.output import finished_model_folder, read_metrics
from nrray.train.training_plan import TrainingPlan, needed_bytes, planned_training, read_plan, write_plan
from nrray.writer_lock import WriterLock

DROPPED_FILE = "dropped.json"
WORKER_BYTES = 3 * 2**29
"""Of a worker's memory that Ray, torch and transformers take for themselves, as measured, rounded up."""


def run_finetune(config: FinetuneConfig, reporter: Reporter, *, dry_run: bool = False) -> Finetuned:
    """Train, or go on with a training that was stopped.

    Raises ConfigError, DataError, ModelError, OutputBusyError, ResourcesError, StorageError, TrainingError.
    """
    resolved = checked_finetune(config, reporter)
    job, output = resolved.job, Folder(resolved.job.output)
    if dry_run:
        return _dry_run(resolved, reporter)
    refuse_other_output(output, "finetune")
    output.create()
    if finished_model_folder(job.output) is not None:  # it is written last
        reporter.say("this training is finished: nothing was trained")
    else:
        with WriterLock(output), ray_session(), terminated_as_interrupt():
            train(config, begun_job(resolved, reporter), reporter)
    trained_model = drawn_training(job)
    if not config.store.keep:
        shutil.rmtree(job.store, ignore_errors=True)
    return Finetuned(
        output=job.output,
        trained_model=trained_model,
        metrics=read_metrics(trained_model),
        dropped=output.read_json(DROPPED_FILE),
        plan=read_plan(output),
        overfitting=overfitting(read_history(output)),
    )


def checked_finetune(config: FinetuneConfig, reporter: Reporter) -> ResolvedFinetune:
    """What would be trained, as it is told. Raises ConfigError, DataError, IdentityError where the output has a training of other
    settings, ModelError, StorageError."""
    resolved = resolved_finetune(config)
    for note in resolved.plan.notes:
        reporter.say(note)
    reporter.say(training_sentence(resolved))
    from nrray.train.state import Records  # with torch

    Records(Folder(resolved.job.output), resolved.job.identity()).check_identity()
    return resolved


def begun_job(resolved: ResolvedFinetune, reporter: Reporter) -> FinetuneJob:
    """The job with its frames on disk, in an output that is locked. Raises IdentityError where they are not those that an earlier
    call trained on, and as extracted_job."""
    from nrray.train.state import Records  # with torch

    output = Folder(resolved.job.output)
    keep_record(output, "finetune", resolved.config)
    job = extracted_job(resolved, reporter)
    Records(output, job.identity()).check_identity(undecided=())  # the frames are known now
    return job


def _dry_run(resolved: ResolvedFinetune, reporter: Reporter) -> Finetuned:
    """The plan as far as it can be known without frames, and the time that it takes."""
    config, plan = resolved.config, _reported_plan(resolved.job, resolved.config, reporter)
    expected = None
    if finished_model_folder(resolved.job.output) is not None:
        reporter.say("this training is finished: nothing would be trained")
    else:
        with ray_session():
            job = planned_job(resolved.job, config, plan.facts)
            workers, _ = reported_workers(config.workers, job, reporter)
        expected = expected_time([job], num_workers=workers)
        reporter.say(expected.text())
    reporter.say("dry run: nothing was decoded, nothing was written")
    return Finetuned(
        output=resolved.job.output,
        trained_model=None,
        metrics=None,
        dropped={},
        plan=plan.document(),
        expected_time=expected,
    )


def reported_workers(asked: WorkersConfig, job: FinetuneJob, reporter: Reporter) -> tuple[int, bool]:
    """How many workers train a job, and whether each has a GPU, as it is told. Raises ResourcesError where they would never
    start."""
    workers, on_gpu = planned_workers(asked, cluster_capacity(), worker_limits(job))
    share = "a GPU" if on_gpu else f"{asked.cpus_per_worker:g} CPU"
    reporter.say(f"workers: {workers}, each with {share}")
    return workers, on_gpu


def worker_limits(job: FinetuneJob) -> WorkerLimits:
    """What bounds the number of a job's workers on CPUs."""
    training = job.training
    return WorkerLimits(
        num_micro_batches=math.ceil(training.batch_windows / training.micro_batch_windows),
        worker_bytes=WORKER_BYTES + needed_bytes(job.parts, training, job.facts),
    )


def train(config: FinetuneConfig, job: FinetuneJob, reporter: Reporter) -> None:
    """Train a job whose frames are on disk, on the workers that the config asks for. Raises as run_finetune."""
    workers, on_gpu = reported_workers(config.workers, job, reporter)
    shown = Progress(
        console=reporter.console,
        verb="train",
        total_units=job.training.num_steps,
        total_us=0,
        unit="steps",
        quiet=reporter.is_silent,
    )
    with shown:
        progress = HistoryReport(Folder(job.output), reporter, shown)
        train_on_workers(config.workers, job, num_workers=workers, on_gpu=on_gpu, progress=progress)


def drawn_training(job: FinetuneJob) -> Path:
    """The folder of the model that a finished training left; its learning curves are drawn beside it."""
    output = Folder(job.output)
    output.write_bytes(CURVES_FILE, training_curves(learning_curves(read_history(output)), title=job.name))
    trained_model = finished_model_folder(job.output)
    assert trained_model is not None  # or training would have ended with an error
    return trained_model


def extracted_job(resolved: ResolvedFinetune, reporter: Reporter) -> FinetuneJob:
    """The job with its frames on disk, without chunks that could not be decoded: these are noted in the output."""
    job, output = resolved.job, Folder(resolved.job.output)
    found = extracted(resolved, reporter)
    _note_dropped(output, found, reporter)
    # Both are part of the identity: a video that is mended or replaced later must not slip into a training.
    inputs = replace(job.inputs, dropped=tuple(sorted(found.dropped)), frames=found.frames)
    return _planned(replace(job, chunks=found.chunks, inputs=inputs), resolved.config, reporter)


def _planned(job: FinetuneJob, config: FinetuneConfig, reporter: Reporter) -> FinetuneJob:
    """The job as it is planned now that there are frames whose looks can be measured; the plan is written and told."""
    plan = _reported_plan(job, config, reporter)
    write_plan(plan, Folder(job.output))
    return planned_job(job, config, plan.facts)


def _reported_plan(job: FinetuneJob, config: FinetuneConfig, reporter: Reporter) -> TrainingPlan:
    plan = planned_training(config.parts, config.training, facts_with_looks(job), start=job.start)
    reporter.say("Plan: " + " ".join(plan.reasons))
    return plan


def _note_dropped(output: Folder, found: Extracted, reporter: Reporter) -> None:
    output.write_json(DROPPED_FILE, found.dropped)
    if found.dropped:
        reporter.say(
            f"{len(found.dropped)} chunks could not be decoded and are not trained on, such as "
            f"{next(iter(found.dropped.values()))}; all are in {output.path(DROPPED_FILE)}"
        )
