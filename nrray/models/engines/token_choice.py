"""Which token comes next: the likeliest, or one that is drawn. What is drawn depends on seed, vote, question and window alone, so
that no other row of a batch changes it."""

import hashlib
import json
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from nrray.errors import ErrorKind, UnitError
from nrray.models.engines.engine import Decoding

TokenChoice = Callable[[torch.Tensor, int], torch.Tensor]
"""(R,) ids of the tokens that continue R rows, of their (R, V) logits and the number of tokens that were made before."""


def token_choice(decoding: Decoding, uniforms: NDArray[np.float64]) -> TokenChoice:
    """The choice for R rows of (R, T) uniform numbers in [0, 1). It raises UnitError where logits are no numbers."""
    numbers = torch.from_numpy(uniforms)

    def chosen(logits: torch.Tensor, step: int) -> torch.Tensor:
        check_numbers(logits)
        if decoding.temperature == 0:
            return logits.argmax(dim=-1)
        return drawn_tokens(logits, decoding.temperature, numbers[:, step].to(logits.device))

    return chosen


def check_numbers(logits: torch.Tensor) -> None:
    """Raise UnitError where one of (R, V) rows of logits has a NaN or an infinite maximum: a token would be chosen all the same,
    and read as an answer."""
    if not bool(torch.isfinite(logits.amax(dim=-1)).all()):
        raise UnitError(
            ErrorKind.NO_NUMBER,
            "the model's logits are NaN or infinite, which is no answer: try model.dtype=float32; where it stays so, the weights "
            "are damaged (nrray doctor --model tells)",
        )


def drawn_tokens(logits: torch.Tensor, temperature: float, uniforms: torch.Tensor) -> torch.Tensor:
    """(R,) tokens, each of its row of (R, V) logits, at which the summed probabilities pass (R,) uniform numbers in [0, 1):
    inversion sampling (Devroye 1986, chapter 3)."""
    summed = torch.softmax(logits.double() / temperature, dim=-1).cumsum(dim=-1)
    passed = torch.searchsorted(summed, (uniforms.double() * summed[:, -1]).unsqueeze(1), right=True)
    return passed.squeeze(1).clamp(max=logits.shape[1] - 1)


def uniform_numbers(
    decoding: Decoding, *, question: str, start_us: int, end_us: int, count: int
) -> NDArray[np.float64]:
    """(count,) in [0, 1) for the answer to a question about a window."""
    digest = _digest(decoding, question=question, start_us=start_us, end_us=end_us)
    return np.random.default_rng(np.frombuffer(digest, np.uint32)).random(count)


def answer_seed(decoding: Decoding, *, question: str, start_us: int, end_us: int) -> int:
    """A number in [0, 2 ** 31) for the answer to a question about a window, for whoever draws by a seed."""
    digest = _digest(decoding, question=question, start_us=start_us, end_us=end_us)
    return int.from_bytes(digest[:4], "little") % 2**31


def _digest(decoding: Decoding, *, question: str, start_us: int, end_us: int) -> bytes:
    named = json.dumps([decoding.seed, decoding.vote, question, start_us, end_us])
    return hashlib.sha256(named.encode()).digest()
