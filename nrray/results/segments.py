"""How the windows of one activity in one video become segments.

The rule: time is cut at every window border; in each cell, an activity is going on where at least `vote_share` of the
labelled windows over it say `present`; gaps up to `merge_gap_seconds` are closed, except across time that nobody
looked at; then what is shorter than `min_length_seconds` is dropped.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nrray.config import Section
from nrray.types import US_PER_SECOND


class SegmentRule(Section):
    """How windows become segments."""

    vote_share: float = Field(0.5, gt=0, le=1, description="share of the windows over an instant that must say present")
    thresholds: dict[str, float] = Field(
        default_factory=dict,
        description="score from which a window says present, per activity; the model's own where none is given",
    )
    merge_gap_seconds: float = Field(1.0, ge=0, description="gaps up to this are closed")
    min_length_seconds: float = Field(1.0, ge=0, description="shorter segments are dropped")


@dataclass(frozen=True, kw_only=True)
class WindowVotes:
    """The labelled windows of one video for one activity, any order: (W,) arrays; `score` is NaN where there is none."""

    start_us: NDArray[np.int64]
    end_us: NDArray[np.int64]
    present: NDArray[np.bool_]
    score: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Span:
    """A stretch of one activity with the mean score of the windows over it (NaN where they have none)."""

    start_us: int
    end_us: int
    score: float


def merge_votes(votes: WindowVotes, rule: SegmentRule) -> list[Span]:
    """The segments of one activity in one video, by the rule above."""
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
    looked_at = covering > 0
    spans = [(int(a), int(b)) for a, b in _runs(is_on)]
    merged: list[tuple[int, int]] = []
    for a, b in spans:
        if merged:
            gap_us = borders[a] - borders[merged[-1][1]]
            if gap_us <= rule.merge_gap_seconds * US_PER_SECOND and looked_at[merged[-1][1] : a].all():
                merged[-1] = (merged[-1][0], b)
                continue
        merged.append((a, b))

    length_us = np.diff(borders)
    result = []
    for a, b in merged:
        start_us, end_us = int(borders[a]), int(borders[b])
        if end_us - start_us < rule.min_length_seconds * US_PER_SECOND:
            continue
        weight = scored[a:b] * length_us[a:b]
        mean = float((score[a:b] * length_us[a:b]).sum() / weight.sum()) if weight.sum() > 0 else float("nan")
        result.append(Span(start_us=start_us, end_us=end_us, score=mean))
    return result


def _summed(
    first: NDArray[np.int64], last: NDArray[np.int64], values: NDArray[np.float64], num_borders: int
) -> NDArray[np.float64]:
    """(num_borders - 1,) sum of the values of the windows over each cell."""
    steps = np.zeros(num_borders)
    np.add.at(steps, first, values)
    np.add.at(steps, last, -values)
    summed: NDArray[np.float64] = np.cumsum(steps)[:-1].round(9)
    return summed


def _runs(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(R, 2) half-open index runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return edges.reshape(-1, 2)
