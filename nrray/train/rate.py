"""How fast this machine learns from windows, measured on blank ones: for those who plan a training."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from nrray.train.batches import augmented_window, on_device
from nrray.train.job import FinetuneJob
from nrray.train.loop import loader_processes
from nrray.train.trainee.prepared import PreparedTrainee, prepared_trainee
from nrray.train.training_config import ResolvedTraining
from nrray.train.validation import autocast


@dataclass(frozen=True, kw_only=True)
class TrainingRate:
    """Windows per second of one process here. learned: augmented and learned from; validated: scored alone. Reading frames is
    not counted."""

    learned: float
    validated: float

    def seconds(self, training: ResolvedTraining, *, first_step: int, num_validation_windows: int) -> float:
        """The time of one process from `first_step` to the last one, with a validation before the first of all, every so many,
        and at the end."""
        every = training.validate_every_steps
        num_validations = (first_step == 0) + math.ceil(training.num_steps / every) - first_step // every
        num_windows = (training.num_steps - first_step) * training.batch_windows
        return num_windows / self.learned + num_validations * num_validation_windows / self.validated


def training_rate(job: FinetuneJob) -> TrainingRate:
    """The rate of this job's model, by one micro-batch. Raises ConfigError, ModelError."""
    sampling, num_windows = job.sampling, job.training.micro_batch_windows
    trainee = prepared_trainee(
        job.start,
        execution=job.execution,
        parts=job.parts,
        adapter=job.adapter,
        head=job.head,
        label_set=job.label_set,
        sampling=sampling,
        log_odds=torch.zeros(len(job.label_set.names)),
        config=job.training,
    )
    windows = np.zeros(
        (num_windows, sampling.frames_per_window, sampling.frame_height_px, sampling.frame_width_px, 3), np.uint8
    )
    augment = job.training.augment.times(job.training.augment_strength)
    channels = torch.from_numpy(trainee.inputs.frame_stacking.channels)

    def prepare() -> None:
        random = np.random.default_rng(0)
        augmented = [augmented_window(window, augment, random, channels=channels) for window in windows]
        trainee.inputs(np.stack(augmented))

    preparing = _seconds(prepare)
    setting = job.training.loader_processes
    loaders = setting if setting != "auto" else loader_processes(_device(trainee))
    inputs = on_device(trainee.inputs(windows), _device(trainee))
    trainee.module.train()
    learning = _seconds(lambda: _learn(trainee, inputs))
    trainee.module.eval()
    scoring = _seconds(lambda: _score(trainee, inputs))
    # Processes that prepare batches do so while the model learns.
    learned = max(learning, preparing / loaders) if loaders else learning + preparing
    return TrainingRate(learned=num_windows / learned, validated=num_windows / scoring)


def _learn(trainee: PreparedTrainee, inputs: dict[str, torch.Tensor]) -> None:
    with autocast(_device(trainee), trainee.dtype):
        cost = trainee.module(inputs).float().sum()
    cost.backward()
    float(cost.detach())  # a device may still be at it


def _score(trainee: PreparedTrainee, inputs: dict[str, torch.Tensor]) -> None:
    with torch.inference_mode(), autocast(_device(trainee), trainee.dtype):
        float(trainee.module(inputs).float().sum())


def _device(trainee: PreparedTrainee) -> torch.device:
    device: torch.device = next(trainee.module.parameters()).device
    return device


def _seconds(work: Callable[[], None]) -> float:
    """The time that `work` takes once it is warm: the shorter one of two, as other programs may take their turn."""
    work()
    times = []
    for _ in range(2):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)
