"""The moving average of the trained tensors, which is validated and kept, and the best of it so far."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Averages:
    """Two more copies of every trained tensor: `average` follows it, `best` is the average when validation was best.

    The update is torch's own. Its AveragedModel would copy the whole model to average a few MB of adapter and head.
    """

    def __init__(self, trained: Mapping[str, torch.nn.Parameter], *, decay: float) -> None:
        self._trained = trained
        self._decay = decay
        self.average = {name: parameter.detach().clone() for name, parameter in trained.items()}
        self.best = {name: tensor.clone() for name, tensor in self.average.items()}

    def follow(self, step: int) -> None:
        """After an optimizer step, the first of which is 0: early averages forget faster, or the start would stay in them."""
        updated = get_ema_multi_avg_fn(min(self._decay, (1 + step) / (10 + step)))
        updated(list(self.average.values()), list(self._trained.values()), step)

    def keep_as_best(self) -> None:
        """Take the average for the best weights so far."""
        for name, tensor in self.best.items():
            tensor.copy_(self.average[name])

    def put_best(self) -> None:
        """Put the best weights into the model, for good."""
        self._put(self.best)

    @contextmanager
    def in_model(self) -> Iterator[None]:
        """The average is in the model for the time of the block."""
        kept = {name: parameter.detach().clone() for name, parameter in self._trained.items()}
        self._put(self.average)
        try:
            yield
        finally:
            self._put(kept)

    def _put(self, tensors: Mapping[str, torch.Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self._trained.items():
                parameter.copy_(tensors[name])
