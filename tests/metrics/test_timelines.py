"""Compared with an implementation from the formulas, written by somebody who had not seen this one (reference.py)."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given

from nrray.metrics.counts import matching_f1, ratios_of
from nrray.metrics.spans import spans_of
from nrray.metrics.timelines import (
    detections,
    edit_sums,
    false_alarms,
    onset_counts,
    onset_errors,
    onset_offset_counts,
    segment_counts,
    time_counts,
    timelines_of,
)
from tests.metrics import reference
from tests.metrics.made_spans import US, close, timelines_between, videos


@given(videos)
def test_time_counts_and_their_ratios(made):
    counts = time_counts(timelines_between(made))
    assert counts.tolist() == [list(reference.time_counts(*video)) for video in made]
    total = counts.sum(axis=0)
    ratios = ratios_of(total)
    for name, expected in reference.ratios(*total.tolist()).items():
        close(getattr(ratios, name), expected)


@given(videos)
def test_segments_by_intersection_over_union(made):
    timelines = timelines_between(made)
    for iou in (Fraction(1, 10), Fraction(1, 4), Fraction(1, 2)):
        found = segment_counts(timelines, iou).sum(axis=0)
        assert tuple(found.tolist()) == reference.segmental_counts(made, iou)
        matched, ours, theirs = found.tolist()
        close(matching_f1(found), 2 * matched / (ours + theirs) if ours + theirs else math.nan)


@given(videos)
def test_events_within_collars(made):
    timelines = timelines_between(made)
    for collar_us in (US // 2, US, 2 * US, 5 * US):
        for counts, with_offset in ((onset_counts, False), (onset_offset_counts, True)):
            found = counts(timelines, collar_us).sum(axis=0)
            assert tuple(found.tolist()) == reference.event_counts(made, collar_us, with_offset)


@given(videos)
def test_onset_errors_are_as_many_and_as_small_as_can_be(made):
    found = onset_errors(timelines_between(made), 5 * US).error_us
    expected = reference.onset_errors(made, 5 * US)
    assert len(found) == len(expected)
    assert int(np.abs(found).sum()) == sum(abs(error) for error in expected)


@given(videos)
def test_edit_distance_of_runs(made):
    assert tuple(edit_sums(timelines_between(made)).sum(axis=0).tolist()) == reference.edit_sums(made)


def test_segments_are_matched_as_many_as_can_be_where_the_published_matching_is_greedy():
    """Of MS-TCN's rule the first claim takes the second reference segment, tIoU 5/12 over 4/10, and the second claim none: 1."""
    reference_s, candidate_s = seconds((0, 4), (5, 12)), seconds((0, 10), (10.5, 14))
    timelines = timelines_between([(reference_s, candidate_s, seconds((0, 20)))])
    assert segment_counts(timelines, Fraction(1, 10)).tolist() == [[2, 2, 2]]
    assert segment_counts(timelines, Fraction(1, 2)).tolist() == [[0, 2, 2]]


def test_the_edit_score_is_pooled_over_spans_where_the_published_one_is_a_mean_over_videos():
    """Of five runs of the first video four are missed, of the second nothing: 1 - 4/6, and not (1/5 + 1) / 2."""
    missed = (seconds((1, 2), (3, 4)), [], seconds((0, 5)))
    right = (seconds((0, 5)), seconds((0, 5)), seconds((0, 5)))
    sums = edit_sums(timelines_between([missed, right]))
    assert sums.tolist() == [[4, 5], [0, 1]]
    distance, longer = sums.sum(axis=0).tolist()
    assert 1 - distance / longer == pytest.approx(1 / 3)


@given(videos)
def test_false_alarms(made):
    timelines = timelines_between(made)
    assert (int(false_alarms(timelines).sum()), int(timelines.evaluated.length_us.sum())) == reference.false_alarms(
        made
    )


def seconds(*parts):
    """Spans of one video, in seconds; a third value is a score."""
    return [(round(part[0] * US), round(part[1] * US), *part[2:]) for part in parts]


def one_video(reference_spans, candidate_spans):
    scored = [(*span[:2], span[2] if len(span) > 2 else math.nan) for span in seconds(*candidate_spans)]
    return timelines_between([(seconds(*reference_spans), scored, seconds((0, 100)))])


@pytest.mark.parametrize(
    ("reference_span", "candidate_span", "collar_s", "matched"),
    [
        ((0, 10), (0, 12), 0.5, 1),  # a fifth of the reference event
        ((0, 10), (0, 12.1), 0.5, 0),
        ((0, 5), (0, 6.2), 0.5, 0),  # a fifth of the candidate would be enough
        ((0, 1), (0, 2), 1, 1),  # more than a fifth, within the collar
        ((0, 1), (0, 2.1), 1, 0),
        ((10, 20), (11, 20), 1, 1),
        ((10, 20), (11.1, 20), 1, 0),
    ],
)
def test_an_events_end_may_be_off_by_the_collar_or_a_fifth_of_the_reference(
    reference_span, candidate_span, collar_s, matched
):
    timelines = one_video([reference_span], [candidate_span])
    assert onset_offset_counts(timelines, round(collar_s * US)).tolist() == [[matched, 1, 1]]


def test_an_onset_that_is_late_is_above_zero():
    timelines = one_video([(10, 20), (40, 50)], [(12, 20), (39, 50)])
    assert sorted(onset_errors(timelines, 5 * US).error_us.tolist()) == [-1 * US, 2 * US]


def test_onset_errors_are_told_with_their_video():
    events = [(seconds((10, 20)), [(11 * US, 20 * US, math.nan)], seconds((0, 100)))]
    found = onset_errors(timelines_between([*events, ([], [], seconds((0, 100))), *events]), 5 * US)
    assert (found.error_us.tolist(), found.video.tolist()) == ([US, US], [0, 2])


def test_of_two_onsets_near_one_the_nearer_is_its_match():
    assert onset_errors(one_video([(10, 11)], [(8, 9), (11, 12)]), 5 * US).error_us.tolist() == [US]
    assert onset_errors(one_video([(8, 9), (11, 12)], [(10, 11)]), 5 * US).error_us.tolist() == [-US]


def test_onsets_are_matched_as_many_as_can_be_before_as_near_as_can_be():
    # The nearest pair alone, 10 with 10, would leave 14 and 6 without a partner.
    timelines = one_video([(10, 11), (14, 15)], [(6, 7), (10, 11)])
    assert sorted(onset_errors(timelines, 4 * US).error_us.tolist()) == [-4 * US, -4 * US]


def test_segments_that_touch_are_one_with_the_mean_score_over_their_time():
    timelines = one_video([], [(0, 2, 0.9), (2, 8, 0.3), (8, 10), (20, 30), (25, 40, 0.5), (50, 60)])
    joined = timelines.candidate
    assert (joined.start_us // US).tolist() == [0, 20, 50]
    assert (joined.end_us // US).tolist() == [10, 40, 60]
    close(joined.score, [(2 * 0.9 + 6 * 0.3) / 8, 0.5, math.nan])


def test_a_long_segment_holds_those_within_it():
    joined = one_video([], [(0, 100), (10, 20), (30, 40)]).candidate
    assert (joined.start_us.tolist(), joined.end_us.tolist()) == ([0], [100 * US])


def test_segments_of_one_video_do_not_meet_those_of_the_next():
    timelines = timelines_between(
        [(seconds((90, 100)), [], seconds((0, 100))), ([], [(0, 10 * US, math.nan)], seconds((0, 100)))]
    )
    assert time_counts(timelines).tolist() == [[0, 0, 10 * US, 90 * US], [0, 10 * US, 0, 90 * US]]
    assert onset_counts(timelines, 99 * US).tolist() == [[0, 0, 1], [0, 1, 0]]


def test_a_segment_without_a_score_counts_as_certain():
    found = detections(one_video([(0, 10)], [(0, 4), (5, 10, 0.9)]), Fraction(1, 10))
    assert (found.score.tolist(), found.is_hit.tolist()) == ([1.0, 0.9], [True, False])


def test_a_reference_segment_is_found_once_and_by_the_highest_score():
    found = detections(one_video([(0, 10)], [(0, 4, 0.2), (5, 10, 0.9)]), Fraction(1, 10))
    assert (found.score.tolist(), found.is_hit.tolist()) == ([0.9, 0.2], [True, False])


def test_a_detection_takes_the_reference_segment_that_it_fits_best():
    # The first fits the second reference segment better, and leaves the first to the other detection.
    found = detections(one_video([(0, 12), (13, 30)], [(8, 22, 0.9), (0, 7, 0.5)]), Fraction(1, 10))
    assert found.is_hit.tolist() == [True, True]


def test_ten_thousand_videos_take_no_loop_over_videos():
    random = np.random.default_rng(0)
    num_videos, per_video = 10_000, 20
    video = np.repeat(np.arange(num_videos), per_video)
    start = random.integers(0, 600 * US, len(video))
    timelines = timelines_of(
        spans_of(video, start, start + 5 * US),
        spans_of(video, start + random.integers(-US, US, len(video)), start + 5 * US),
        spans_of(np.arange(num_videos), np.zeros(num_videos, np.int64), np.full(num_videos, 600 * US)),
        num_videos=num_videos,
    )
    matched = segment_counts(timelines, Fraction(1, 2)).sum(axis=0)
    assert matched[0] > 0.5 * matched[2]
    assert len(onset_errors(timelines, 5 * US).error_us) > 0.5 * matched[2]
