"""The looks of the windows that a model was fine-tuned on, to its tower as it is after the training: they tell later whether a
video is like these."""

import numpy as np
import torch
from numpy.typing import NDArray

from nrray.models.families.blocks import block_to_watch
from nrray.models.families.tower_moments import moments_of, outputs_of
from nrray.models.looks import Looks, fitted_looks
from nrray.train.batches import PlainWindows, on_device
from nrray.train.examples import Examples
from nrray.train.frame_store import FrameStore
from nrray.train.trainee.prepared import PreparedTrainee
from nrray.train.validation import autocast

MOST_TRAIN_WINDOWS, MOST_HELD_OUT_WINDOWS = 256, 128  # a mean and 48 directions need no more, and they take seconds


def trained_looks(
    trainee: PreparedTrainee,
    *,
    store: FrameStore,
    train: Examples,
    validation: Examples,
    device: torch.device,
    micro_batch_windows: int,
) -> Looks:
    """The looks of windows to train on, evenly picked; windows to validate on say how far others of their making are."""
    picked = _evenly(train, MOST_TRAIN_WINDOWS), _evenly(validation, MOST_HELD_OUT_WINDOWS)
    seen, held_out = (
        _features(trainee, part, store=store, device=device, micro_batch_windows=micro_batch_windows) for part in picked
    )
    return fitted_looks(seen, held_out=held_out, held_out_cases=picked[1].cases, cases=picked[0].cases)


def _features(
    trainee: PreparedTrainee, examples: Examples, *, store: FrameStore, device: torch.device, micro_batch_windows: int
) -> NDArray[np.float32]:
    """(W, D) features of examples in order."""
    windows = PlainWindows(
        examples,
        store=store,
        inputs=trainee.inputs,
        micro_batch_windows=micro_batch_windows,
        process=0,
        num_processes=1,
    )
    found, module = [], trainee.module
    module.eval()
    with torch.inference_mode(), autocast(device, trainee.dtype), outputs_of(block_to_watch(module.tower())) as outputs:
        for number in range(len(windows)):
            batch = windows[number]
            outputs.clear()
            module(on_device(batch.inputs, device))
            moments = moments_of(outputs, count=len(batch.indices))
            assert moments is not None  # the tower was run
            found.append(moments.features().cpu().numpy())
    features: NDArray[np.float32] = np.concatenate(found)
    return features


def _evenly(examples: Examples, most: int) -> Examples:
    """At most so many windows, evenly over all of them, and so over their cases."""
    rows = np.linspace(0, len(examples) - 1, min(most, len(examples))).astype(np.int64)
    return Examples(
        chunk=examples.chunk[rows],
        start=examples.start[rows],
        targets=examples.targets[rows],
        cases=examples.cases[rows],
    )
