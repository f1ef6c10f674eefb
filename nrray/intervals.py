"""Half-open intervals of time in integer microseconds and their union. Knows no video, activity or source.

Rows with an interval (Segment, Extent, Case) hold `start_us` and `end_us` themselves; `Interval` stands where an interval
is all that there is. Intervals of many videos at once: nrray.metrics.spans.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
IntervalArray = NDArray[np.int64]
"""(N, 2) start and end."""


@dataclass(frozen=True, kw_only=True, order=True, slots=True)
class Interval:
    """[start_us, end_us). Raises ValueError where it would end before it starts; an empty one holds no time."""

    start_us: int
    end_us: int

    def __post_init__(self) -> None:
        if self.end_us < self.start_us:
            raise ValueError(f"an interval from {self.start_us} us cannot end at {self.end_us} us")

    @property
    def length_us(self) -> int:
        return self.end_us - self.start_us


def union_of(start_us: IntArray, end_us: IntArray, *, max_gap_us: int = 0) -> IntervalArray:
    """(K, 2) sorted intervals, more than `max_gap_us` apart, that cover (N,) intervals in any order and the gaps of at
    most `max_gap_us` between them. Intervals that touch are one, unless `max_gap_us` is -1; empty ones are left out."""
    order = np.argsort(start_us, kind="stable")
    order = order[end_us[order] > start_us[order]]
    starts, ends = start_us[order], end_us[order]
    first = first_of_unions(starts, ends, max_gap_us=max_gap_us)
    if len(first) == 0:
        return np.zeros((0, 2), np.int64)
    return np.stack([starts[first], np.maximum.reduceat(ends, first)], axis=1)


def union_of_intervals(intervals: Iterable[Interval], *, max_gap_us: int = 0) -> list[Interval]:
    """`union_of` for a few intervals."""
    pairs = np.array([(item.start_us, item.end_us) for item in intervals], np.int64).reshape(-1, 2)
    united = union_of(pairs[:, 0], pairs[:, 1], max_gap_us=max_gap_us)
    return [Interval(start_us=start, end_us=end) for start, end in united.tolist()]


def first_of_unions(start_us: IntArray, end_us: IntArray, *, max_gap_us: int = 0) -> IntArray:
    """(K,) the row at which each interval of the union begins, of (N,) intervals that are sorted by start."""
    reach = np.maximum.accumulate(end_us)
    begins = np.ones(len(start_us), bool)
    begins[1:] = start_us[1:] - reach[:-1] > max_gap_us
    return np.flatnonzero(begins)


def shared_us(left: Sequence[Interval], right: Sequence[Interval]) -> int:
    """Time that two sets share, each sorted and disjoint."""
    return sum(interval.length_us for interval in shared_intervals(left, right))


def shared_intervals(left: Sequence[Interval], right: Sequence[Interval]) -> list[Interval]:
    """The time that two sets share, each sorted and disjoint, as such a set."""
    found, i, j = [], 0, 0
    while i < len(left) and j < len(right):
        start_us, end_us = max(left[i].start_us, right[j].start_us), min(left[i].end_us, right[j].end_us)
        if end_us > start_us:
            found.append(Interval(start_us=start_us, end_us=end_us))
        if left[i].end_us < right[j].end_us:
            i += 1
        else:
            j += 1
    return found


def gaps_within(whole: Interval, intervals: Sequence[Interval]) -> list[Interval]:
    """The parts of `whole` that none of the sorted, disjoint `intervals` covers."""
    gaps, at_us = [], whole.start_us
    for item in intervals:
        if item.start_us >= whole.end_us:
            break
        if item.start_us > at_us:
            gaps.append(Interval(start_us=at_us, end_us=item.start_us))
        at_us = max(at_us, item.end_us)
    if at_us < whole.end_us:
        gaps.append(Interval(start_us=at_us, end_us=whole.end_us))
    return gaps


def true_runs(mask: NDArray[np.bool_]) -> IntArray:
    """(R, 2) first index and index after the last of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return edges.reshape(-1, 2)
