"""Scored intervals of many videos as flat arrays, so that ten thousand videos cost a few array operations.

All videos are laid on one axis, far enough apart that no two ever meet. Half-open, integer microseconds. Intervals of one
video without scores: nrray.intervals, on which this module builds.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nrray.intervals import IntArray, first_of_unions

APART_US = 1_000_000_000  # between two videos on the common axis: more than any tolerance


@dataclass(frozen=True, kw_only=True)
class Spans:
    """N intervals, sorted by video and start. video: (N,) index; start_us, end_us: (N,); score: (N,), NaN for none."""

    video: IntArray
    start_us: IntArray
    end_us: IntArray
    score: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.video)

    @property
    def length_us(self) -> IntArray:
        return self.end_us - self.start_us


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Where each video begins on the common axis."""

    low_us: int
    video_us: int

    def position(self, spans: Spans, time_us: IntArray) -> IntArray:
        """(N,) of times in the spans' videos."""
        placed: IntArray = spans.video * self.video_us + (time_us - self.low_us)
        return placed


def spans_of(video: IntArray, start_us: IntArray, end_us: IntArray, score: NDArray[np.float64] | None = None) -> Spans:
    """Sorted spans; empty ones (end at or before start) are dropped."""
    kept = end_us > start_us
    scores = np.full(len(video), np.nan) if score is None else np.asarray(score, np.float64)
    order = np.lexsort((end_us[kept], start_us[kept], video[kept]))
    return Spans(
        video=np.asarray(video, np.int64)[kept][order],
        start_us=np.asarray(start_us, np.int64)[kept][order],
        end_us=np.asarray(end_us, np.int64)[kept][order],
        score=scores[kept][order],
    )


def axis_of(*parts: Spans) -> Axis:
    """An axis that holds all of them."""
    starts = [int(part.start_us.min()) for part in parts if len(part)]
    ends = [int(part.end_us.max()) for part in parts if len(part)]
    low, high = min(starts, default=0), max(ends, default=0)
    return Axis(low_us=low, video_us=high - low + APART_US)


def union_by_video(spans: Spans) -> Spans:
    """The union of each video's spans, of all videos in one pass; the score is the mean over the parts' own durations."""
    if len(spans) == 0:
        return spans
    axis = axis_of(spans)
    starts, ends = axis.position(spans, spans.start_us), axis.position(spans, spans.end_us)
    first = first_of_unions(starts, ends)
    has_score = np.isfinite(spans.score)
    weight = np.where(has_score, spans.length_us, 0).astype(np.float64)
    total = np.add.reduceat(weight, first)
    weighted = np.add.reduceat(weight * np.where(has_score, spans.score, 0.0), first)
    with np.errstate(invalid="ignore", divide="ignore"):
        score = np.where(total > 0, weighted / total, np.nan)
    return Spans(
        video=spans.video[first],
        start_us=spans.start_us[first],
        end_us=np.maximum.reduceat(spans.end_us, first),
        score=score,
    )


@dataclass(frozen=True, kw_only=True)
class Overlaps:
    """Pairs of spans of two sets that share time: left, right (P,) rows; start_us, end_us (P,) of their shared time."""

    left: IntArray
    right: IntArray
    start_us: IntArray
    end_us: IntArray

    @property
    def length_us(self) -> IntArray:
        return self.end_us - self.start_us


def overlaps(left: Spans, right: Spans) -> Overlaps:
    """All pairs that share time. Each set must be disjoint in itself."""
    axis = axis_of(left, right)
    first = np.searchsorted(axis.position(right, right.end_us), axis.position(left, left.start_us), side="right")
    last = np.searchsorted(axis.position(right, right.start_us), axis.position(left, left.end_us), side="left")
    rows, columns = _ranges(first, last)
    return Overlaps(
        left=rows,
        right=columns,
        start_us=np.maximum(left.start_us[rows], right.start_us[columns]),
        end_us=np.minimum(left.end_us[rows], right.end_us[columns]),
    )


def starts_within(left: Spans, right: Spans, tolerance_us: int) -> tuple[IntArray, IntArray]:
    """(left, right) rows of all pairs of one video whose starts are at most `tolerance_us` (< APART_US) apart."""
    axis = axis_of(left, right)
    at, marks = axis.position(left, left.start_us), axis.position(right, right.start_us)
    return _ranges(
        np.searchsorted(marks, at - tolerance_us, side="left"), np.searchsorted(marks, at + tolerance_us, side="right")
    )


def clipped(spans: Spans, evaluated: Spans) -> tuple[Spans, IntArray]:
    """The pieces of disjoint `spans` inside the disjoint `evaluated`, and (N,) the evaluated span of each."""
    shared = overlaps(spans, evaluated)
    pieces = Spans(
        video=spans.video[shared.left],
        start_us=shared.start_us,
        end_us=shared.end_us,
        score=spans.score[shared.left],
    )
    return pieces, shared.right


def intersection(left: Spans, right: Spans) -> Spans:
    """The time that two disjoint sets share, without scores."""
    pieces, _ = clipped(left, right)
    return replace(pieces, score=np.full(len(pieces), np.nan))


def summed(values: IntArray, groups: IntArray, num_groups: int) -> IntArray:
    """(num_groups,) exact sums of integers by group."""
    total = np.zeros(num_groups, np.int64)
    np.add.at(total, groups, values)
    return total


def _ranges(first: IntArray, last: IntArray) -> tuple[IntArray, IntArray]:
    """Row i paired with first[i] .. last[i] - 1."""
    counts = np.maximum(last - first, 0)
    rows = np.repeat(np.arange(len(first), dtype=np.int64), counts)
    before = np.cumsum(counts) - counts
    columns: IntArray = np.arange(int(counts.sum()), dtype=np.int64) - np.repeat(before - first, counts)
    return rows, columns
