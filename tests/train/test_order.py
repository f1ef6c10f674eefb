"""Which windows a step shows: every one, rare activities often enough, cases mixed; the same whatever came before."""

import numpy as np
import pytest

from nrray.train.order import MAX_REPEATS, Order


def order_of(targets, cases=None, *, batch_windows=16, seed=0, share=0.2):
    cases = np.zeros(len(targets), np.int64) if cases is None else cases
    return Order(targets, cases, batch_windows=batch_windows, seed=seed, min_positive_share=share)


def windows(*shares, num_windows=1000, seed=0):
    """(W, A) independent activities of so many windows each."""
    random = np.random.default_rng(seed)
    targets = np.zeros((num_windows, len(shares)), bool)
    for column, share in enumerate(shares):
        targets[random.permutation(num_windows)[: round(share * num_windows)], column] = True
    return targets


def passes(order, count):
    """(count, pass_windows) the windows of each pass."""
    steps = -(-count * order.pass_windows // order.batch_windows)
    shown = np.concatenate([order.rows(step) for step in range(steps)])
    return shown[: count * order.pass_windows].reshape(count, -1)


def test_naturally_every_pass_shows_every_window_once():
    order = order_of(windows(0.3, num_windows=10), batch_windows=4, share=0.0)
    first, second = passes(order, 2).tolist()
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


@pytest.mark.parametrize("shares", [(0.9, 0.3, 0.05), (0.9, 0.01), (0.02, 0.03, 0.5), (0.3, 0.4)])
@pytest.mark.parametrize("share", [0.15, 0.25])
def test_every_pass_shows_all_windows_and_enough_of_each_activity(shares, share):
    targets = windows(*shares)
    order = order_of(targets, share=share)
    for shown in passes(order, 3):
        assert set(shown.tolist()) == set(range(len(targets)))
        found = targets[shown].mean(axis=0)
        np.testing.assert_allclose(found, order.positive_shares, atol=0.01)
        most = (
            MAX_REPEATS * min(shares) / (1 - min(shares) + MAX_REPEATS * min(shares))
        )  # if it alone is shown more often
        assert (found >= min(share, 0.97 * most) - 0.01).all()


def test_what_is_not_rare_is_shown_no_more_often():
    order = order_of(windows(0.3, 0.5), share=0.2)
    assert order.pass_windows == 1000
    np.testing.assert_allclose(order.positive_shares, [0.3, 0.5])


def test_activities_that_exclude_each_other_get_as_much_as_all_can():
    targets = np.zeros((1000, 8), bool)
    for column in range(8):
        targets[20 * column : 20 * column + 20, column] = True
    shares = order_of(targets, share=0.2).positive_shares
    assert (shares > 0.08).all()  # of eight, none can have a fifth
    assert shares.sum() < 1


def test_an_activity_that_no_window_shows_changes_nothing():
    with_it = np.concatenate([windows(0.05), np.zeros((1000, 1), bool)], axis=1)
    np.testing.assert_array_equal(order_of(with_it).rows(3), order_of(with_it[:, :1]).rows(3))


def test_no_case_fills_a_step_where_there_are_many():
    cases = np.repeat(np.arange(16), 60)
    order = order_of(windows(0.05, 0.3, num_windows=960), cases)
    for step in range(100):
        assert np.bincount(cases[order.rows(step)]).max() <= 4


def test_steps_depend_on_nothing_that_came_before():
    targets = windows(0.02, 0.4, num_windows=100)
    first, again = order_of(targets), order_of(targets)
    for step in range(30):
        first.rows(step)
    for step in (29, 3, 17):
        np.testing.assert_array_equal(first.rows(step), again.rows(step))
    assert first.rows(0).tolist() != order_of(targets, seed=1).rows(0).tolist()
