"""How the windows of one activity in one video become segments.

The rule: time is cut at every window border; in each cell, an activity is going on where at least `vote_share` of the
labelled windows over it are `present`; gaps up to `merge_gap_seconds` are closed, except across time that nobody
examined; then segments shorter than `min_length_seconds` are dropped.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nrray.config import Section
from nrray.intervals import IntArray, true_runs
from nrray.types import US_PER_SECOND, Origin, Segment


class SegmentRule(Section):
    """How windows become segments."""

    vote_share: float = Field(0.5, gt=0, le=1, description="share of the windows over an instant that must be present")
    thresholds: dict[str, float] = Field(
        default_factory=dict,
        description="score from which a window is present, per activity; the model's own where none is given",
    )
    merge_gap_seconds: float = Field(1.0, ge=0, description="gaps up to this are closed")
    min_length_seconds: float = Field(1.0, ge=0, description="shorter segments are dropped")


@dataclass(frozen=True, kw_only=True)
class WindowVotes:
    """The labelled windows of one video for one activity by one model, any order: (W,) arrays; `score` is NaN where there
    is none."""

    video_id: str
    path: str
    activity: str
    source: str
    start_us: NDArray[np.int64]
    end_us: NDArray[np.int64]
    present: NDArray[np.bool_]
    score: NDArray[np.float32]


def merge_votes(votes: WindowVotes, rule: SegmentRule) -> list[Segment]:
    """The segments of one activity in one video, by the rule above; the score is the mean over time of the windows over
    them that have one."""
    if len(votes.start_us) == 0:
        return []
    borders = np.unique(np.concatenate([votes.start_us, votes.end_us]))
    first = np.searchsorted(borders, votes.start_us)
    last = np.searchsorted(borders, votes.end_us)
    covering = _summed(first, last, np.ones(len(first)), len(borders))
    present = _summed(first, last, votes.present.astype(np.float64), len(borders))
    has_score = np.isfinite(votes.score)
    scored = _summed(first, last, has_score.astype(np.float64), len(borders))
    score = _summed(first, last, np.where(has_score, votes.score, 0.0).astype(np.float64), len(borders))

    is_on = (present > 0) & (present >= rule.vote_share * covering - 1e-9)
    max_gap_us = rule.merge_gap_seconds * US_PER_SECOND
    length_us = np.diff(borders)
    segments = []
    for a, b in _closed(true_runs(is_on), borders, covering > 0, max_gap_us=max_gap_us):
        start_us, end_us = int(borders[a]), int(borders[b])
        if end_us - start_us < rule.min_length_seconds * US_PER_SECOND:
            continue
        weight = (scored[a:b] * length_us[a:b]).sum()
        mean = float((score[a:b] * length_us[a:b]).sum() / weight) if weight > 0 else None
        segments.append(
            Segment(
                video_id=votes.video_id,
                path=votes.path,
                activity=votes.activity,
                start_us=start_us,
                end_us=end_us,
                score=mean,
                source=votes.source,
                origin=Origin.MODEL,
            )
        )
    return segments


def _closed(
    runs: IntArray, borders: IntArray, is_examined: NDArray[np.bool_], *, max_gap_us: float
) -> list[tuple[int, int]]:
    """Runs of cells, joined across gaps of at most `max_gap_us` all of whose cells were examined."""
    closed: list[tuple[int, int]] = []
    for a, b in runs.tolist():
        if closed:
            first, last = closed[-1]
            if borders[a] - borders[last] <= max_gap_us and is_examined[last:a].all():
                closed[-1] = (first, b)
                continue
        closed.append((a, b))
    return closed


def _summed(
    first: NDArray[np.int64], last: NDArray[np.int64], values: NDArray[np.float64], num_borders: int
) -> NDArray[np.float64]:
    """(num_borders - 1,) sum of the values of the windows over each cell."""
    steps = np.zeros(num_borders)
    np.add.at(steps, first, values)
    np.add.at(steps, last, -values)
    summed: NDArray[np.float64] = np.cumsum(steps)[:-1].round(9)
    return summed
