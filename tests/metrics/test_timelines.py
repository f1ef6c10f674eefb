"""Every metric against an implementation from the formulas, written by somebody who had not seen this one
(reference.py), and against scikit-learn and krippendorff where they have it."""

import math
from fractions import Fraction

import krippendorff
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from nrray.metrics.agreement import krippendorff_alpha
from nrray.metrics.counts import counts_of, matching_f1, ratios_of
from nrray.metrics.scored import (
    average_precision,
    expected_calibration_error,
    interpolated_precision,
    reliability_of,
    reliability_sums,
)
from nrray.metrics.spans import spans_of
from nrray.metrics.timelines import (
    detections,
    edit_sums,
    event_counts,
    false_alarms,
    onset_errors,
    segment_counts,
    time_counts,
    timelines_of,
)
from tests.metrics import reference

US = 1_000_000

half_seconds = st.integers(0, 40).map(lambda n: n * US // 2)
segments = st.lists(
    st.tuples(half_seconds, half_seconds, st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 1.0])).filter(
        lambda s: s[0] <= s[1]
    ),
    max_size=6,
)
spans = st.lists(st.integers(0, 44), min_size=2, max_size=6, unique=True).map(
    lambda marks: [
        (start * US // 2, end * US // 2) for start, end in zip(sorted(marks)[::2], sorted(marks)[1::2], strict=False)
    ]
)
videos = st.lists(st.tuples(segments, segments, spans), min_size=1, max_size=3)


def flat(parts):
    """Spans of lists of (start, end) or (start, end, score), one list a video."""
    rows = [(video, *part) for video, mine in enumerate(parts) for part in mine]
    video, start, end = ([row[i] for row in rows] for i in (0, 1, 2))
    score = [row[3] for row in rows] if rows and len(rows[0]) > 3 else [math.nan] * len(rows)
    return spans_of(np.array(video, np.int64), np.array(start, np.int64), np.array(end, np.int64), np.array(score))


def lines_of(made):
    theirs, ours, evaluated = zip(*made, strict=True)
    return timelines_of(flat(theirs), flat(ours), flat(evaluated), num_videos=len(made))


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9, equal_nan=True)


@given(videos)
def test_time_counts_and_their_ratios(made):
    counts = time_counts(lines_of(made))
    assert counts.tolist() == [list(reference.time_counts(*video)) for video in made]
    total = counts.sum(axis=0)
    ratios = ratios_of(total)
    for name, expected in reference.ratios(*total.tolist()).items():
        close(getattr(ratios, name), expected)


@given(videos)
def test_segments_by_intersection_over_union(made):
    lines = lines_of(made)
    for iou in (Fraction(1, 10), Fraction(1, 4), Fraction(1, 2)):
        found = segment_counts(lines, iou).sum(axis=0)
        assert tuple(found.tolist()) == reference.segmental_counts(made, iou)
        matched, ours, theirs = found.tolist()
        close(matching_f1(found), 2 * matched / (ours + theirs) if ours + theirs else math.nan)


@given(videos)
def test_events_within_collars(made):
    lines = lines_of(made)
    for collar_us in (US // 2, US, 2 * US, 5 * US):
        for with_offset in (False, True):
            found = event_counts(lines, collar_us, with_offset=with_offset).sum(axis=0)
            assert tuple(found.tolist()) == reference.event_counts(made, collar_us, with_offset)


@given(videos)
def test_onset_errors_are_as_many_and_as_small_as_can_be(made):
    found = onset_errors(lines_of(made), 5 * US).error_us
    expected = reference.onset_errors(made, 5 * US)
    assert len(found) == len(expected)
    assert int(np.abs(found).sum()) == sum(abs(error) for error in expected)


@given(videos)
def test_edit_distance_of_runs(made):
    assert tuple(edit_sums(lines_of(made)).sum(axis=0).tolist()) == reference.edit_sums(made)


@given(videos)
def test_detection_precision(made):
    lines = lines_of(made)
    for iou in (Fraction(1, 10), Fraction(1, 2)):
        found = detections(lines, iou)
        hits = np.cumsum(found.is_hit)[None].astype(float)
        claims = np.arange(1.0, len(found.is_hit) + 1)[None]
        positives = np.array([found.num_reference.sum()], float)
        ours = interpolated_precision(hits, claims, positives)[0] if len(found.is_hit) else math.nan
        if not len(found.is_hit):
            ours = 0.0 if positives[0] else math.nan
        close(ours, reference.detection_ap(made, iou))


@given(videos)
def test_false_alarms(made):
    lines = lines_of(made)
    assert (int(false_alarms(lines).sum()), int(lines.evaluated.length_us.sum())) == reference.false_alarms(made)


@given(st.lists(st.lists(st.tuples(segments, spans), min_size=2, max_size=3), min_size=1, max_size=2))
def test_alpha_over_time(made):
    num_sources = min(len(video) for video in made)
    made = [video[:num_sources] for video in made]
    sources = []
    for index in range(num_sources):
        claimed, looked_at = flat([video[index][0] for video in made]), flat([video[index][1] for video in made])
        lines = timelines_of(claimed, claimed, looked_at, num_videos=len(made))
        sources.append((lines.candidate, looked_at))
    close(krippendorff_alpha(sources), reference.krippendorff_alpha(made))


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=2, max_size=30))
def test_alpha_is_that_of_the_package(rows):
    """Three coders of unit-long cells; None where one did not look."""
    table = np.array([[float(a), float(b), math.nan if a and not c else float(c)] for a, b, c in rows]).T
    sources = []
    for values in table:
        present, looked = np.flatnonzero(values == 1), np.flatnonzero(np.isfinite(values))
        sources.append(tuple(spans_of(np.zeros(len(at), np.int64), at, at + 1) for at in (present, looked)))
    known = table[np.isfinite(table)]
    if len(np.unique(known)) < 2:
        return
    ours = krippendorff_alpha(sources)
    close(ours, krippendorff.alpha(reliability_data=table, level_of_measurement="nominal"))


@given(st.lists(st.tuples(st.integers(0, 20).map(lambda n: n / 20), st.booleans()), min_size=1, max_size=40))
def test_scores(rows):
    scores, targets = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    ours = average_precision(scores, targets)
    close(ours, reference.average_precision(scores.tolist(), targets.tolist()))
    if targets.any():
        close(ours, sklearn_metrics.average_precision_score(targets, scores))
    sums = reliability_sums(scores, targets, np.zeros(len(scores), np.int64), 1)[0]
    close(expected_calibration_error(sums), reference.expected_calibration_error(scores.tolist(), targets.tolist()))
    for row, (count, mean, observed) in zip(
        sums, reference.reliability(scores.tolist(), targets.tolist()), strict=True
    ):
        assert row[0] == count
        if count:
            close(row[1:] / row[0], [mean, observed])


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_ratios_are_scikit_learn_s(rows):
    ours, theirs = (np.array([row[i] for row in rows]) for i in (0, 1))
    ratios = ratios_of(counts_of(ours, theirs).sum(axis=0))
    for name, function in (
        ("precision", sklearn_metrics.precision_score),
        ("recall", sklearn_metrics.recall_score),
        ("f1", sklearn_metrics.f1_score),
    ):
        close(getattr(ratios, name), function(theirs, ours, zero_division=np.nan))
    if len(np.unique(theirs)) == 2:
        close(ratios.balanced_accuracy, sklearn_metrics.balanced_accuracy_score(theirs, ours))
    if len(np.unique([ours, theirs])) == 2:
        close(ratios.kappa, sklearn_metrics.cohen_kappa_score(theirs, ours))


def seconds(*parts):
    """Spans of one video, in seconds; a third value is a score."""
    return [(round(part[0] * US), round(part[1] * US), *part[2:]) for part in parts]


def one_video(reference_spans, candidate_spans):
    scored = [(*span[:2], span[2] if len(span) > 2 else math.nan) for span in seconds(*candidate_spans)]
    return lines_of([(seconds(*reference_spans), scored, seconds((0, 100)))])


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
    lines = one_video([reference_span], [candidate_span])
    assert event_counts(lines, round(collar_s * US), with_offset=True).tolist() == [[matched, 1, 1]]


def test_an_onset_that_is_late_is_above_zero():
    lines = one_video([(10, 20), (40, 50)], [(12, 20), (39, 50)])
    assert sorted(onset_errors(lines, 5 * US).error_us.tolist()) == [-1 * US, 2 * US]


def test_onsets_are_matched_as_many_as_can_be_before_as_near_as_can_be():
    # The nearest pair alone, 10 with 10, would leave 14 and 6 without a partner.
    lines = one_video([(10, 11), (14, 15)], [(6, 7), (10, 11)])
    assert sorted(onset_errors(lines, 4 * US).error_us.tolist()) == [-4 * US, -4 * US]


def test_segments_that_touch_are_one_with_the_mean_score_over_their_time():
    lines = one_video([], [(0, 2, 0.9), (2, 8, 0.3), (8, 10), (20, 30), (25, 40, 0.5), (50, 60)])
    joined = lines.candidate
    assert (joined.start_us // US).tolist() == [0, 20, 50]
    assert (joined.end_us // US).tolist() == [10, 40, 60]
    close(joined.score, [(2 * 0.9 + 6 * 0.3) / 8, 0.5, math.nan])


def test_a_long_segment_holds_those_within_it():
    joined = one_video([], [(0, 100), (10, 20), (30, 40)]).candidate
    assert (joined.start_us.tolist(), joined.end_us.tolist()) == ([0], [100 * US])


def test_segments_of_one_video_do_not_meet_those_of_the_next():
    lines = lines_of([(seconds((90, 100)), [], seconds((0, 100))), ([], [(0, 10 * US, math.nan)], seconds((0, 100)))])
    assert time_counts(lines).tolist() == [[0, 0, 10 * US, 90 * US], [0, 10 * US, 0, 90 * US]]
    assert event_counts(lines, 99 * US, with_offset=False).tolist() == [[0, 0, 1], [0, 1, 0]]


def test_a_reliability_bin_has_the_mean_score_and_the_observed_share():
    scores, targets = np.array([0.1, 0.15, 0.9, 1.0]), np.array([False, True, True, True])
    found = reliability_of(reliability_sums(scores, targets, np.zeros(4, np.int64), 1)[0])
    assert found.count.tolist() == [0, 2, 0, 0, 0, 0, 0, 0, 0, 2]
    close(found.mean_score[[1, 9]], [0.125, 0.95])
    close(found.observed[[1, 9]], [0.5, 1.0])
    assert np.isnan(found.mean_score[0])


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
    lines = timelines_of(
        spans_of(video, start, start + 5 * US),
        spans_of(video, start + random.integers(-US, US, len(video)), start + 5 * US),
        spans_of(np.arange(num_videos), np.zeros(num_videos, np.int64), np.full(num_videos, 600 * US)),
        num_videos=num_videos,
    )
    matched = segment_counts(lines, Fraction(1, 2)).sum(axis=0)
    assert matched[0] > 0.5 * matched[2]
    assert len(onset_errors(lines, 5 * US).error_us) > 0.5 * matched[2]
