"""What a tower puts out, as one row of features a window: the input of looks (see `nrray.models.looks`)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Of N frames or windows, over their places in a tower's output: means and variances (N, C), float32. places: of each."""

    means: torch.Tensor
    variances: torch.Tensor
    places: int

    def features(self) -> torch.Tensor:
        """(N, 2C) means and standard deviations."""
        unbiased = self.variances * (self.places / max(1, self.places - 1))
        return torch.cat([self.means, unbiased.sqrt()], dim=1)

    def pooled(self, rows: torch.Tensor) -> "Moments":
        """Those of (W, F) `rows` together: of windows of F frames each."""
        means = self.means[rows]  # (W, F, C)
        pooled = means.mean(dim=1)
        between = ((means - pooled.unsqueeze(1)) ** 2).mean(dim=1)
        return Moments(
            means=pooled, variances=self.variances[rows].mean(dim=1) + between, places=self.places * rows.shape[1]
        )


def joined(parts: Sequence[Moments | None]) -> Moments | None:
    """The frames of all parts, in order; None where a part is."""
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts):
        return None
    return Moments(
        means=torch.cat([part.means for part in known]),
        variances=torch.cat([part.variances for part in known]),
        places=known[0].places,
    )


def moments_of(outputs: Sequence[torch.Tensor], *, count: int) -> Moments | None:
    """Of what a module put out, in one call or several, for `count` frames or windows of one size in order; None of nothing."""
    if not outputs:
        return None
    places = torch.cat([_places(output) for output in outputs])
    each = places.reshape(count, -1, places.shape[-1]).float()
    return Moments(means=each.mean(dim=1), variances=each.var(dim=1, correction=0), places=each.shape[1])


@contextmanager
def outputs_of(module: Any) -> Iterator[list[torch.Tensor]]:
    """All that a module puts out within the block, in order."""
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
