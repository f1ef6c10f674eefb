"""The objective of a training: the cost of logits against multi-label targets, as classes that a config chooses by `kind`.

Configs are read long before a model is: torch comes in with the first cost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Discriminator, Field, Tag

from nrray.config import Section

if TYPE_CHECKING:
    import torch

_KIND = "binary_cross_entropy, focal, asymmetric: each with settings of its own"


class BinaryCrossEntropy(Section):
    """Each activity on its own; a rare one counts more, within bounds."""

    kind: Literal["binary_cross_entropy"] = Field("binary_cross_entropy", description=_KIND)
    max_positive_weight: float = Field(default=10.0, ge=1, description="bound of negatives / positives; 1: no weights")

    def cost(self, logits: torch.Tensor, targets: torch.Tensor, *, positive_weight: torch.Tensor) -> torch.Tensor:
        """(B, A) cost of (B, A) logits; positive_weight: (A,)."""
        import torch

        return torch.nn.functional.binary_cross_entropy_with_logits(
            logits, targets, pos_weight=positive_weight, reduction="none"
        )


class Focal(Section):
    """Cross-entropy times (1 - p)^gamma, p the probability of the target: easy windows count less (Lin et al. 2017).

    Equal to torchvision.ops.sigmoid_focal_loss (alpha=-1) times the positive weight, which for a gamma below 1 has no finite
    gradient from logits of 17 on: there float32 knows no 1 - p.
    """

    kind: Literal["focal"] = Field("focal", description=_KIND)
    gamma: float = Field(default=2.0, ge=0)
    max_positive_weight: float = Field(default=10.0, ge=1, description="bound of negatives / positives; 1: no weights")

    def cost(self, logits: torch.Tensor, targets: torch.Tensor, *, positive_weight: torch.Tensor) -> torch.Tensor:
        """(B, A) cost of (B, A) logits; positive_weight: (A,)."""
        import torch

        signed = torch.where(targets > 0.5, logits, -logits)
        log_p, log_rest = torch.nn.functional.logsigmoid(signed), torch.nn.functional.logsigmoid(-signed)
        cost = -log_p * torch.exp(self.gamma * log_rest)
        return cost * torch.where(targets > 0.5, positive_weight, 1.0)


class Asymmetric(Section):
    """As focal, but negatives are discounted more than positives, and those below `margin` not counted at all (Ridnik et
    al. 2021, whose values for many labels are the defaults)."""

    kind: Literal["asymmetric"] = Field("asymmetric", description=_KIND)
    gamma_positive: float = Field(default=0.0, ge=0)
    gamma_negative: float = Field(default=4.0, ge=0)
    margin: float = Field(default=0.05, ge=0, lt=1)
    max_positive_weight: float = Field(default=1.0, ge=1, description="bound of negatives / positives; 1: no weights")

    def cost(self, logits: torch.Tensor, targets: torch.Tensor, *, positive_weight: torch.Tensor) -> torch.Tensor:
        """(B, A) cost of (B, A) logits; positive_weight: (A,)."""
        import torch

        positive = -torch.nn.functional.logsigmoid(logits) * torch.sigmoid(-logits) ** self.gamma_positive
        shifted = (torch.sigmoid(logits) - self.margin).clamp_min(0)
        negative = -torch.log1p(-shifted.clamp_max(1 - 1e-6)) * shifted**self.gamma_negative
        return torch.where(targets > 0.5, positive_weight * positive, negative)


def _kind(value: Any) -> str | None:
    if isinstance(value, Section):
        return str(getattr(value, "kind", None))
    return value.get("kind", "binary_cross_entropy") if isinstance(value, dict) else None


Objective = Annotated[
    Annotated[BinaryCrossEntropy, Tag("binary_cross_entropy")]
    | Annotated[Focal, Tag("focal")]
    | Annotated[Asymmetric, Tag("asymmetric")],
    Discriminator(
        _kind,
        custom_error_type="objective_kind",
        custom_error_message="expected a kind of binary_cross_entropy, focal or asymmetric",
    ),
]


def positive_weights(shares: NDArray[np.float64], *, bound: float) -> NDArray[np.float32]:
    """(A,) negatives / positives, within [1 / bound, bound]; shares: (A,) of positives in the windows that are shown."""
    weights: NDArray[np.float32] = np.clip((1 - shares) / np.maximum(shares, 1e-9), 1 / bound, bound).astype(np.float32)
    return weights


def prior_log_odds(shares: NDArray[np.float64]) -> torch.Tensor:
    """(A,) log odds of shares of positives, within 0.01 and 0.99: where a head starts."""
    import torch

    prior = np.clip(shares, 0.01, 0.99)
    return torch.from_numpy(np.log(prior / (1 - prior)).astype(np.float32))
