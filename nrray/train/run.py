"""A fine-trainee in one process of several: examples and a checkpoint in, a trained model out. Knows no Ray.

Every process calls it; the first one writes.
"""

import io
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from numpy.typing import NDArray

from nrray.models.config import Device
from nrray.storage import Folder
from nrray.train.batches import PlainWindows, TrainingWindows
from nrray.train.compiled import compiled_layers
from nrray.train.cross_fitting import cross_fitted
from nrray.train.examples import Examples, examples_of, training_notes, validation_notes
from nrray.train.frame_store import FrameStore, read_frame_of_sample, store_file, whole_windows
from nrray.train.job import FinetuneJob
from nrray.train.loop import Training
from nrray.train.objective import prior_log_odds
from nrray.train.order import Order
from nrray.train.output import STOPPED_FILE, VALIDATION_FILE
from nrray.train.state import Records
from nrray.train.trackers import Tracker, opened_trackers
from nrray.train.trained_looks import trained_looks
from nrray.train.trained_model import write_trained_model
from nrray.train.trainee.prepared import PreparedTrainee, prepared_trainee
from nrray.train.validation import Validation


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """Windows of the frame store: to train and in which order, to validate, and for every chunk the starts whose windows have all
    frames."""

    store: FrameStore
    order: Order
    train: Examples
    validation: Examples
    whole: list[NDArray[np.bool_]]


def finetune(job: FinetuneJob, accelerator: Accelerator) -> None:
    """Train, and leave an adapter in the output, or the model where it is trained whole. A training that is asked to stop before
    its end leaves its state and a note of that.

    Raises ConfigError, DataError, ModelError, StorageError, TrainingError.
    """
    data = training_data(job)
    device = Device.CUDA if accelerator.device.type == "cuda" else Device.CPU
    trainee = prepared_trainee(
        job.start,
        execution=job.execution.model_copy(update={"device": device}),
        parts=job.parts,
        adapter=job.adapter,
        head=job.head,
        label_set=job.label_set,
        sampling=job.sampling,
        log_odds=prior_log_odds(data.order.positive_shares),
        config=job.training,
    )
    validation = _validation(job, data, trainee, accelerator)
    trackers = _trackers(job) if accelerator.is_main_process else []
    training = Training(
        trainee.module,
        job.training,
        order=data.order,
        windows=training_windows(job, data, trainee, accelerator),
        validation=validation,
        accelerator=accelerator,
        records=Records(Folder(job.output), job.identity(), trackers),
        dtype=trainee.dtype,
    )
    try:
        with compiled_layers(trainee.module) if job.training.compile_layers else nullcontext():
            is_done = training.run()
    finally:
        for tracker in trackers:
            tracker.close()
    if not is_done:
        if accelerator.is_main_process:
            Folder(job.output).write_json(STOPPED_FILE, {"step": training.progress.step})
        return
    if accelerator.is_main_process:
        kept = training.progress.best
        assert kept is not None  # the validation before the first step is one
        logits = training.logits[kept.step]
        _write_logits(Folder(job.output), logits, training.logits, data.validation)
        write_trained_model(
            job,
            trainee,
            progress=training.progress,
            logits=logits,
            cross_fitted=cross_fitted(
                list(training.logits.values()),
                data.validation.targets,
                data.validation.cases,
                label_set=job.label_set,
                cuts=trainee.cuts,
                temperatures=trainee.temperatures,
            ),
            train=data.train,
            validation=data.validation,
            looks=trained_looks(
                trainee,
                store=data.store,
                train=data.train,
                validation=data.validation,
                device=accelerator.device,
                micro_batch_windows=job.training.micro_batch_windows,
            ),
        )
    accelerator.wait_for_everyone()


def training_data(job: FinetuneJob) -> TrainingData:
    """The windows of a job's frame store. Raises DataError."""
    folder, names = Path(job.store), [chunk.name for chunk in job.chunks]
    frames_per_window = job.sampling.frames_per_window
    whole = [whole_windows(read_frame_of_sample(store_file(folder, name)), frames_per_window) for name in names]
    train, validation = (examples_of(job.chunks, whole, part, job.sampling) for part in ("train", "validation"))
    config = job.training
    training_notes(train, job.label_set, min_positive_windows=config.min_positive_windows)
    validation_notes(validation, job.label_set, min_positive_windows=config.min_positive_windows)
    return TrainingData(
        store=FrameStore(folder, names, frames_per_window=frames_per_window),
        order=Order(
            train.targets,
            train.cases,
            batch_windows=config.batch_windows,
            seed=config.seed,
            min_positive_share=config.min_positive_share,
        ),
        train=train,
        validation=validation,
        whole=whole,
    )


def training_windows(
    job: FinetuneJob, data: TrainingData, trainee: PreparedTrainee, accelerator: Accelerator
) -> TrainingWindows:
    """This process's windows of each step."""
    config = job.training
    return TrainingWindows(
        data.train,
        chunks=job.chunks,
        whole=data.whole,
        store=data.store,
        inputs=trainee.inputs,
        channels=trainee.inputs.frame_stacking.channels,
        order=data.order,
        augment=config.augment.times(config.augment_strength),
        sampling=job.sampling,
        max_jitter_seconds=config.max_jitter_seconds,
        micro_batch_windows=config.micro_batch_windows,
        process=accelerator.process_index,
        num_processes=accelerator.num_processes,
    )


def _validation(job: FinetuneJob, data: TrainingData, trainee: PreparedTrainee, accelerator: Accelerator) -> Validation:
    windows = PlainWindows(
        data.validation,
        store=data.store,
        inputs=trainee.inputs,
        micro_batch_windows=job.training.micro_batch_windows,
        process=accelerator.process_index,
        num_processes=accelerator.num_processes,
    )
    return Validation(
        windows, data.validation.targets, label_set=job.label_set, accelerator=accelerator, dtype=trainee.dtype
    )


def _trackers(job: FinetuneJob) -> list[Tracker]:
    settings = job.settings()
    names = ("training", "parts", "adapter", "timesformer")
    return opened_trackers(
        job.trackers, Path(job.output), name=job.name, settings={name: settings[name] for name in names}
    )


def _write_logits(
    output: Folder, logits: NDArray[np.float32], by_step: Mapping[int, NDArray[np.float32]], validation: Examples
) -> None:
    buffer = io.BytesIO()
    np.savez(
        buffer,
        logits=logits,
        targets=validation.targets,
        cases=validation.cases,
        steps=np.array(list(by_step)),
        step_logits=np.stack(list(by_step.values())),
    )
    output.write_bytes(VALIDATION_FILE, buffer.getvalue())
