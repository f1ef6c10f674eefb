"""Figures as text: values with intervals, indicators in their unit, a dash where a figure is not defined."""

from nrray.evaluate.indicators import IndicatorUnit
from nrray.metrics.jackknife import Value

_FORMATS = {
    IndicatorUnit.SECONDS: "{:.1f} s",
    IndicatorUnit.SHARE: "{:.0%}",
    IndicatorUnit.COUNT: "{:.0f}",
    IndicatorUnit.YES: "{:.0%} yes",
}


def number(value: float | None, digits: int = 3) -> str:
    """A figure, or a dash where it is not defined."""
    return "-" if value is None else f"{round(value, digits) + 0.0:.{digits}f}"  # + 0: no minus before a zero


def interval(value: Value | None, digits: int = 3, to: str = " to ") -> str:
    """An estimate with its interval, or a dash."""
    if value is None or value.estimate is None:
        return "-"
    if value.low is None or value.high is None:
        return f"{number(value.estimate, digits)} (-)"
    return f"{number(value.estimate, digits)} ({number(value.low, digits)}{to}{number(value.high, digits)})"


def in_unit(value: float | None, unit: IndicatorUnit) -> str:
    """An indicator's value as text."""
    return "-" if value is None else _FORMATS[unit].format(value)


def interval_in_unit(value: Value, unit: IndicatorUnit) -> str:
    """An indicator's value with its interval."""
    if value.low is None or value.high is None:
        return in_unit(value.estimate, unit)
    return f"{in_unit(value.estimate, unit)} ({range_in_unit(value.low, value.high, unit)})"


def range_in_unit(low: float | None, high: float | None, unit: IndicatorUnit) -> str:
    """Two values of an indicator, the unit once."""
    if low is None or high is None:
        return "-"
    plain = _FORMATS[IndicatorUnit.SHARE if unit is IndicatorUnit.YES else unit]
    return f"{plain.format(low).rstrip(' s%')} to {plain.format(high)}"


def of_case(value: float | None, unit: IndicatorUnit) -> str:
    """One case's indicator: yes or no in words, ? where the value is not known."""
    if value is None:
        return "?"
    return ("yes" if value else "no") if unit is IndicatorUnit.YES else in_unit(value, unit)
