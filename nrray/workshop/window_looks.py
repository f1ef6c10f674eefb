"""The looks of the windows that a model was trained on, from its tower as it is after the training."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nrray.models.families.blocks import block_to_watch
from nrray.models.families.tower_moments import moments_of, outputs_of
from nrray.models.looks import fitted_looks, save_looks
from nrray.workshop.recipe import tower_grid, window_images
from nrray.workshop.vlm import TrainableVlm
from nrray.workshop.window_store import WindowSet

_MOST_WINDOWS = 2000  # of each set: a mean and a covariance need no more


def save_window_looks(vlm: TrainableVlm, folder: Path, *, train: WindowSet, held_out: WindowSet) -> None:
    """Write the looks of training windows, and how far windows of other cases are from them, into a model's folder."""
    picked = {name: _picked(windows) for name, windows in (("train", train), ("held_out", held_out))}
    features = {name: window_features(vlm, windows) for name, windows in picked.items()}
    looks = fitted_looks(features["train"], held_out=features["held_out"], held_out_cases=picked["held_out"].cases)
    save_looks(looks, folder)


def window_features(vlm: TrainableVlm, windows: WindowSet, *, batch_windows: int = 32) -> NDArray[np.float32]:
    """(N, 2C) features of windows, as `nrray.models.tower_features` makes them."""
    found = []
    with torch.inference_mode(), outputs_of(block_to_watch(vlm.model.get_encoder(modality="image"))) as outputs:
        for rows in np.split(np.arange(len(windows.cases)), range(batch_windows, len(windows.cases), batch_windows)):
            outputs.clear()
            tower_grid(vlm, window_images(vlm, windows, rows))
            moments = moments_of(outputs, count=len(rows))
            assert moments is not None  # the tower was run
            found.append(moments.features().cpu().numpy())
    features: NDArray[np.float32] = np.concatenate(found)
    return features


def _picked(windows: WindowSet) -> WindowSet:
    """At most _MOST_WINDOWS of them, evenly."""
    count = len(windows.cases)
    rows = np.linspace(0, count - 1, min(count, _MOST_WINDOWS)).astype(np.int64)
    return replace(
        windows,
        window_frames=windows.window_frames[rows],
        targets=windows.targets[rows],
        cases=windows.cases[rows],
        captions=windows.captions[rows],
    )
