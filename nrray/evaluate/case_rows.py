"""Cases from the worst on: F1 of time, and for the first ones both timelines. A case in which the reference shows none of the
activities has no F1 to rank by."""

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
    """Segments of one video in its presentation time; lanes: by activity that both sides label."""

    path: str
    evaluated: Intervals
    lanes: Mapping[str, Sides[Intervals]]


@dataclass(frozen=True, kw_only=True)
class CaseRow:
    """One case; f1: of time, by activity; macro_f1: over the macro activities that the reference shows in the case, None where it
    shows none; claimed_wrongly_us: time in which the candidate claims activities that the reference does not show then, added up
    over the macro activities."""

    case_id: str
    hours: float
    f1: Mapping[str, float | None]
    macro_f1: float | None
    claimed_wrongly_us: int | None = None  # of a document that says no such time
    videos: tuple[VideoTimeline, ...]  # of the worst cases alone


def case_rows(
    alignment: Alignment, measures: Measures, *, excluded_from_macro: Sequence[str], num_worst: int
) -> tuple[CaseRow, ...]:
    """Every case by rising F1 of time, then those without one by falling time that is claimed wrongly; the first `num_worst` of
    those with one have the timelines of their videos."""
    time = measures.sums["time"]  # (C, A, 4)
    f1 = ratios_of(time).f1
    shows = time[..., 0] + time[..., 2] > 0
    columns = [i for i, name in enumerate(measures.activities) if name not in excluded_from_macro]
    macro = mean_defined(np.where(shows, f1, np.nan)[:, columns])
    wrong_us = time[:, columns, 1].sum(axis=1)
    is_ranked = np.isfinite(macro)
    order = np.lexsort((np.array(alignment.cases), -wrong_us, np.where(is_ranked, macro, np.inf)))
    worst = [case for case in order.tolist() if is_ranked[case]][:num_worst]
    videos_of = {case: np.flatnonzero(alignment.case_of_video == case).tolist() for case in worst}
    return tuple(
        CaseRow(
            case_id=alignment.cases[case],
            hours=hours_of(float(time[case].sum(axis=-1).max())),
            f1={name: defined(f1[case, i]) for i, name in enumerate(alignment.activities)},
            macro_f1=defined(macro[case]),
            claimed_wrongly_us=int(wrong_us[case]),
            videos=tuple(_video_timeline(alignment, video) for video in videos_of.get(case, ())),
        )
        for case in order.tolist()
    )


def _video_timeline(alignment: Alignment, video: int) -> VideoTimeline:
    labelled = {
        name for name, is_labelled in zip(alignment.activities, alignment.is_labelled, strict=True) if is_labelled
    }

    def intervals(spans: Spans) -> Intervals:
        mine = spans.video == video
        return tuple(zip(spans.start_us[mine].tolist(), spans.end_us[mine].tolist(), strict=True))

    return VideoTimeline(
        path=alignment.paths[video],
        evaluated=intervals(alignment.evaluated),
        lanes={
            name: Sides(candidate=intervals(part.candidate), reference=intervals(part.reference))
            for name, part in alignment.timelines.items()
            if name in labelled
        },
    )
