import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrray.intervals import (
    Interval,
    first_of_unions,
    gaps_within,
    shared_us,
    true_runs,
    union_of,
    union_of_intervals,
)

LENGTH = 40  # of the bitmaps, in microseconds

moments = st.integers(0, LENGTH)
pairs = st.lists(st.tuples(moments, moments).map(sorted), max_size=8)
gaps = st.integers(0, 6)


def columns(intervals):
    array = np.array(intervals, np.int64).reshape(-1, 2)
    return array[:, 0], array[:, 1]


def bitmap(intervals):
    """(LENGTH,) whether each microsecond is in some interval."""
    found = np.zeros(LENGTH, bool)
    for start, end in intervals:
        found[start:end] = True
    return found


def runs(found):
    """First and after-last index of each run of True, one element at a time."""
    listed = []
    for place, is_on in enumerate(found):
        if is_on and (place == 0 or not found[place - 1]):
            listed.append([place, place])
        if is_on:
            listed[-1][1] = place + 1
    return listed


def closed(found, max_gap):
    """`found` with every run of False of at most `max_gap` between two runs of True filled."""
    filled = found.copy()
    for (_, end), (start, _) in zip(runs(found), runs(found)[1:], strict=False):
        filled[end:start] |= start - end <= max_gap
    return filled


def disjoint(found):
    return [Interval(start_us=start, end_us=end) for start, end in runs(found)]


@given(pairs, gaps)
def test_a_union_is_the_bitmap_of_its_intervals_with_short_gaps_closed(intervals, max_gap_us):
    united = union_of(*columns(intervals), max_gap_us=max_gap_us)
    assert united.dtype == np.int64
    assert united.tolist() == runs(closed(bitmap(intervals), max_gap_us))


@given(pairs, gaps, st.randoms())
def test_the_order_of_intervals_does_not_matter(intervals, max_gap_us, random):
    shuffled = random.sample(intervals, len(intervals))
    united = union_of(*columns(shuffled), max_gap_us=max_gap_us)
    assert united.tolist() == union_of(*columns(intervals), max_gap_us=max_gap_us).tolist()


@given(pairs, gaps)
def test_the_union_of_a_few_intervals_is_that_of_arrays(intervals, max_gap_us):
    listed = [Interval(start_us=start, end_us=end) for start, end in intervals]
    united = union_of_intervals(iter(listed), max_gap_us=max_gap_us)
    assert [[item.start_us, item.end_us] for item in united] == (
        union_of(*columns(intervals), max_gap_us=max_gap_us).tolist()
    )


@given(pairs, gaps)
def test_unions_begin_at_the_rows_that_no_earlier_interval_reaches(intervals, max_gap_us):
    starts, ends = columns(sorted(pair for pair in intervals if pair[0] < pair[1]))
    first = first_of_unions(starts, ends, max_gap_us=max_gap_us)
    assert starts[first].tolist() == union_of(starts, ends, max_gap_us=max_gap_us)[:, 0].tolist()


def test_intervals_that_touch_are_one():
    assert union_of(*columns([(5, 8), (0, 5)])).tolist() == [[0, 8]]


def test_a_gap_of_exactly_max_gap_is_closed_and_one_microsecond_more_is_not():
    assert union_of(*columns([(0, 5), (8, 9)]), max_gap_us=3).tolist() == [[0, 9]]
    assert union_of(*columns([(0, 5), (9, 10)]), max_gap_us=3).tolist() == [[0, 5], [9, 10]]


def test_a_gap_of_minus_one_keeps_touching_intervals_apart_and_joins_overlapping_ones():
    assert union_of(*columns([(0, 5), (5, 8)]), max_gap_us=-1).tolist() == [[0, 5], [5, 8]]
    assert union_of(*columns([(0, 6), (5, 8)]), max_gap_us=-1).tolist() == [[0, 8]]


def test_an_empty_interval_bridges_no_gap():
    assert union_of(*columns([(0, 5), (7, 7), (9, 10)]), max_gap_us=2).tolist() == [[0, 5], [9, 10]]


@given(pairs, pairs)
def test_shared_time_is_that_of_the_bitmaps(left, right):
    ours, theirs = bitmap(left), bitmap(right)
    assert shared_us(disjoint(ours), disjoint(theirs)) == (ours & theirs).sum()


@given(pairs, moments, moments)
def test_gaps_are_the_time_of_the_whole_that_no_interval_covers(intervals, one, other):
    start, end = sorted((one, other))
    found = bitmap(intervals)
    gaps = gaps_within(Interval(start_us=start, end_us=end), disjoint(found))
    assert [[gap.start_us, gap.end_us] for gap in gaps] == runs(bitmap([(start, end)]) & ~found)


@given(st.lists(st.booleans(), max_size=20))
def test_runs_of_true_are_found(mask):
    assert true_runs(np.array(mask, bool)).tolist() == runs(mask)


def test_an_interval_that_ends_before_it_starts_is_refused():
    assert Interval(start_us=3, end_us=3).length_us == 0
    with pytest.raises(ValueError, match="cannot end at 2 us"):
        Interval(start_us=3, end_us=2)
