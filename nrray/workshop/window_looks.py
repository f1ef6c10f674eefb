"""The looks of the windows that a model was trained on, from its tower as it is after the training."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nrray.models.looks import fitted_looks, save_looks
from nrray.workshop.recipe import tower_grid, window_images
from nrray.workshop.vlm import TrainableVlm
from nrray.workshop.window_store import WindowSet

_MOST_WINDOWS = 2000  # of each set: a mean and a covariance need no more


def save_window_looks(vlm: TrainableVlm, folder: Path, *, train: WindowSet, held_out: WindowSet) -> None:
    """Write the looks of training windows, and how far windows of other cases are from them, into a model's folder."""
    save_looks(fitted_looks(window_features(vlm, train), held_out=window_features(vlm, held_out)), folder)


def window_features(vlm: TrainableVlm, windows: WindowSet, *, batch_windows: int = 32) -> NDArray[np.float32]:
    """(N, 2C) features of windows, evenly picked, as `nrray.models.tower_features` makes them."""
    count = len(windows.window_frames)
    picked = np.linspace(0, count - 1, min(count, _MOST_WINDOWS)).astype(np.int64)
    found = []
    with torch.inference_mode():
        for rows in np.split(picked, range(batch_windows, len(picked), batch_windows)):
            images = window_images(vlm, windows, rows)
            grid = tower_grid(vlm, images).unflatten(0, images.shape[:2])  # (B, P, C, h, w)
            places = grid.movedim(2, -1).flatten(1, 3)  # (B, places, C)
            found.append(torch.cat([places.mean(dim=1), places.std(dim=1)], dim=1).cpu().numpy())
    features: NDArray[np.float32] = np.concatenate(found)
    return features
