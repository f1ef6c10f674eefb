"""The looks of video to a vision tower: how far windows are from those that a checkpoint was trained on.

A checkpoint that `nrray` trained carries the looks of its training windows in `looks.safetensors`; a published one has none.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from nrray.errors import ModelError
from nrray.models.families.family import LoadedCheckpoint

LOOKS_FILE = "looks.safetensors"
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


def tower_features(
    checkpoint: LoadedCheckpoint, windows: Iterable[dict[str, torch.Tensor]], *, tower: Any
) -> NDArray[np.float32]:
    """(N, 2C) means and standard deviations, over all places of a window, of the C channels that the module `tower` puts out;
    windows: the processor's tensors of one window each."""
    found = []
    with torch.inference_mode(), _watched(tower) as outputs:
        for inputs in windows:
            outputs.clear()
            checkpoint.family.hidden_states(checkpoint, {name: t.to(checkpoint.device) for name, t in inputs.items()})
            places = torch.cat([_places(output) for output in outputs]).float()
            found.append(torch.cat([places.mean(dim=0), places.std(dim=0)]).cpu().numpy())
    features: NDArray[np.float32] = np.stack(found)
    return features


@contextmanager
def _watched(module: Any) -> Iterator[list[torch.Tensor]]:
    """All that a module puts out within the block."""
    outputs: list[torch.Tensor] = []

    def watch(_module: Any, _inputs: Any, output: Any) -> None:
        outputs.append(output if isinstance(output, torch.Tensor) else output[0])

    hook = module.register_forward_hook(watch)
    try:
        yield outputs
    finally:
        hook.remove()


def _places(output: torch.Tensor) -> torch.Tensor:
    """(P, C) of a convolutional tower's (B, C, h, w), or of (..., C) tokens."""
    channels_last = output.movedim(1, -1) if output.ndim == 4 else output
    return channels_last.reshape(-1, channels_last.shape[-1])
