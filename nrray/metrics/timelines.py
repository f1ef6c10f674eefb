"""Agreement of two timelines of one activity: by time, by segments, by runs, by events, and as detections.

In: reference and candidate spans of many videos and the spans that were evaluated. Out: sums per video, from which
`nrray.metrics.counts` makes ratios for any set of videos. Time outside the evaluated spans does not exist here.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from nrray.metrics.matching import matched_rows, nearest_pairs
from nrray.metrics.spans import Spans, clipped, overlaps, starts_within, summed, union_by_video

IntArray = NDArray[np.int64]

OFFSET_SHARE = Fraction(1, 5)
"""An event's end may be off by this share of the reference event's length, or by the collar if that is more: the rule of
sed_eval (Mesaros, Heittola, Virtanen 2016)."""


@dataclass(frozen=True, kw_only=True)
class Timelines:
    """One activity's reference and candidate, united and cut to the evaluated spans; `*_span` is the row in `evaluated`
    that a piece lies in."""

    evaluated: Spans
    reference: Spans
    reference_span: IntArray
    candidate: Spans
    candidate_span: IntArray
    num_videos: int

    def by_video(self, spans: Spans) -> IntArray:
        """(V,) the number of `spans` in each video."""
        return np.bincount(spans.video, minlength=self.num_videos).astype(np.int64)


def timelines_of(reference: Spans, candidate: Spans, evaluated: Spans, *, num_videos: int) -> Timelines:
    """Both sides united and cut to `evaluated`, whose spans are disjoint and do not touch."""
    reference_pieces, reference_span = clipped(union_by_video(reference), evaluated)
    candidate_pieces, candidate_span = clipped(union_by_video(candidate), evaluated)
    return Timelines(
        evaluated=evaluated,
        reference=reference_pieces,
        reference_span=reference_span,
        candidate=candidate_pieces,
        candidate_span=candidate_span,
        num_videos=num_videos,
    )


def time_counts(timelines: Timelines) -> IntArray:
    """(V, 4) microseconds: both present, candidate alone, reference alone, neither."""
    shared = overlaps(timelines.candidate, timelines.reference)
    both = summed(shared.length_us, timelines.candidate.video[shared.left], timelines.num_videos)
    candidate, reference, total = (
        summed(part.length_us, part.video, timelines.num_videos)
        for part in (timelines.candidate, timelines.reference, timelines.evaluated)
    )
    return np.stack([both, candidate - both, reference - both, total - candidate - reference + both], axis=1)


def segment_counts(timelines: Timelines, iou: Fraction) -> IntArray:
    """(V, 3) matched, candidate, reference segments: the largest one-to-one matching of segments whose intersection
    over union is at least `iou` > 0. MS-TCN (Abu Farha and Gall 2019) matches greedily, which may find fewer below 1/2."""
    left, right, _ = _iou_pairs(timelines, iou)
    return _matched_counts(timelines, left, right)


def onset_counts(timelines: Timelines, collar_us: int) -> IntArray:
    """(V, 3) matched, candidate, reference events: the largest one-to-one matching of those whose onsets are at most
    `collar_us` apart."""
    left, right = starts_within(timelines.candidate, timelines.reference, collar_us)
    return _matched_counts(timelines, left, right)


def onset_offset_counts(timelines: Timelines, collar_us: int) -> IntArray:
    """(V, 3) matched, candidate, reference events: the largest one-to-one matching of those whose onsets are at most
    `collar_us` apart and whose ends are at most the collar or OFFSET_SHARE of the reference event apart."""
    left, right = starts_within(timelines.candidate, timelines.reference, collar_us)
    off_us = np.abs(timelines.candidate.end_us[left] - timelines.reference.end_us[right])
    length_us = timelines.reference.length_us[right]
    allowed = (off_us <= collar_us) | (OFFSET_SHARE.denominator * off_us <= OFFSET_SHARE.numerator * length_us)
    return _matched_counts(timelines, left[allowed], right[allowed])


@dataclass(frozen=True, kw_only=True)
class OnsetErrors:
    """Onset errors of M matched events: error_us (M,), candidate minus reference, above 0 is late; video (M,)."""

    error_us: IntArray
    video: IntArray


def onset_errors(timelines: Timelines, collar_us: int) -> OnsetErrors:
    """Signed errors over the largest matching within `collar_us`, of those the one with the least total error."""
    left, right = starts_within(timelines.candidate, timelines.reference, collar_us)
    error_us = timelines.candidate.start_us[left] - timelines.reference.start_us[right]
    picked = nearest_pairs(
        left, right, np.abs(error_us), num_left=len(timelines.candidate), num_right=len(timelines.reference)
    )
    return OnsetErrors(error_us=error_us[picked], video=timelines.candidate.video[left[picked]])


def edit_sums(timelines: Timelines) -> IntArray:
    """(V, 2) Levenshtein distance between the runs (intervals of constant presence) of both sides, and the longer of the
    two sequences, summed over the evaluated spans: 1 - their ratio is the edit score of action segmentation, but of one activity
    and its absence, and pooled, where MS-TCN (Abu Farha and Gall 2019) averages over videos and has all activities in one
    sequence."""
    candidate, candidate_begins = _runs(timelines, timelines.candidate, timelines.candidate_span)
    reference, reference_begins = _runs(timelines, timelines.reference, timelines.reference_span)
    # Runs alternate, so two sequences that begin alike differ by their lengths; of others, one begins with a run more.
    alike = np.abs(candidate - reference)
    shifted = 1 + np.minimum(np.abs(candidate - 1 - reference), np.abs(candidate - reference + 1))
    other = np.where((candidate == 1) & (reference == 1), 1, shifted)
    distance = np.where(candidate_begins == reference_begins, alike, other)
    spans = timelines.evaluated.video
    return np.stack(
        [summed(part, spans, timelines.num_videos) for part in (distance, np.maximum(candidate, reference))], axis=1
    )


@dataclass(frozen=True, kw_only=True)
class Detections:
    """Candidate segments from the highest score down: score, is_hit, video (N,); num_reference (V,)."""

    score: NDArray[np.float64]
    is_hit: NDArray[np.bool_]
    video: IntArray
    num_reference: IntArray


def detections(timelines: Timelines, iou: Fraction) -> Detections:
    """ActivityNet's rule: from the highest score down, each segment takes the free reference segment of its video with
    the highest intersection over union, if that is at least `iou` > 0. A segment without a score has score 1."""
    left, right, ratio = _iou_pairs(timelines, iou)
    score = np.where(np.isnan(timelines.candidate.score), 1.0, timelines.candidate.score)
    order = np.lexsort((timelines.candidate.start_us, timelines.candidate.video, -score))
    is_hit = np.zeros(len(score), bool)
    # A pair whose segments have no other is a hit whatever comes first.
    alone = (np.bincount(left, minlength=len(score))[left] == 1) & (
        np.bincount(right, minlength=len(timelines.reference))[right] == 1
    )
    is_hit[left[alone]] = True
    options: dict[int, list[tuple[float, int]]] = {}
    for i, j, value in zip(left[~alone].tolist(), right[~alone].tolist(), ratio[~alone].tolist(), strict=True):
        options.setdefault(i, []).append((-value, j))  # of equal ones the earlier
    taken: set[int] = set()
    for i in [row for row in order.tolist() if row in options]:
        free = sorted(pair for pair in options[i] if pair[1] not in taken)
        if free:
            taken.add(free[0][1])
            is_hit[i] = True
    return Detections(
        score=score[order],
        is_hit=is_hit[order],
        video=timelines.candidate.video[order],
        num_reference=timelines.by_video(timelines.reference),
    )


def false_alarms(timelines: Timelines) -> IntArray:
    """(V,) candidate segments that share no time with any reference segment."""
    meets = np.zeros(len(timelines.candidate), bool)
    meets[overlaps(timelines.candidate, timelines.reference).left] = True
    return np.bincount(timelines.candidate.video[~meets], minlength=timelines.num_videos).astype(np.int64)


def _iou_pairs(timelines: Timelines, iou: Fraction) -> tuple[IntArray, IntArray, NDArray[np.float64]]:
    shared = overlaps(timelines.candidate, timelines.reference)
    union_us = (
        timelines.candidate.length_us[shared.left] + timelines.reference.length_us[shared.right] - shared.length_us
    )
    enough = iou.denominator * shared.length_us >= iou.numerator * union_us  # exact: no ratio is rounded
    ratio = shared.length_us[enough] / union_us[enough]
    return shared.left[enough], shared.right[enough], ratio


def _matched_counts(timelines: Timelines, left: IntArray, right: IntArray) -> IntArray:
    rows = matched_rows(left, right, num_left=len(timelines.candidate), num_right=len(timelines.reference))
    matched = np.bincount(timelines.candidate.video[rows], minlength=timelines.num_videos).astype(np.int64)
    return np.stack([matched, timelines.by_video(timelines.candidate), timelines.by_video(timelines.reference)], axis=1)


def _runs(timelines: Timelines, pieces: Spans, span: IntArray) -> tuple[IntArray, NDArray[np.bool_]]:
    """(E,) the number of runs of each evaluated span, and whether the span begins with the activity."""
    num_spans = len(timelines.evaluated)
    begins = np.zeros(num_spans, bool)
    begins[span[pieces.start_us == timelines.evaluated.start_us[span]]] = True
    ends = np.zeros(num_spans, bool)
    ends[span[pieces.end_us == timelines.evaluated.end_us[span]]] = True
    count = np.bincount(span, minlength=num_spans).astype(np.int64)
    return 2 * count + 1 - begins - ends, begins
