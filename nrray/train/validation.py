"""Logits of a model on the validation part of the split, on which its weights are chosen."""

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray

from nrray.labels import LabelSet
from nrray.train.batches import PlainWindows, on_device
from nrray.train.thresholds import ValidationScores, validation_scores
from nrray.train.trainee.trainee import Trainee


class Validation:
    """Every process labels its share of the windows; all have the result."""

    def __init__(
        self,
        windows: PlainWindows,
        targets: NDArray[np.bool_],
        *,
        label_set: LabelSet,
        accelerator: Accelerator,
        dtype: torch.dtype,
    ) -> None:
        self._windows = windows
        self._targets = targets
        self._label_set = label_set
        self._accelerator = accelerator
        self._dtype = dtype

    def logits(self, module: Trainee) -> NDArray[np.float32]:
        """(W, A) logits with the module's present weights, the same in every process."""
        device = self._accelerator.device
        logits = torch.zeros(self._targets.shape, device=device)
        was_training = module.training
        module.eval()
        with torch.inference_mode(), autocast(device, self._dtype):
            for number in range(len(self._windows)):
                batch = self._windows[number]
                logits[torch.from_numpy(batch.indices).to(device)] = module(on_device(batch.inputs, device)).float()
        module.train(was_training)
        summed = self._accelerator.reduce(logits.clone(), "sum")
        found: NDArray[np.float32] = summed.cpu().numpy()
        return found

    def scores(self, logits: NDArray[np.float32]) -> ValidationScores:
        """Of (W, A) logits."""
        return validation_scores(logits, self._targets, self._label_set)


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """A block that computes in bfloat16 where that is the model's dtype."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype is torch.bfloat16)
