"""The moving average of what is trained, which is what is validated and kept, and the best of it so far."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch


class Averages:
    """Two more copies of every trained tensor: `average` follows it, `best` is the average when validation was best."""

    def __init__(self, trained: Mapping[str, torch.nn.Parameter], *, decay: float) -> None:
        self._trained = trained
        self._decay = decay
        self.average = {name: parameter.detach().clone() for name, parameter in trained.items()}
        self.best = {name: tensor.clone() for name, tensor in self.average.items()}

    def follow(self, step: int) -> None:
        """After an optimizer step, the first of which is 0: early averages forget faster, or the start would stay in them."""
        decay = min(self._decay, (1 + step) / (10 + step))
        now = [parameter.detach() for parameter in self._trained.values()]
        torch._foreach_lerp_(list(self.average.values()), now, 1 - decay)

    def keep_as_best(self) -> None:
        for name, tensor in self.best.items():
            tensor.copy_(self.average[name])

    def put_best(self) -> None:
        """The best weights into the model, for good."""
        self._put(self.best)

    @contextmanager
    def in_model(self) -> Iterator[None]:
        """The average in the model for the time of the block."""
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
