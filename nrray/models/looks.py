"""The looks of video to a vision tower: how far windows are from those that a checkpoint was trained on.

A checkpoint that `nrray` trained carries the looks of its training windows in `looks.safetensors`; a published one has none.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from nrray.errors import ModelError

LOOKS_FILE = "looks.safetensors"
FAR = 1.05
"""From how far on looks are new where a checkpoint does not say: medians over archives of renderers that took part in its making
are 0.99 to 1.01, of others 1.1 on."""
_DIRECTIONS = 48


@dataclass(frozen=True, kw_only=True)
class Looks:
    """A Gaussian over features of training windows (Lee et al. 2018): mean (D,), the K directions (K, D) in which they vary most,
    with standard deviations (K,), and one for all others. typical: median distance of windows of cases that it was not fitted
    to."""

    mean: NDArray[np.float32]
    directions: NDArray[np.float32]
    deviations: NDArray[np.float32]
    rest: float
    typical: float = 1.0

    def distances(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N,) Mahalanobis distances of (N, D) features, in units of the typical one: 1 is a window as those of its training."""
        centred = features - self.mean
        along = centred @ self.directions.T
        rest = (centred**2).sum(axis=1) - (along**2).sum(axis=1)
        squared = ((along / self.deviations) ** 2).sum(axis=1) + np.maximum(rest, 0) / self.rest**2
        found: NDArray[np.float32] = (np.sqrt(squared / len(self.mean)) / self.typical).astype(np.float32)
        return found


def fitted_looks(features: NDArray[np.float32], *, held_out: NDArray[np.float32]) -> Looks:
    """The looks of (N, D) features of training windows; held_out: (M, D) of windows of other cases, which say what distance is
    typical."""
    mean = features.mean(axis=0)
    _, values, directions = np.linalg.svd(features - mean, full_matrices=False)
    variances = values**2 / max(1, len(features) - 1)
    kept = max(1, min(_DIRECTIONS, len(features) // 4, len(variances) - 1))  # the rest must have windows to be told by
    rest = float(np.sqrt(max(variances[kept:].sum() / max(1, features.shape[1] - kept), 1e-12)))
    looks = Looks(
        mean=mean,
        directions=directions[:kept],
        deviations=np.maximum(np.sqrt(variances[:kept]), rest).astype(np.float32),
        rest=rest,
    )
    return Looks(**{**vars(looks), "typical": float(np.median(looks.distances(held_out)))})


def save_looks(looks: Looks, folder: Path) -> None:
    """Write `looks.safetensors` into a checkpoint's folder."""
    numbers = np.array([looks.rest, looks.typical], np.float32)
    arrays = {"mean": looks.mean, "directions": looks.directions, "deviations": looks.deviations, "numbers": numbers}
    save_file({name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}, folder / LOOKS_FILE)


def read_looks(folder: Path) -> Looks | None:
    """The looks that a checkpoint knows, None where it does not say. Raises ModelError."""
    file = folder / LOOKS_FILE
    if not file.is_file():
        return None
    try:
        arrays = load_file(file)
        rest, typical = arrays["numbers"].tolist()
        return Looks(
            mean=arrays["mean"],
            directions=arrays["directions"],
            deviations=arrays["deviations"],
            rest=rest,
            typical=typical,
        )
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise ModelError(f"{file} cannot be read: {error}. Copy the checkpoint again, or delete the file.") from None


def looks_distances(looks: Looks | None, features: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
    """(W,) distances of windows; None where the model knows no looks, or nothing was seen."""
    return None if looks is None or features is None else looks.distances(features)
