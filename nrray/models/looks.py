"""The looks of video to a vision tower: how far windows are from those that a checkpoint was trained on.

A checkpoint that `nrray` trained carries the looks of its training windows in `looks.safetensors`; a published one has none.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy.special import stdtrit

from nrray.errors import ModelError

LOOKS_FILE = "looks.safetensors"
_DIRECTIONS = 48
_FOLDS = 5
_SHARE_BELOW = 0.975
_LEAST_FAR = 1.1


@dataclass(frozen=True, kw_only=True)
class Looks:
    """A Gaussian over features of training windows (Lee et al. 2018): mean (D,), the K directions (K, D) in which they vary most,
    with standard deviations (K,), and one for all others. typical: median distance of cases that it was not fitted to. far: a
    video whose median window is so far or farther looks unlike those of the training, as one in forty of its own making does."""

    mean: NDArray[np.float32]
    directions: NDArray[np.float32]
    deviations: NDArray[np.float32]
    rest: float
    typical: float = 1.0
    far: float = _LEAST_FAR

    def distances(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N,) Mahalanobis distances of (N, D) features, in units of the typical one: 1 is a window as those of its training."""
        centred = features - self.mean
        along = centred @ self.directions.T
        rest = (centred**2).sum(axis=1) - (along**2).sum(axis=1)
        squared = ((along / self.deviations) ** 2).sum(axis=1) + np.maximum(rest, 0) / self.rest**2
        found: NDArray[np.float32] = (np.sqrt(squared / len(self.mean)) / self.typical).astype(np.float32)
        return found


def fitted_looks(
    features: NDArray[np.float32],
    *,
    held_out: NDArray[np.float32],
    held_out_cases: NDArray[np.int64],
    cases: NDArray[np.int64] | None = None,
) -> Looks:
    """The looks of (N, D) features of training windows. held_out: (M, D) of windows of other cases, (M,) indices of which are
    `held_out_cases`: they say what distance is typical, and from where on a video is far. cases: (N,) of the training windows;
    where they are given, they too say what is typical and far, each by looks that were fitted without it (needed where few are
    held out).
    """
    looks = _fitted(features)
    medians = _medians(looks.distances(held_out), held_out_cases)
    if cases is not None:
        medians += _cross_fitted_medians(features, cases)
    typical = float(np.median(medians))
    return replace(looks, typical=typical, far=max(_LEAST_FAR, _upper_bound(medians) / typical))


def _fitted(features: NDArray[np.float32]) -> Looks:
    mean = features.mean(axis=0)
    _, values, directions = np.linalg.svd(features - mean, full_matrices=False)
    variances = values**2 / max(1, len(features) - 1)
    kept = max(1, min(_DIRECTIONS, len(features) // 4, len(variances) - 1))  # the rest must have windows to be told by
    rest = float(np.sqrt(max(variances[kept:].sum() / max(1, features.shape[1] - kept), 1e-12)))
    return Looks(
        mean=mean,
        directions=directions[:kept],
        deviations=np.maximum(np.sqrt(variances[:kept]), rest).astype(np.float32),
        rest=rest,
    )


def _medians(distances: NDArray[np.float32], cases: NDArray[np.int64]) -> list[float]:
    """The median distance of each case."""
    return [float(np.median(distances[cases == case])) for case in np.unique(cases)]


def _cross_fitted_medians(features: NDArray[np.float32], cases: NDArray[np.int64]) -> list[float]:
    """Those of each case by looks that were fitted to other cases."""
    known = np.unique(cases)
    medians: list[float] = []
    for fold in range(min(_FOLDS, len(known))):
        is_out = np.isin(cases, known[fold::_FOLDS])
        if is_out.all() or (~is_out).sum() < 2:
            continue
        medians += _medians(_fitted(features[~is_out]).distances(features[is_out]), cases[is_out])
    return medians


def _upper_bound(medians: Sequence[float]) -> float:
    """What the next case of the same making is below, but for one in forty: the one-sided prediction bound of a normal variable
    (Student's t of the number of cases less one)."""
    count = len(medians)
    spread = float(np.std(medians, ddof=1)) if count > 1 else 0.0
    width = stdtrit(count - 1, _SHARE_BELOW) * np.sqrt(1 + 1 / count) if count > 1 else 0.0
    return float(np.mean(medians) + width * spread)


def save_looks(looks: Looks, folder: Path) -> None:
    """Write `looks.safetensors` into a checkpoint's folder."""
    numbers = np.array([looks.rest, looks.typical, looks.far], np.float32)
    arrays = {"mean": looks.mean, "directions": looks.directions, "deviations": looks.deviations, "numbers": numbers}
    save_file({name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}, folder / LOOKS_FILE)


def read_looks(folder: Path) -> Looks | None:
    """The looks that a checkpoint knows, None where it does not say. Raises ModelError."""
    file = folder / LOOKS_FILE
    if not file.is_file():
        return None
    try:
        arrays = load_file(file)
        rest, typical, far = arrays["numbers"].tolist()
        if not all(np.isfinite(array).all() for array in arrays.values()) or min(rest, typical, far) <= 0:
            raise ValueError("found numbers that are NaN, infinite or not above 0")
        return Looks(
            mean=arrays["mean"],
            directions=arrays["directions"],
            deviations=arrays["deviations"],
            rest=rest,
            typical=typical,
            far=far,
        )
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise ModelError(f"{file} cannot be read: {error}. Copy the checkpoint again, or delete the file.") from None
