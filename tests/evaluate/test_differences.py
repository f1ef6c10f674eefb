"""Paired differences: their adjustment and the sentences that may be claimed."""

import numpy as np
import pytest

from nrray.evaluate.differences import Difference, claim, differences_of
from nrray.metrics.jackknife import SHARE, Value, difference_of, jackknifed_sums

RANDOM = np.random.default_rng(0)
MACRO = "macro over suction, ventilation"


def made_figures(labellings=("a", "b", "c"), activities=("suction", "ventilation", "stimulation"), num_cases=12):
    """Figures whose cases are shares of their own, around 0.4, 0.5, 0.6."""
    return {
        name: {
            scope: jackknifed_sums(RANDOM.normal(0.4 + 0.1 * i, 0.05, num_cases)) / jackknifed_sums(np.ones(num_cases))
            for scope in (MACRO, *activities)
        }
        for i, name in enumerate(labellings)
    }


def test_every_pair_is_compared_in_every_scope():
    found = differences_of(made_figures(), SHARE)
    assert [(d.first, d.second) for d in found if d.scope == "suction"] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert found[0].value.estimate == pytest.approx(-0.1, abs=0.06)
    assert {d.scope for d in found} == {MACRO, "suction", "ventilation", "stimulation"}


def test_the_macro_average_is_adjusted_for_pairs_and_an_activity_for_pairs_times_activities():
    found = differences_of(made_figures(), SHARE)
    assert {d.num_adjusted_for for d in found if d.scope == MACRO} == {3}
    assert {d.num_adjusted_for for d in found if d.scope != MACRO} == {3 * 3}


@pytest.mark.parametrize(("scope", "number"), [(MACRO, 3), ("ventilation", 9)])
def test_an_interval_is_as_wide_as_its_adjustment_asks(scope, number):
    figures = made_figures()
    (found,) = (d for d in differences_of(figures, SHARE) if (d.first, d.second, d.scope) == ("a", "b", scope))
    assert found.value == difference_of(figures["a"][scope], figures["b"][scope], coverage=1 - 0.05 / number)


def claimed(estimate, low, high, number=3):
    difference = Difference(
        first="a",
        second="b",
        scope=MACRO,
        value=Value(estimate=estimate, low=low, high=high),
        num_adjusted_for=number,
    )
    return claim(difference, metric="time f1", num_cases=12)


def test_only_an_interval_without_zero_makes_one_labelling_better():
    over = f"time f1 ({MACRO})"
    assert claimed(0.2, 0.1, 0.3).startswith(
        f"a has a higher {over} than b on these cases: a - b = +0.200 (+0.100 to +0.300"
    )
    assert claimed(-0.2, -0.3, -0.1).startswith(f"b has a higher {over} than a")
    for low in (-0.1, 0.0):
        assert claimed(0.2, low, 0.3).startswith(f"No difference in {over} between a and b may be claimed")
    assert "adjusted for 3 comparisons), 12 cases" in claimed(0.2, 0.1, 0.3)
    assert "95 %), 12 cases" in claimed(0.2, 0.1, 0.3, number=1)


def test_without_an_interval_or_an_estimate_nothing_is_claimed():
    assert claimed(0.2, None, None).startswith("Nothing may be claimed of a and b: 12 cases give no interval")
    assert claimed(None, None, None).startswith("a and b cannot be compared on time f1")


def test_a_difference_is_turned_round_with_its_interval():
    found = Difference(
        first="a", second="b", scope=MACRO, value=Value(estimate=0.1, low=-0.2, high=0.3), num_adjusted_for=1
    )
    assert found.of("a") == found.value
    assert found.of("b") == Value(estimate=-0.1, low=-0.3, high=0.2)
    unknown = Difference(
        first="a", second="b", scope=MACRO, value=Value(estimate=0.1, low=None, high=None), num_adjusted_for=1
    )
    assert unknown.of("b") == Value(estimate=-0.1, low=None, high=None)
