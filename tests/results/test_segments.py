import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrray.results.segments import SegmentRule, WindowVotes, merge_votes
from nrray.types import Origin, Segment

MS = 1000  # microseconds


@st.composite
def votes_in_ms(draw):
    """Windows of up to 3 s with borders on whole milliseconds (steps of 50 ms), some time under none."""
    count = draw(st.integers(0, 12))
    starts = [draw(st.integers(0, 100)) * 50 for _ in range(count)]
    lengths = [draw(st.integers(1, 60)) * 50 for _ in range(count)]
    present = [draw(st.booleans()) for _ in range(count)]
    scores = [draw(st.one_of(st.just(math.nan), st.floats(0, 1, width=32))) for _ in range(count)]
    return starts, lengths, present, scores


rules = st.builds(
    SegmentRule,
    vote_share=st.sampled_from([0.01, 1 / 3, 0.5, 2 / 3, 1.0]),
    merge_gap_seconds=st.sampled_from([0.0, 0.05, 0.5, 1.0, 100.0]),
    min_length_seconds=st.sampled_from([0.0, 0.05, 0.1, 1.0, 2.0]),
)


def window_votes(starts, lengths, present, scores):
    start_us = np.array(starts, np.int64) * MS
    return WindowVotes(
        video_id="0123",
        path="case/v.mp4",
        activity="suction",
        source="model:1",
        start_us=start_us,
        end_us=start_us + np.array(lengths, np.int64) * MS,
        present=np.array(present, bool),
        score=np.array(scores, np.float32),
    )


def brute_force_segments(starts, lengths, present, scores, rule):
    """The rule of nrray.results.segments' docstring, millisecond by millisecond."""
    end = max((start + length for start, length in zip(starts, lengths, strict=True)), default=0)
    over = [
        [
            index
            for index, (start, length) in enumerate(zip(starts, lengths, strict=True))
            if start <= ms < start + length
        ]
        for ms in range(end)
    ]
    is_on = [
        bool(here) and sum(present[index] for index in here) >= rule.vote_share * len(here) - 1e-9 for here in over
    ]
    runs = []
    for ms in range(end):
        if is_on[ms] and (ms == 0 or not is_on[ms - 1]):
            runs.append([ms, ms])
        if is_on[ms]:
            runs[-1][1] = ms + 1
    merged = []
    for run in runs:
        if merged:
            gap = range(merged[-1][1], run[0])
            if len(gap) <= rule.merge_gap_seconds * 1000 and all(over[ms] for ms in gap):
                merged[-1][1] = run[1]
                continue
        merged.append(run)
    found = []
    for first, last in merged:
        if last - first < rule.min_length_seconds * 1000:
            continue
        known = [scores[index] for ms in range(first, last) for index in over[ms] if not math.isnan(scores[index])]
        found.append((first * MS, last * MS, sum(known) / len(known) if known else None))
    return found


@given(votes_in_ms(), rules)
def test_merging_votes_is_the_stated_rule_millisecond_by_millisecond(votes, rule):
    found = [(item.start_us, item.end_us, item.score) for item in merge_votes(window_votes(*votes), rule)]
    expected = brute_force_segments(*votes, rule)
    assert [item[:2] for item in found] == [item[:2] for item in expected]
    assert [item[2] for item in found] == pytest.approx([item[2] for item in expected], abs=1e-5)


def test_a_segment_is_its_model_s_and_says_of_which_video_and_activity():
    (segment,) = merge_votes(window_votes([0], [1000], [True], [0.25]), SegmentRule())
    assert segment == Segment(
        video_id="0123",
        path="case/v.mp4",
        activity="suction",
        start_us=0,
        end_us=1000 * MS,
        score=0.25,
        source="model:1",
        origin=Origin.MODEL,
    )


@given(votes_in_ms(), rules)
def test_segments_are_apart_long_enough_and_within_examined_time(votes, rule):
    windows = window_votes(*votes)
    segments = merge_votes(windows, rule)
    for before, after in pairwise(segments):
        assert before.end_us < after.start_us
    for span in segments:
        assert span.end_us - span.start_us >= rule.min_length_seconds * 1e6
        seen = np.zeros((span.end_us - span.start_us) // MS, bool)
        for start, end in zip(windows.start_us, windows.end_us, strict=True):
            low, high = max(start, span.start_us), min(end, span.end_us)
            seen[max(low - span.start_us, 0) // MS : max(high - span.start_us, 0) // MS] = True
        assert seen.all(), "every instant of a segment was examined"


@given(votes_in_ms(), rules, st.randoms())
def test_the_order_of_windows_does_not_matter(votes, rule, random):
    order = list(range(len(votes[0])))
    random.shuffle(order)
    shuffled = [[column[index] for index in order] for column in votes]
    there = [(span.start_us, span.end_us) for span in merge_votes(window_votes(*votes), rule)]
    assert [(span.start_us, span.end_us) for span in merge_votes(window_votes(*shuffled), rule)] == there


def merged(*windows, **rule):
    starts, lengths, present = zip(*windows, strict=True)
    votes = window_votes(starts, lengths, present, [0.5] * len(starts))
    return [(span.start_us // MS, span.end_us // MS) for span in merge_votes(votes, SegmentRule(**rule))]


def test_gaps_up_to_merge_gap_are_closed():
    windows = ((0, 1000, True), (1000, 1000, False), (2000, 1000, True))
    assert merged(*windows, merge_gap_seconds=1.0) == [(0, 3000)]
    assert merged(*windows, merge_gap_seconds=0.9) == [(0, 1000), (2000, 3000)]


def test_a_gap_that_nobody_examined_is_never_closed():
    windows = ((0, 1000, True), (1001, 1000, True))
    assert merged(*windows, merge_gap_seconds=100.0) == [(0, 1000), (1001, 2001)]


def test_a_gap_that_was_examined_in_part_is_never_closed():
    windows = ((0, 1000, True), (1000, 1000, False), (2001, 1000, True))
    assert merged(*windows, merge_gap_seconds=100.0) == [(0, 1000), (2001, 3001)]


def test_gaps_are_closed_before_short_segments_are_dropped():
    windows = ((0, 600, True), (600, 100, False), (700, 600, True))
    assert merged(*windows, merge_gap_seconds=0.1, min_length_seconds=1.0) == [(0, 1300)]


def test_no_window_no_segment():
    assert merge_votes(window_votes([], [], [], []), SegmentRule()) == []
