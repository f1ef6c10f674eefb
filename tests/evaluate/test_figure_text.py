from nrray.evaluate.figure_text import in_unit, interval, interval_in_unit, number, of_case
from nrray.evaluate.indicators import IndicatorUnit
from nrray.metrics.jackknife import Value


def value(estimate, low=None, high=None):
    return Value(estimate=estimate, low=low, high=high)


def test_a_figure_that_is_not_defined_is_a_dash():
    assert number(None) == interval(None) == interval(value(None)) == in_unit(None, IndicatorUnit.SECONDS) == "-"
    assert interval(value(0.5)) == "0.500 (-)"
    assert number(-0.0001) == "0.000"  # no minus before a zero


def test_an_interval_stands_behind_its_estimate():
    assert interval(value(0.5, 0.25, 0.75), 2, "-") == "0.50 (0.25-0.75)"


def test_an_indicator_has_its_unit_once():
    assert interval_in_unit(value(12.3, 10.0, 15.0), IndicatorUnit.SECONDS) == "12.3 s (10.0 to 15.0 s)"
    assert interval_in_unit(value(0.5, 0.25, 1.0), IndicatorUnit.YES) == "50% yes (25 to 100%)"
    assert interval_in_unit(value(3.0), IndicatorUnit.COUNT) == "3"


def test_one_case_says_yes_or_no_and_a_question_mark_where_the_value_is_not_known():
    assert [of_case(each, IndicatorUnit.YES) for each in (1.0, 0.0, None)] == ["yes", "no", "?"]
    assert of_case(0.25, IndicatorUnit.SHARE) == "25%"
