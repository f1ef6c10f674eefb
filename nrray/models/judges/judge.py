"""The judge, a language model that reads prompts without pictures: the seam between a strategy and its runner."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nrray.models.engines.engine import Choice


@dataclass(frozen=True, kw_only=True)
class JudgeQuestion:
    """One question about a caption. name: in tables of answers; template: the prompt, in which CAPTION stands for the quoted
    caption; caption: which of a window's captions it is about; choices: ways to begin the answer whose probabilities are
    wanted, each with the word that the answer then is; max_tokens: of a spoken answer, 0 where the likeliest first token
    decides."""

    name: str
    template: str
    caption: int = 0
    choices: tuple[tuple[str, Choice], ...] = ()
    max_tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class JudgeReplies:
    """To N prompts. texts: N; probabilities: (N, C) float32 that the first token is a spelling of each choice, NaN for a choice
    of which no spelling is a token; num_tokens: (N,) int32 that were made; seconds: (N,) float32, shares of their batches."""

    texts: list[str]
    probabilities: NDArray[np.float32]
    num_tokens: NDArray[np.int32]
    seconds: NDArray[np.float32]


class Judge(Protocol):
    """A loaded language model. Not thread-safe; one per process."""

    @property
    def device(self) -> str:
        """Where and in which number format it runs, such as `cpu/float32`."""
        ...

    def judged(self, question: JudgeQuestion, captions: Sequence[str]) -> JudgeReplies:
        """The answers about N captions, greedy: which others are asked with one changes no answer.

        Raises UnitError where a prompt is longer than the model reads, LabelMemoryError where one alone does not fit.
        """
        ...
