"""Scores of a model on the validation part of the split, on which its weights are chosen."""

from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray

from nrray.labels import LabelSet
from nrray.metrics import macro_f1, window_agreement
from nrray.models.rules import apply_rules
from nrray.train.batches import PlainWindows, on_device
from nrray.train.thresholds import best_thresholds
from nrray.train.trainee.trainee import Trainee


@dataclass(frozen=True, kw_only=True)
class ValidationScores:
    """Cross-entropy, F1 of each activity at its best threshold under the label set's rules, and the mean of those that count;
    None where there is no positive window."""

    loss: float
    macro_f1: float | None
    f1: dict[str, float | None]


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

    def scores(self, module: Trainee) -> ValidationScores:
        """Scores with the module's present weights, the same in every process."""
        logits = self.logits(module)
        scores = torch.sigmoid(torch.from_numpy(logits)).numpy()
        thresholds = best_thresholds(scores, self._targets)
        claimed = apply_rules(scores >= thresholds, scores=scores, thresholds=thresholds, label_set=self._label_set)
        agreements = window_agreement(self._label_set.names, claimed, self._targets)
        wanted = torch.from_numpy(self._targets.astype(np.float32))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(torch.from_numpy(logits), wanted)
        counted = self._label_set.macro_activities
        return ValidationScores(
            loss=float(loss),
            macro_f1=macro_f1([agreement for agreement in agreements if agreement.activity in counted]),
            f1={agreement.activity: agreement.f1 for agreement in agreements},
        )


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """A block that computes in bfloat16 where that is the model's dtype."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype is torch.bfloat16)
