"""Which windows each step of a training shows, and how often a rare activity is among them. Pure numpy."""

import numpy as np
from numpy.typing import NDArray

MAX_REPEATS = 25.0
"""A window comes at most so many times as often as another: ten positive ones of a thousand can be a fifth of what is shown."""


class Order:
    """Passes over all windows, each in an order of its own, cut into steps of `batch_windows`.

    A pass shows every window, those of a rare activity several times (repeat factors: Gupta et al. 2019), until each activity
    is in `min_positive_share` of what is shown; where not all can be, as they exclude each other or MAX_REPEATS forbids it,
    in the largest share that they can. The windows of a case are spread evenly over the pass. Depends on nothing but the
    arguments and the step.
    """

    def __init__(
        self,
        targets: NDArray[np.bool_],
        cases: NDArray[np.int64],
        *,
        batch_windows: int,
        seed: int,
        min_positive_share: float,
    ) -> None:
        """targets: (W, A); cases: (W,)."""
        self.batch_windows = batch_windows
        self.seed = seed
        patterns, kind, sizes = np.unique(targets, axis=0, return_inverse=True, return_counts=True)
        self._kind = kind.reshape(-1)  # (W,) which activities a window shows
        extra = _balanced(patterns, sizes, min_positive_share)[self._kind] - 1
        total = np.ceil(extra.sum() - 1e-9)
        self._extra = extra * (total / extra.sum() if total else 0.0)  # (W,) mean showings in a pass beyond the first
        self._cases = cases
        self._last: tuple[int, NDArray[np.int64]] | None = None
        self.pass_windows = len(targets) + int(total)
        shares: NDArray[np.float64] = (1 + self._extra) @ targets / self.pass_windows
        self.positive_shares = shares  # (A,) of the windows that are shown

    def rows(self, step: int) -> NDArray[np.int64]:
        """(batch_windows,) the windows of a step."""
        numbers = np.arange(step * self.batch_windows, (step + 1) * self.batch_windows)  # since the training began
        passes, places = np.divmod(numbers, self.pass_windows)
        return np.concatenate([self._pass(number)[places[passes == number]] for number in np.unique(passes).tolist()])

    def _pass(self, number: int) -> NDArray[np.int64]:
        if self._last is None or self._last[0] != number:
            self._last = number, self._shuffled(np.random.default_rng([self.seed, 0, number]))
        return self._last[1]

    def _shuffled(self, rng: np.random.Generator) -> NDArray[np.int64]:
        # Systematic sampling, in the order of kinds: each kind is shown as often as its share says, to one window.
        queue = np.lexsort((rng.random(len(self._kind)), self._kind))
        reached = np.floor(np.cumsum(self._extra[queue]).round(6) + rng.random())
        counts = np.empty(len(queue), np.int64)
        counts[queue] = 1 + np.diff(reached, prepend=0).astype(np.int64)
        shown = rng.permutation(np.repeat(np.arange(len(counts)), counts))
        shown = shown[np.argsort(self._cases[shown], kind="stable")]  # by case, in random order within one
        _, first, sizes = np.unique(self._cases[shown], return_index=True, return_counts=True)
        rank = np.arange(len(shown)) - np.repeat(first, sizes)
        places = (rank + rng.random(len(shown))) / np.repeat(sizes, sizes)  # one in each n-th part of the pass
        ordered: NDArray[np.int64] = shown[np.argsort(places)]
        return ordered


def _balanced(patterns: NDArray[np.bool_], sizes: NDArray[np.int64], share: float) -> NDArray[np.float64]:
    """(K,) repeat factors of windows of each kind, at least 1; patterns: (K, A) which activities a kind shows; sizes: (K,)."""
    for percent in range(100, 0, -2):
        factors = _factors(patterns, sizes, share * percent / 100)
        if factors is not None:
            return factors
    return np.ones(len(sizes))


def _factors(patterns: NDArray[np.bool_], sizes: NDArray[np.int64], share: float) -> NDArray[np.float64] | None:
    factors = np.ones(len(sizes))
    is_there = patterns.any(axis=0)
    for _ in range(200):
        weights = factors * sizes
        found = np.where(is_there, weights @ patterns / weights.sum(), 1.0)
        rarest = int(found.argmin()) if found.size else -1
        if rarest < 0 or found[rarest] >= share - 1e-6:
            scaled: NDArray[np.float64] = factors / factors.min()
            return scaled
        odds = found[rarest] / (1 - found[rarest])
        factors = np.where(patterns[:, rarest], factors * share / (1 - share) / odds, factors)
        if factors.max() > MAX_REPEATS * factors.min():
            return None
    return None
