import math

import numpy as np
import pytest
import torch
import torchvision

from nrray.config import Section, load_config
from nrray.errors import ConfigError
from nrray.train.objective import Asymmetric, BinaryCrossEntropy, Focal, Objective, positive_weights, prior_log_odds

OBJECTIVES = [BinaryCrossEntropy(), Focal(), Focal(gamma=0.5), Asymmetric(), Asymmetric(gamma_positive=1.0)]
WEIGHTS = torch.tensor([1.0, 3.0])


class Config(Section):
    objective: Objective = BinaryCrossEntropy()


def by_hand(objective, logit, target, weight):
    """The formula of each paper, one number at a time."""
    p = 1 / (1 + math.exp(-logit))
    if isinstance(objective, BinaryCrossEntropy):
        return -weight * math.log(p) if target else -math.log(1 - p)
    if isinstance(objective, Focal):
        return -weight * (1 - p) ** objective.gamma * math.log(p) if target else -(p**objective.gamma) * math.log(1 - p)
    if target:
        return -weight * (1 - p) ** objective.gamma_positive * math.log(p)
    shifted = max(p - objective.margin, 0)
    return -(shifted**objective.gamma_negative) * math.log(1 - shifted)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_costs_are_those_of_the_papers(objective):
    logits = torch.linspace(-6, 6, 24).view(12, 2)
    targets = (torch.arange(24).view(12, 2) % 3 == 0).float()
    found = objective.cost(logits, targets, positive_weight=WEIGHTS)
    expected = [
        [by_hand(objective, *pair) for pair in zip(*rows, WEIGHTS.tolist(), strict=True)]
        for rows in zip(logits.tolist(), targets.tolist(), strict=True)
    ]
    np.testing.assert_allclose(found.numpy(), expected, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_no_logit_however_large_gives_a_cost_or_gradient_that_is_no_number(objective):
    logits = torch.tensor([[-200.0, 200.0], [200.0, -200.0], [30.0, -30.0]], requires_grad=True)
    cost = objective.cost(logits, torch.tensor([[1.0, 0.0]] * 3), positive_weight=WEIGHTS)
    cost.sum().backward()
    assert torch.isfinite(cost).all()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
def test_focal_is_that_of_torchvision(gamma):
    logits = torch.linspace(-12, 12, 480).view(-1, 2)
    targets = (torch.arange(480).view(-1, 2) % 3 == 0).float()
    expected = torchvision.ops.sigmoid_focal_loss(logits, targets, alpha=-1, gamma=gamma)
    expected = expected * torch.where(targets > 0.5, WEIGHTS, 1.0)
    found = Focal(gamma=gamma).cost(logits, targets, positive_weight=WEIGHTS)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=2e-6)


def test_focal_without_gamma_is_cross_entropy():
    logits, targets = torch.randn(8, 2), (torch.rand(8, 2) > 0.5).float()
    plain = BinaryCrossEntropy().cost(logits, targets, positive_weight=WEIGHTS)
    torch.testing.assert_close(Focal(gamma=0.0).cost(logits, targets, positive_weight=WEIGHTS), plain)


def test_a_config_chooses_by_kind():
    config = load_config(Config, None, ["objective.kind=focal", "objective.gamma=1.5"])
    assert config.objective == Focal(gamma=1.5)
    with pytest.raises(ConfigError, match="gamma"):
        load_config(Config, None, ["objective.kind=binary_cross_entropy", "objective.gamma=1.5"])


def test_positive_weights_are_bounded_on_both_sides():
    targets = np.zeros((100, 3), dtype=bool)
    targets[:99, 0] = targets[:50, 1] = targets[:1, 2] = True
    np.testing.assert_allclose(positive_weights(targets.mean(axis=0), bound=4), [0.25, 1.0, 4.0])


def test_a_head_starts_at_the_share_of_each_activity():
    targets = np.zeros((100, 3), dtype=bool)
    targets[:30, 0] = targets[:, 1] = True
    np.testing.assert_allclose(
        torch.sigmoid(prior_log_odds(targets.mean(axis=0))).numpy(), [0.3, 0.99, 0.01], rtol=1e-5
    )
