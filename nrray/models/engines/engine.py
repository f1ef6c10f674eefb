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
class Question:
    """One prompt about a window. name: in tables of answers; text: the user's turn, behind the frames; choices: ways to begin the
    answer whose probabilities are wanted; max_tokens: of the answer, 0 where only the choices' probabilities are wanted; schema:
    JSON schema that the answer keeps to, as JSON, None for an answer of any form; choice_names: of the choices, in the answer
    that is made of their probabilities where none is spoken."""

    name: str
    text: str
    choices: tuple[Choice, ...] = ()
    max_tokens: int = 8
    schema: str | None = None
    choice_names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How tokens are chosen: the likeliest at temperature 0, else drawn, the same for one seed and vote."""

    temperature: float = 0.0
    seed: int = 0
    vote: int = 0


@dataclass(frozen=True, kw_only=True)
class Replies:
    """Of W windows to Q questions. texts: W x Q; probabilities: of each question (W, C) float32, that an answer's first token is
    a spelling of each choice, NaN for a choice of which no spelling is a token; num_tokens: (W, Q) int32 that were made;
    seconds: (W, Q) float32, each its share of the batch that it was made in; distances: (W,) of looks, None where the model knows
    none, or the engine does not tell."""

    texts: list[list[str]]
    probabilities: list[NDArray[np.float32]]
    num_tokens: NDArray[np.int32]
    seconds: NDArray[np.float32]
    distances: NDArray[np.float32] | None = None


GREEDY = Decoding()


class Engine(Protocol):
    """A loaded model that answers in words. Not thread-safe; one per process."""

    @property
    def info(self) -> ModelInfo: ...

    def ask(self, frames: Frames, questions: Sequence[Question], *, decoding: Decoding = GREEDY) -> Replies:
        """Answers to all questions about all windows of a unit. Which other questions are asked changes no answer.

        Raises LabelMemoryError where not even one window fits the device.
        """
        ...
