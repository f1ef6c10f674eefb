"""A fine-tuning in one process of several: examples and a checkpoint in, an artefact out. Knows no Ray.

Every process calls it; the first one writes.
"""

import io
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray

from nrray.archive.splits import SPLIT_FILE
from nrray.models.config import Device
from nrray.models.metadata import Base, CheckpointMetadata, trained_labels, vouched_files, write_metadata
from nrray.storage import Folder, make_private
from nrray.train.batches import Order, PlainWindows, TrainingWindows, placed
from nrray.train.card import tuned_card
from nrray.train.compiled import compiled_layers
from nrray.train.examples import Examples, check_positives, examples_of, validation_note
from nrray.train.frame_store import FrameStore, read_frame_of_sample, store_file, whole_windows
from nrray.train.history import STOPPED_FILE
from nrray.train.job import (
    ADAPTER_FOLDER,
    CARD_FILE,
    METRICS_FILE,
    MODEL_FOLDER,
    VALIDATION_FILE,
    FinetuneJob,
)
from nrray.train.loop import Training
from nrray.train.objective import prior_log_odds
from nrray.train.thresholds import steady_temperatures, steady_thresholds
from nrray.train.trackers import Tracker, opened_trackers
from nrray.train.trainee.lora import Tuning, tuned_model
from nrray.train.training_state import Records
from nrray.train.validation import Validation, autocast


def finetune(job: FinetuneJob, accelerator: Accelerator) -> None:
    """Train, and leave the artefact in the output: `adapter`, or `model` of one that is trained whole. One that is asked to
    stop before its end leaves its state and a note that it was.

    Raises ConfigError, DataError, ModelError, StorageError, TrainingError.
    """
    store_folder, names = Path(job.store), [chunk.name for chunk in job.chunks]
    whole = [
        whole_windows(read_frame_of_sample(store_file(store_folder, name)), job.sampling.frames_per_window)
        for name in names
    ]
    examples = examples_of(job.chunks, whole, "train", job.sampling)
    validation = examples_of(job.chunks, whole, "validation", job.sampling)
    check_positives([examples.targets], job.label_set)
    validation_note([validation.targets], job.label_set)
    config = job.training
    on_gpu = accelerator.device.type == "cuda"
    tuning = tuned_model(
        job.start,
        execution=job.execution.model_copy(update={"device": Device.CUDA if on_gpu else Device.CPU}),
        adapter=job.adapter,
        head=job.head,
        label_set=job.label_set,
        sampling=job.sampling,
        log_odds=prior_log_odds(examples.targets),
        config=config,
    )
    store = FrameStore(store_folder, names, frames_per_window=job.sampling.frames_per_window)
    share = {"process": accelerator.process_index, "num_processes": accelerator.num_processes}
    windows = training_windows(job, examples, whole, store=store, tuning=tuning, **share)
    held_out = PlainWindows(
        validation, store=store, inputs=tuning.inputs, micro_batch_windows=config.micro_batch_windows, **share
    )
    validated = Validation(
        held_out, validation.targets, label_set=job.label_set, accelerator=accelerator, dtype=tuning.dtype
    )
    trackers = _trackers(job) if accelerator.is_main_process else []
    training = Training(
        tuning.module,
        config,
        examples=examples,
        windows=windows,
        validation=validated,
        accelerator=accelerator,
        records=Records(Folder(job.output), job.identity, trackers),
        dtype=tuning.dtype,
    )
    try:
        with compiled_layers(tuning.module) if config.compile_layers else nullcontext():
            is_done = training.run()
    finally:
        for tracker in trackers:
            tracker.close()
    if not is_done:
        if accelerator.is_main_process:
            Folder(job.output).write_json(STOPPED_FILE, {"step": training.progress.step})
        return
    logits = validated.logits(tuning.module)
    if accelerator.is_main_process:
        buffer = io.BytesIO()
        np.savez(buffer, logits=logits, targets=validation.targets, cases=validation.cases)
        Folder(job.output).write_bytes(VALIDATION_FILE, buffer.getvalue())
        facts = {"num_train_windows": len(examples), "num_validation_windows": len(validation)}
        progress = training.progress
        metrics = {
            **facts,
            "steps": progress.step,
            "num_steps": config.num_steps(len(examples)),
            "best_step": progress.best_step,
            "best_validation_macro_f1": progress.best_macro_f1,
        }
        describe = partial(
            tuned_card,
            config=config,
            train=examples,
            validation=validation,
            num_trained=sum(parameter.numel() for parameter in tuning.module.trained().values()),
            last_validation=_validation_at(progress.history, progress.best_step),
            best_step=progress.best_step,
        )
        _write_adapter(job, tuning, logits=logits, validation=validation, metrics=metrics, describe=describe)
    accelerator.wait_for_everyone()


def training_windows(
    job: FinetuneJob,
    examples: Examples,
    whole: list[NDArray[np.bool_]],
    *,
    store: FrameStore,
    tuning: Tuning,
    process: int,
    num_processes: int,
) -> TrainingWindows:
    """What a process shows of each step. whole: of every chunk, where all frames of a window are there."""
    config = job.training
    return TrainingWindows(
        examples,
        chunks=job.chunks,
        whole=whole,
        store=store,
        inputs=tuning.inputs,
        order=Order(num_windows=len(examples), batch_windows=config.batch_windows, seed=config.seed),
        augment=config.augment,
        sampling=job.sampling,
        max_jitter_seconds=config.max_jitter_seconds,
        micro_batch_windows=config.micro_batch_windows,
        process=process,
        num_processes=num_processes,
    )


def training_rate(job: FinetuneJob) -> float:
    """Windows per second that one process here learns from, by one micro-batch of blank windows; making real ones ready is
    not counted. Raises ConfigError, ModelError."""
    sampling, num_windows = job.sampling, job.training.micro_batch_windows
    tuning = tuned_model(
        job.start,
        execution=job.execution,
        adapter=job.adapter,
        head=job.head,
        label_set=job.label_set,
        sampling=sampling,
        log_odds=torch.zeros(len(job.label_set.names)),
        config=job.training,
    )
    size = (num_windows, sampling.frames_per_window, sampling.frame_height_px, sampling.frame_width_px, 3)
    device = next(tuning.module.parameters()).device
    inputs = placed(tuning.inputs(np.zeros(size, np.uint8)), device)
    tuning.module.train()
    seconds = 0.0
    for _ in range(2):  # the first one warms up
        started = time.perf_counter()
        with autocast(device, tuning.dtype):
            cost = tuning.module(inputs).float().sum()
        cost.backward()
        float(cost.detach())  # a device may still be at it
        seconds = time.perf_counter() - started
    return num_windows / seconds


def _trackers(job: FinetuneJob) -> list[Tracker]:
    settings = {
        "training": job.identity["training"],
        **{key: job.identity.get(key) for key in ("adapter", "timesformer")},
    }
    return opened_trackers(job.trackers, Path(job.output), name=job.name, settings=settings)


def _validation_at(history: list[dict[str, Any]], step: int) -> dict[str, Any]:
    return next(event for event in history if "validation_loss" in event and event["step"] == step)


def _write_adapter(
    job: FinetuneJob,
    tuning: Tuning,
    *,
    logits: NDArray[np.float32],
    validation: Examples,
    metrics: dict[str, Any],
    describe: Callable[[CheckpointMetadata], str],
) -> None:
    names = job.label_set.names
    start = tuning.temperatures.astype(np.float32)
    temperatures = steady_temperatures(logits, validation.targets, validation.cases, near=start)
    scores, near = ((1 / (1 + np.exp(-cuts / temperatures))).astype(np.float32) for cuts in (logits, tuning.cuts))
    thresholds = steady_thresholds(scores, validation.targets, validation.cases, near=near)
    base = tuning.base
    target = Path(job.output) / (ADAPTER_FOLDER if base is not None else MODEL_FOLDER)
    with tempfile.TemporaryDirectory(dir=job.output, prefix=".tmp-") as place:
        folder = Path(place) / target.name
        folder.mkdir()
        tuning.module.save(folder)
        for file, content in ((METRICS_FILE, metrics), (SPLIT_FILE, job.split)):
            (folder / file).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        metadata = CheckpointMetadata(
            name=job.name,
            base=Base(path=base.path, digest=base.base_digest) if base is not None else None,
            labels=trained_labels(job.label_set),
            sampling=job.sampling,
            prompt=tuning.inputs.question,
            frame_stacking=tuning.inputs.frame_stacking,
            pooling=job.head.pooling,
            hidden_units=job.head.hidden_units,
            # Not rounded: a score may be as near to 1 as its number format can tell, and so may a threshold.
            thresholds={name: float(value) for name, value in zip(names, thresholds, strict=True)},
            temperatures={name: float(value) for name, value in zip(names, temperatures, strict=True)},
            files=vouched_files(folder) if base is not None else {},
        )
        write_metadata(metadata, folder)
        (folder / CARD_FILE).write_text(describe(metadata), encoding="utf-8")
        make_private(folder)
        shutil.rmtree(target, ignore_errors=True)
        folder.rename(target)
