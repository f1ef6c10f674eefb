"""Cases from the worst on: F1 of time, and for the first ones both timelines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nrray.evaluate.alignment import Alignment
from nrray.evaluate.measures import Measures
from nrray.evaluate.sides import Sides
from nrray.metrics.counts import defined, mean_defined, ratios_of
from nrray.metrics.spans import Spans
from nrray.types import hours_of

Intervals = tuple[tuple[int, int], ...]
"""(start_us, end_us), sorted."""


@dataclass(frozen=True, kw_only=True)
class VideoTimeline:
    """Segments of one video in its presentation time; lanes: by activity."""

    path: str
    evaluated: Intervals
    lanes: Mapping[str, Sides[Intervals]]


@dataclass(frozen=True, kw_only=True)
class CaseRow:
    """One case; f1: of time, by activity; macro_f1: over the macro activities."""

    case_id: str
    hours: float
    f1: Mapping[str, float | None]
    macro_f1: float | None
    videos: tuple[VideoTimeline, ...]  # of the worst cases alone


def case_rows(
    alignment: Alignment, measures: Measures, *, excluded_from_macro: Sequence[str], num_worst: int
) -> tuple[CaseRow, ...]:
    """Every case by rising F1 of time; the first `num_worst` with the timelines of their videos."""
    f1 = ratios_of(measures.sums["time"]).f1  # (C, A)
    macro = mean_defined(f1[:, [i for i, name in enumerate(measures.activities) if name not in excluded_from_macro]])
    order = np.lexsort((np.array(alignment.cases), np.where(np.isfinite(macro), macro, np.inf)))
    videos_of = {case: np.flatnonzero(alignment.case_of_video == case).tolist() for case in order[:num_worst].tolist()}
    return tuple(
        CaseRow(
            case_id=alignment.cases[case],
            hours=hours_of(float(measures.sums["time"][case, 0].sum())),
            f1={name: defined(f1[case, i]) for i, name in enumerate(alignment.activities)},
            macro_f1=defined(macro[case]),
            videos=tuple(_video_timeline(alignment, video) for video in videos_of.get(case, ())),
        )
        for case in order.tolist()
    )


def _video_timeline(alignment: Alignment, video: int) -> VideoTimeline:
    def intervals(spans: Spans) -> Intervals:
        mine = spans.video == video
        return tuple(zip(spans.start_us[mine].tolist(), spans.end_us[mine].tolist(), strict=True))

    return VideoTimeline(
        path=alignment.paths[video],
        evaluated=intervals(alignment.evaluated),
        lanes={
            name: Sides(candidate=intervals(part.candidate), reference=intervals(part.reference))
            for name, part in alignment.timelines.items()
        },
    )
