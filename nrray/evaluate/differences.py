"""Paired differences between labellings on the same cases, and the sentence that may be claimed of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Annotated

from pydantic import Field

from nrray.metrics.jackknife import Bounds, Jackknifed, Value, difference_of

ERROR_RATE = 0.05


@dataclass(frozen=True, kw_only=True)
class Difference:
    """`first` minus `second` on the same cases. The interval of `value` is adjusted (Bonferroni): all intervals of one comparison
    are made to hold together in 95 of 100 archives like this one; docs/results.md has how many did."""

    first: str
    second: str
    scope: Annotated[str, Field(alias="what")]  # an activity, or the macro average
    value: Value
    num_adjusted_for: int

    def of(self, name: str) -> Value:
        """Of a labelling, one of the two: it minus the other."""
        if name == self.first:
            return self.value
        estimate, low, high = (
            None if each is None else -each for each in (self.value.estimate, self.value.high, self.value.low)
        )
        return Value(estimate=estimate, low=low, high=high)


def differences_of(figures: Mapping[str, Mapping[str, Jackknifed]], bounds: Bounds) -> list[Difference]:
    """All pairs of labellings in every scope. figures: labelling to scope to its figure, the macro average first."""
    pairs = list(combinations(figures, 2))
    macro, *activities = next(iter(figures.values()))
    differences = []
    for scope in (macro, *activities):
        # The macro average is the question; activities are read together, so that all of them count.
        number = len(pairs) if scope == macro else len(pairs) * len(activities)
        for first, second in pairs:
            value = difference_of(
                figures[first][scope], figures[second][scope], bounds, coverage=1 - ERROR_RATE / number
            )
            differences.append(
                Difference(first=first, second=second, scope=scope, value=value, num_adjusted_for=number)
            )
    return differences


def claim(difference: Difference, *, metric: str, num_cases: int) -> str:
    """The sentence that may be claimed of two labellings, and no more."""
    first, second, value = difference.first, difference.second, difference.value
    metric = f"{metric} ({difference.scope})"
    adjusted = f"adjusted for {difference.num_adjusted_for} comparisons" if difference.num_adjusted_for > 1 else "95 %"
    if value.estimate is None:
        return f"{first} and {second} cannot be compared on {metric}: it is not defined on these {num_cases} cases."
    if value.low is None or value.high is None:
        return (
            f"Nothing may be claimed of {first} and {second}: {num_cases} cases give no interval of their difference in "
            f"{metric}, {value.estimate:+.3f}, because one case alone defines it or all cases say the same."
        )
    figures = f"{value.estimate:+.3f} ({value.low:+.3f} to {value.high:+.3f}, {adjusted}), {num_cases} cases"
    if value.low > 0 or value.high < 0:
        better, worse = (first, second) if value.low > 0 else (second, first)
        return f"{better} has a higher {metric} than {worse} on these cases: {first} - {second} = {figures}."
    return f"No difference in {metric} between {first} and {second} may be claimed: {first} - {second} = {figures}."
