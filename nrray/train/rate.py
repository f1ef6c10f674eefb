"""How fast this machine learns from windows, measured on blank ones: for those who plan a training."""

import time

import numpy as np
import torch

from nrray.train.batches import on_device
from nrray.train.job import FinetuneJob
from nrray.train.trainee.prepared import prepared_trainee
from nrray.train.validation import autocast


def training_rate(job: FinetuneJob) -> float:
    """Windows per second that one process here learns from, by one micro-batch; reading and augmenting frames is not counted.
    Raises ConfigError, ModelError."""
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
    size = (num_windows, sampling.frames_per_window, sampling.frame_height_px, sampling.frame_width_px, 3)
    device = next(trainee.module.parameters()).device
    inputs = on_device(trainee.inputs(np.zeros(size, np.uint8)), device)
    trainee.module.train()
    seconds = 0.0
    for _ in range(2):  # the first one warms up
        started = time.perf_counter()
        with autocast(device, trainee.dtype):
            cost = trainee.module(inputs).float().sum()
        cost.backward()
        float(cost.detach())  # a device may still be at it
        seconds = time.perf_counter() - started
    return num_windows / seconds
