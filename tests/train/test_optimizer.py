"""AdamW over parts: each with its rate and its start, the same after a stop."""

import pytest
import torch

from nrray.train.optimizer import Optimizer
from nrray.train.schedule import schedule_of
from nrray.train.trainee.trainee import Trainee
from nrray.train.training_config import TrainingConfig, resolved_training


def config(**changes):
    asked = TrainingConfig(
        num_steps=8, learning_rate=1e-2, head_learning_rate=4e-2, warmup_fraction=0.0, weight_decay=0.5, **changes
    )
    return resolved_training(asked, num_windows=64, has_own_head=True, is_from_scratch=False)


CONFIG = config()


class TwoParts(Trainee):
    """An adapter and a head; the head's bias begins to learn after half of the training."""

    main_part, needs_base = "language_model", True

    def __init__(self):
        torch.nn.Module.__init__(self)
        self.adapter = torch.nn.Parameter(torch.ones(2, 2))
        self.head = torch.nn.Parameter(torch.ones(2))
        self.late = torch.nn.Parameter(torch.ones(2))

    def part_of(self, name):
        return "language_model" if name == "adapter" else "head"

    def start_of(self, name):
        return 0.5 if name == "late" else 0.0

    def save(self, folder): ...


def stepped(module, optimizer, steps):
    schedule = schedule_of(CONFIG, stuck_at=None)
    for step in steps:
        for number, parameter in enumerate(module.trained().values()):
            parameter.grad = torch.full_like(parameter, 1.0 + number + step)
        optimizer.step(step, schedule)


def test_each_part_learns_at_its_rate_and_only_matrices_decay():
    module = TwoParts()
    optimizer = Optimizer(module, CONFIG)
    stepped(module, optimizer, [0])
    # AdamW's first step is the learning rate, after weight_decay x learning rate of the value.
    torch.testing.assert_close(module.adapter.detach(), torch.full((2, 2), 1 - 1e-2 * 0.5 - 1e-2))
    torch.testing.assert_close(module.head.detach(), torch.full((2,), 1 - 4e-2))
    assert optimizer.main_rate == 1e-2
    assert all(parameter.grad is None for parameter in module.trained().values())


def test_rates_follow_the_schedule():
    module = TwoParts()
    optimizer = Optimizer(module, CONFIG)
    stepped(module, optimizer, range(8))
    assert optimizer.main_rate == pytest.approx(1e-2 / 2)  # the last of two steps of the decay


def test_a_part_stays_as_it_is_before_its_share_of_the_training():
    module = TwoParts()
    optimizer = Optimizer(module, CONFIG)
    stepped(module, optimizer, range(4))
    torch.testing.assert_close(module.late.detach(), torch.ones(2))
    stepped(module, optimizer, [4])
    assert (module.late < 1).all()


def test_the_head_learns_alone_at_first_where_that_is_asked_for():
    module = TwoParts()
    optimizer = Optimizer(module, config(head_first_steps=2))
    stepped(module, optimizer, range(2))
    torch.testing.assert_close(module.adapter.detach(), torch.ones(2, 2))
    assert (module.head < 1).all()
    stepped(module, optimizer, [2])
    assert (module.adapter < 1).all()


def test_restored_moments_go_on_as_if_there_had_been_no_stop():
    whole, first, second = TwoParts(), TwoParts(), TwoParts()
    stepped(whole, Optimizer(whole, CONFIG), range(6))
    stopped = Optimizer(first, CONFIG)
    stepped(first, stopped, range(3))
    second.load_state_dict(first.state_dict())
    resumed = Optimizer(second, CONFIG)
    for before, after in zip(first.trained().values(), second.trained().values(), strict=True):
        resumed.restore(after, stopped.moments(before), step=3)
    stepped(second, resumed, range(3, 6))
    for name, parameter in whole.trained().items():
        torch.testing.assert_close(second.trained()[name], parameter, rtol=0, atol=0)


def test_before_the_first_step_there_are_no_moments():
    module = TwoParts()
    optimizer = Optimizer(module, CONFIG)
    assert optimizer.moments(module.head) == {}
    optimizer.restore(module.head, {"exp_avg": None, "exp_avg_sq": None}, step=0)
    stepped(module, optimizer, [0])
    torch.testing.assert_close(module.head.detach(), torch.full((2,), 1 - 4e-2))
