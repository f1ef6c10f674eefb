import math
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrray.plan import Packing, plan_units
from nrray.sampling import Sampling
from nrray.timeline import (
    COVERAGE_SCHEMA,
    LABEL_SCHEMA,
    SEGMENT_SCHEMA,
    SegmentRule,
    WindowVotes,
    coverage_rows,
    label_rows,
    merge_votes,
    segment_rows,
    unreadable_rows,
)
from nrray.types import STATE_INDEX, LabelState
from tests.made_tables import ACTIVITIES, bad_video, manifest, unit_results, video

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
        start_us=start_us,
        end_us=start_us + np.array(lengths, np.int64) * MS,
        present=np.array(present, bool),
        score=np.array(scores, np.float32),
    )


def brute_force_spans(starts, lengths, present, scores, rule):
    """The rule of nrray.timeline's docstring, millisecond by millisecond."""
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
        found.append((first * MS, last * MS, sum(known) / len(known) if known else math.nan))
    return found


@given(votes_in_ms(), rules)
def test_merging_votes_is_the_stated_rule_millisecond_by_millisecond(votes, rule):
    found = [(span.start_us, span.end_us, span.score) for span in merge_votes(window_votes(*votes), rule)]
    expected = brute_force_spans(*votes, rule)
    assert [span[:2] for span in found] == [span[:2] for span in expected]
    assert [span[2] for span in found] == pytest.approx([span[2] for span in expected], abs=1e-5, nan_ok=True)


@given(votes_in_ms(), rules)
def test_segments_are_apart_long_enough_and_within_looked_at_time(votes, rule):
    windows = window_votes(*votes)
    spans = merge_votes(windows, rule)
    for before, after in pairwise(spans):
        assert before.end_us < after.start_us
    for span in spans:
        assert span.end_us - span.start_us >= rule.min_length_seconds * 1e6
        seen = np.zeros((span.end_us - span.start_us) // MS, bool)
        for start, end in zip(windows.start_us, windows.end_us, strict=True):
            low, high = max(start, span.start_us), min(end, span.end_us)
            seen[max(low - span.start_us, 0) // MS : max(high - span.start_us, 0) // MS] = True
        assert seen.all(), "no instant of a segment was not looked at"


@given(votes_in_ms(), rules, st.randoms())
def test_the_order_of_windows_does_not_matter(votes, rule, random):
    order = list(range(len(votes[0])))
    random.shuffle(order)
    shuffled = [[column[index] for index in order] for column in votes]
    there = [(span.start_us, span.end_us) for span in merge_votes(window_votes(*votes), rule)]
    assert [(span.start_us, span.end_us) for span in merge_votes(window_votes(*shuffled), rule)] == there


def spans_of(*windows, **rule):
    starts, lengths, present = zip(*windows, strict=True)
    votes = window_votes(starts, lengths, present, [0.5] * len(starts))
    return [(span.start_us // MS, span.end_us // MS) for span in merge_votes(votes, SegmentRule(**rule))]


def test_gaps_up_to_merge_gap_are_closed():
    windows = ((0, 1000, True), (1000, 1000, False), (2000, 1000, True))
    assert spans_of(*windows, merge_gap_seconds=1.0) == [(0, 3000)]
    assert spans_of(*windows, merge_gap_seconds=0.9) == [(0, 1000), (2000, 3000)]


def test_a_gap_that_nobody_looked_at_is_never_closed():
    windows = ((0, 1000, True), (1001, 1000, True))
    assert spans_of(*windows, merge_gap_seconds=100.0) == [(0, 1000), (1001, 2001)]


def test_gaps_are_closed_before_short_segments_are_dropped():
    windows = ((0, 600, True), (600, 100, False), (700, 600, True))
    assert spans_of(*windows, merge_gap_seconds=0.1, min_length_seconds=1.0) == [(0, 1300)]


def test_no_window_no_segment():
    assert merge_votes(window_votes([], [], [], []), SegmentRule()) == []


def made(*, activities=ACTIVITIES, seconds=(10.0, 7.0), start_us=0, **outcome):
    videos = [video(f"v{index}.mp4", seconds=value, start_us=start_us) for index, value in enumerate(seconds)]
    units = plan_units(manifest(*videos), Sampling(), Packing(max_unit_windows=3)).units
    results = unit_results(units, videos, Sampling(), activities=activities, **outcome)
    return results, {item.video_id: item.path for item in videos}


def labels_of(results, paths, restated=None, activities=ACTIVITIES):
    return label_rows(results, paths=paths, activities=activities, source="model:x", restated=restated)


def test_labels_have_one_row_per_labelled_window_and_activity():
    results, paths = made()
    labels = labels_of(results, paths)
    assert labels.schema == LABEL_SCHEMA
    rows = labels.to_pylist()
    keys = {(row["video_id"], row["start_us"], row["activity"]) for row in rows}
    assert len(keys) == len(rows) == (8 + 5) * len(ACTIVITIES)
    assert {row["path"] for row in rows} == {"v0.mp4", "v1.mp4"}


def test_scores_stay_with_their_activity():
    results, paths = made(activities=("a", "b"), seconds=(5.0,))
    column = pa.array([[0.1, 0.9] * count for count in results["num_windows"].to_pylist()], pa.list_(pa.float32()))
    results = results.set_column(results.column_names.index("scores"), "scores", column)
    labels = labels_of(results, paths, activities=("a", "b")).to_pylist()
    assert {(row["activity"], round(row["score"], 3)) for row in labels} == {("a", 0.1), ("b", 0.9)}


def test_answers_stay_with_their_window():
    results, paths = made(activities=("a", "b"), seconds=(5.0, 4.0))
    answers = [
        [f"{unit}.{index}" for index in range(2 * count)] if position % 2 else None
        for position, (unit, count) in enumerate(
            zip(results["unit_id"].to_pylist(), results["num_windows"].to_pylist(), strict=True)
        )
    ]
    results = results.set_column(
        results.column_names.index("answers"), "answers", pa.array(answers, pa.list_(pa.string()))
    )
    found = labels_of(results, paths, activities=("a", "b"))["answer"].to_pylist()
    expected = [
        answer
        for row, count in zip(answers, results["num_windows"].to_pylist(), strict=True)
        for answer in (row or [None] * 2 * count)
    ]
    assert found == expected


def test_windows_without_labels_have_no_label_row():
    results, paths = made(status="failed")
    assert labels_of(results, paths).num_rows == 0


def test_states_may_be_decided_anew_from_scores():
    results, paths = made()
    suction = list(ACTIVITIES).index("suction")

    def restated(scores, states):
        assert scores.shape == states.shape == (8 + 5, len(ACTIVITIES))
        decided = states.copy()
        decided[:, suction] = np.where(
            scores[:, suction] >= 0.25, STATE_INDEX[LabelState.PRESENT], STATE_INDEX[LabelState.ABSENT]
        )
        return decided

    for row in labels_of(results, paths, restated).to_pylist():
        limit = 0.25 if row["activity"] == "suction" else 0.5
        assert row["state"] == ("present" if row["score"] >= limit else "absent")


@pytest.mark.parametrize(("status", "expected"), [("ok", "ok"), ("failed", "failed"), ("quarantined", "quarantined")])
def test_coverage_says_what_became_of_every_window(status, expected):
    results, paths = made(status=status)
    coverage = coverage_rows(results, paths=paths, source="model:x")
    assert coverage.schema == COVERAGE_SCHEMA
    rows = coverage.to_pylist()
    assert len(rows) == 8 + 5
    assert {row["status"] for row in rows} == {expected}
    assert {row["error_kind"] for row in rows} == {None if status == "ok" else "decode_failed"}
    assert {row["reason"] for row in rows} == {None if status == "ok" else "it broke"}


def test_an_unlabelled_window_of_a_good_unit_is_failed_with_the_units_shortfall():
    results, paths = made(labelled=False)
    results = results.set_column(
        results.column_names.index("shortfall"), "shortfall", pa.array(["ended early"] * results.num_rows)
    )
    rows = coverage_rows(results, paths=paths, source="model:x").to_pylist()
    assert {(row["status"], row["error_kind"], row["reason"]) for row in rows} == {
        ("failed", "decode_failed", "ended early")
    }


def test_labels_and_coverage_partition_the_windows():
    results, paths = made()
    half = [[index % 2 == 0 for index in range(count)] for count in results["num_windows"].to_pylist()]
    results = results.set_column(
        results.column_names.index("window_labelled"), "window_labelled", pa.array(half, pa.list_(pa.bool_()))
    )
    labels = labels_of(results, paths).to_pylist()
    coverage = coverage_rows(results, paths=paths, source="model:x").to_pylist()
    ok = {(row["video_id"], row["start_us"]) for row in coverage if row["status"] == "ok"}
    assert {(row["video_id"], row["start_us"]) for row in labels} == ok
    assert 0 < len(ok) < len(coverage)


def test_no_result_gives_empty_tables():
    results, paths = made()
    none = results.slice(0, 0)
    labels = labels_of(none, paths)
    assert labels.num_rows == coverage_rows(none, paths=paths, source="m").num_rows == 0
    found = segment_rows(labels, paths=paths, activities=ACTIVITIES, rule=SegmentRule(), source="m")
    assert found.num_rows == 0
    assert found.schema == SEGMENT_SCHEMA


def test_unreadable_files_have_a_coverage_row_without_time():
    rows = unreadable_rows(manifest(bad_video("broken.mp4")), source="model:x").to_pylist()
    assert [(row["path"], row["start_us"], row["end_us"], row["status"], row["error_kind"]) for row in rows] == [
        ("broken.mp4", None, None, "failed", "empty")
    ]


def segments_of(labels, paths):
    return segment_rows(
        labels, paths=paths, activities=ACTIVITIES, rule=SegmentRule(min_length_seconds=0), source="model:x"
    )


def test_segments_are_sorted_and_lie_in_their_video():
    results, paths = made(seconds=(30.0, 20.0, 9.0), start_us=1_400_000)
    segments = segments_of(labels_of(results, paths), paths)
    assert segments.schema == SEGMENT_SCHEMA
    rows = segments.to_pylist()
    keys = [(row["video_id"], row["start_us"], row["activity"]) for row in rows]
    assert keys == sorted(keys)
    assert len(rows) == 3 * len(ACTIVITIES)
    assert all(row["start_us"] >= 1_400_000 for row in rows)
    assert {row["origin"] for row in rows} == {"model"}


def test_segments_of_a_table_that_was_read_back_are_the_same():
    results, paths = made(seconds=(30.0, 20.0))
    scores = [
        [0.9 if (index + position) % 4 == 1 else 0.1 for index in range(len(row))]
        for position, row in enumerate(results["scores"].to_pylist())
    ]
    states = [[STATE_INDEX[LabelState.PRESENT if v > 0.5 else LabelState.ABSENT] for v in row] for row in scores]
    results = results.set_column(
        results.column_names.index("scores"), "scores", pa.array(scores, pa.list_(pa.float32()))
    )
    results = results.set_column(results.column_names.index("states"), "states", pa.array(states, pa.list_(pa.uint8())))
    labels = labels_of(results, paths)
    backwards = labels.take(pa.array(np.arange(labels.num_rows)[::-1].copy()))
    plain = {name: backwards[name].cast(pa.string()) for name in ("video_id", "path", "activity", "state", "source")}
    for name, column in plain.items():
        backwards = backwards.set_column(backwards.column_names.index(name), name, column.dictionary_encode())
    assert segments_of(backwards, paths).to_pylist() == segments_of(labels, paths).to_pylist()
