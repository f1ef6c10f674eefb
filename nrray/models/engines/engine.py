"""The engine, which answers questions about windows in words: the seam between a prompted strategy and the runner of a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nrray.models.labeler import ModelInfo
from nrray.types import Frames

Choice = tuple[str, ...]
"""Spellings of one way to begin an answer."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Of W windows to one question: the texts, and (W, C) float32 probabilities that an answer's first token is a spelling of
    each choice; NaN for a choice of which no spelling is a token. distances: (W,) of looks, None where the
    model knows none, or the engine does not tell."""

    texts: list[str]
    probabilities: NDArray[np.float32]
    distances: NDArray[np.float32] | None = None


class Engine(Protocol):
    """A loaded model that answers in words. Not thread-safe; one per process."""

    @property
    def info(self) -> ModelInfo: ...

    def answers(self, frames: Frames, *, question: str, choices: Sequence[Choice], max_tokens: int) -> Answers:
        """Greedy answers about all windows of a unit, of at most `max_tokens` each.

        Raises LabelMemoryError where not even one window fits the device.
        """
        ...
