"""The moving average of trained tensors, and the best of it."""

import pytest
import torch

from nrray.train.averaging import Averages


@pytest.fixture
def trained():
    return {"a": torch.nn.Parameter(torch.zeros(3)), "b": torch.nn.Parameter(torch.zeros(2, 2))}


def put(trained, value):
    with torch.no_grad():
        for parameter in trained.values():
            parameter.fill_(value)


def test_the_average_follows_with_its_decay_and_faster_at_first(trained):
    averages = Averages(trained, decay=0.9)
    put(trained, 1.0)
    averages.follow(0)  # decay 1 / 10
    torch.testing.assert_close(averages.average["a"], torch.full((3,), 0.9))
    put(trained, 2.0)
    averages.follow(1000)
    torch.testing.assert_close(averages.average["b"], torch.full((2, 2), 0.9 * 0.9 + 0.1 * 2.0))


def test_without_a_decay_the_average_is_the_weights(trained):
    averages = Averages(trained, decay=0.0)
    put(trained, 5.0)
    averages.follow(100)
    torch.testing.assert_close(averages.average["a"], trained["a"].detach())


def test_the_average_is_in_the_model_for_a_block_and_the_best_for_good(trained):
    averages = Averages(trained, decay=0.5)
    put(trained, 1.0)
    averages.follow(1000)
    averages.keep_as_best()
    put(trained, 4.0)
    averages.follow(1000)
    with averages.in_model():
        torch.testing.assert_close(trained["a"].detach(), torch.full((3,), 2.25))
    torch.testing.assert_close(trained["a"].detach(), torch.full((3,), 4.0))
    averages.put_best()
    torch.testing.assert_close(trained["b"].detach(), torch.full((2, 2), 0.5))
