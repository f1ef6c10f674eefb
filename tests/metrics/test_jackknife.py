"""Intervals over cases: what they are on examples worked by hand, and how often they hold a known truth."""

import numpy as np
import pytest
from scipy import stats

from nrray.metrics.counts import divided
from nrray.metrics.jackknife import (
    AMOUNT,
    SHARE,
    SIGNED_SHARE,
    UNBOUNDED,
    Value,
    difference_of,
    few_cases_notes,
    jackknifed_sums,
    jackknifed_totals,
    quantiles_of,
    value_of,
)


def mean_of(values):
    """The mean over cases of a value of each, None where a case has none."""
    known = np.array([value is not None for value in values], float)
    return divided(jackknifed_sums(np.array([value or 0.0 for value in values], float)), jackknifed_sums(known))


def test_the_interval_of_a_mean_is_students():
    values = [3.0, 5.0, 4.0, 8.0]
    found = value_of(mean_of(values), UNBOUNDED)
    expected = stats.t.interval(0.95, 3, loc=5.0, scale=stats.sem(values))
    assert (found.estimate, found.low, found.high) == pytest.approx((5.0, *expected))


def test_the_interval_of_a_share_is_students_on_the_logit_scale():
    found = value_of(mean_of([0.2, 0.6, 0.4, 0.4]))
    error = stats.sem([0.2, 0.6, 0.4, 0.4]) / (0.4 * 0.6)
    ends = np.log(0.4 / 0.6) + stats.t.ppf([0.025, 0.975], 3) * error
    assert (found.low, found.high) == pytest.approx(tuple(1 / (1 + np.exp(-ends))))


def test_the_interval_of_an_amount_is_students_on_the_logarithmic_scale():
    found = value_of(mean_of([1.0, 2.0, 6.0]), AMOUNT)
    ends = np.log(3.0) + stats.t.ppf([0.025, 0.975], 2) * stats.sem([1.0, 2.0, 6.0]) / 3
    assert (found.low, found.high) == pytest.approx(tuple(np.exp(ends)))


def test_a_paired_difference_is_as_worked_by_hand():
    """F1 of two sources in two cases: 4/5 and 2/3 of the first, 1/2 and 1/2 of the second, by counts."""
    first, second = np.array([[4.0, 5.0], [2.0, 3.0]]), np.array([[2.0, 4.0], [1.0, 2.0]])
    figures = [divided(*jackknifed_sums(each).T) for each in (first, second)]
    found = difference_of(*figures)
    # Pooled 6/8 - 3/6 = 1/4; without the first case 2/3 - 1/2 = 1/6, without the second 4/5 - 1/2 = 3/10.
    error = np.sqrt(1 / 2 * 2 * ((3 / 10 - 1 / 6) / 2) ** 2)
    reach = 12.7062 * error  # t of one degree of freedom
    assert found.estimate == pytest.approx(1 / 4)
    assert (found.low, found.high) == (pytest.approx(1 / 4 - reach, abs=1e-4), pytest.approx(1.0))
    opposite = difference_of(*figures[::-1])
    assert (opposite.low, opposite.high) == (-found.high, -found.low)


def test_a_difference_that_one_of_many_cases_carries_is_known_worse():
    even, carried = np.tile([0.1, 0.3], 8), np.array([0.2] * 15 + [0.2 + 0.4])
    even_out, carried_out = (
        difference_of(mean_of(values), mean_of(np.zeros(16)), UNBOUNDED) for values in (even, carried)
    )
    assert even_out.high - even_out.estimate == pytest.approx(stats.t.ppf(0.975, 15) * stats.sem(even))
    degrees = 2 / (2 / 15 + stats.kurtosis(carried, bias=False) / 16)
    assert degrees < 3
    assert carried_out.high - carried_out.estimate == pytest.approx(stats.t.ppf(0.975, degrees) * stats.sem(carried))


@pytest.mark.parametrize("bounds", [SHARE, SIGNED_SHARE])
def test_an_interval_keeps_its_bounds_and_holds_the_estimate(bounds):
    random = np.random.default_rng(0)
    for num_cases in (2, 3, 4, 8, 30):
        for _ in range(50):
            found = value_of(mean_of(random.uniform(*bounds, num_cases) ** 9), bounds)
            assert bounds[0] <= found.low <= found.estimate <= found.high <= bounds[1]
            paired = difference_of(mean_of(random.random(num_cases)), mean_of(random.random(num_cases)))
            assert -1 <= paired.low <= paired.estimate <= paired.high <= 1


def test_cases_that_all_say_the_same_are_not_certain():
    """Rule of three: 4 cases without an error leave 1 - 0.025^(1/4) = 60 % of cases that may err."""
    assert value_of(mean_of([1.0] * 4)) == Value(estimate=1.0, low=pytest.approx(0.025**0.25), high=1.0)
    assert value_of(mean_of([0.0] * 4)).high == pytest.approx(1 - 0.025**0.25)
    assert value_of(mean_of([1.0] * 40)).low == pytest.approx(0.025 ** (1 / 40))
    twins = difference_of(mean_of([0.5, 0.7, 0.9]), mean_of([0.5, 0.7, 0.9]))
    assert twins.estimate == 0
    assert twins.high == -twins.low == pytest.approx(1 - 0.025 ** (1 / 3))
    assert value_of(mean_of([2.0] * 4), UNBOUNDED) == Value(estimate=2.0, low=None, high=None)


def test_only_cases_that_define_a_figure_count():
    """Of 40 cases 3 show the activity, without an error: no more is known than of 3 cases."""
    shown = value_of(mean_of([1.0, 1.0, 1.0, *[None] * 37]))
    assert shown == value_of(mean_of([1.0] * 3))
    few = value_of(mean_of([0.2, 0.6, 0.4, *[None] * 37]))
    assert few.high - few.low > value_of(mean_of([0.2, 0.6, 0.4] * 3)).high - 0.4


@pytest.mark.parametrize("values", [[0.5], [0.5, None, None], [0.5, *[None] * 50]])
def test_what_one_case_alone_defines_has_no_interval(values):
    assert value_of(mean_of(values)) == Value(estimate=0.5, low=None, high=None)
    assert difference_of(mean_of(values), mean_of(np.zeros(len(values)))).low is None


def test_what_no_case_defines_has_no_estimate():
    nothing = Value(estimate=None, low=None, high=None)
    assert value_of(mean_of([None, None])) == nothing
    assert difference_of(mean_of([None, None]), mean_of([1.0, 0.5])) == nothing
    assert quantiles_of(np.zeros(0), np.zeros(0, int), [0.5], num_cases=3) == [nothing]


def test_a_total_is_over_as_many_cases_as_there_are():
    """The error of a total of C independent amounts is the root of C times their standard deviation."""
    amounts = np.array([3.0, 0.0, 4.0, 9.0])
    found = value_of(jackknifed_totals(amounts), UNBOUNDED)
    assert found.estimate == 16
    assert found.high - 16 == pytest.approx(stats.t.ppf(0.975, 3) * 2 * amounts.std(ddof=1))


def test_a_quantile_is_that_of_all_values_and_its_interval_lies_among_them():
    random = np.random.default_rng(0)
    case = np.repeat(np.arange(8), 20)
    values = random.normal(size=160) + random.normal(size=8)[case]
    found = quantiles_of(values, case, [0.25, 0.5], num_cases=8)
    for value, share in zip(found, (0.25, 0.5), strict=True):
        assert value.estimate == np.quantile(values, share, method="inverted_cdf")
        assert {value.low, value.high} <= set(values.tolist())
        assert value.low < value.estimate < value.high
    alone = quantiles_of(values, np.arange(160), [0.5], num_cases=160)[0]
    assert alone.high - alone.low < found[1].high - found[1].low


@pytest.mark.parametrize(("num_values", "has_interval"), [(5, False), (6, True)])
def test_a_median_of_five_values_cannot_have_an_interval(num_values, has_interval):
    """All five lie on one side of the median in 1 of 16 archives."""
    (found,) = quantiles_of(np.arange(float(num_values)), np.arange(num_values), [0.5], num_cases=num_values)
    assert (found.low is not None) == has_interval


def test_few_cases_are_said():
    assert few_cases_notes(20) == []
    assert few_cases_notes(19)[0].startswith("19 cases: ")
    assert "no intervals" in few_cases_notes(1)[0]


def drawn_figure(random, num_cases, num_sources=1):
    """(sources, cases, 2) hits and trials of cases that differ in length and difficulty; the share of hits of all is known."""
    trials = np.maximum(random.lognormal(4, 0.6, num_cases).round(), 5)
    hard = random.beta(6, 2, (num_sources, num_cases))
    return np.stack([random.binomial(trials.astype(int), hard), np.broadcast_to(trials, hard.shape)], axis=-1)


@pytest.mark.parametrize("num_cases", [4, 8, 16, 40])
def test_the_interval_holds_the_truth_in_about_95_of_100_archives(num_cases):
    random = np.random.default_rng(num_cases)
    holds = 0
    for _ in range(400):
        hits, trials = jackknifed_sums(drawn_figure(random, num_cases)[0]).T
        found = value_of(hits / trials)
        holds += found.low <= 0.75 <= found.high
    assert 364 <= holds <= 396  # 91 to 99 %


@pytest.mark.parametrize("num_cases", [4, 8, 16, 40])
def test_equally_good_sources_are_told_apart_in_about_5_of_100_archives(num_cases):
    random = np.random.default_rng(num_cases)
    claims = 0
    for _ in range(400):
        rows = [np.divide(*jackknifed_sums(source).T) for source in drawn_figure(random, num_cases, num_sources=2)]
        found = difference_of(*rows)
        claims += found.low > 0 or found.high < 0
    assert claims <= 30  # 7.5 %
