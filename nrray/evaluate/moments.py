"""Moments to look at: the longest errors of the worst cases."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from nrray.evaluate.case_rows import CaseRow, Intervals
from nrray.intervals import Interval, gaps_within


class ErrorKind(str, Enum):
    """What is wrong at a moment."""

    MISSED = "missed"
    WRONG = "claimed wrongly"


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One error, in the presentation time of its video. case: index into the document's cases."""

    case: int
    path: str
    activity: str
    kind: ErrorKind
    start_us: int
    end_us: int


def longest_errors(cases: Sequence[CaseRow], *, most: int) -> list[Moment]:
    """The longest errors of the cases that have timelines, longest first."""
    found = [
        Moment(
            case=number,
            path=video.path,
            activity=activity,
            kind=kind,
            start_us=interval.start_us,
            end_us=interval.end_us,
        )
        for number, case in enumerate(cases)
        for video in case.videos
        for activity, lanes in video.lanes.items()
        for kind, whole, covered in (
            (ErrorKind.MISSED, lanes.reference, lanes.candidate),
            (ErrorKind.WRONG, lanes.candidate, lanes.reference),
        )
        for interval in _uncovered(whole, covered)
    ]
    return sorted(found, key=lambda moment: (moment.start_us - moment.end_us, moment.path, moment.start_us))[:most]


def _uncovered(whole: Intervals, covered: Intervals) -> list[Interval]:
    others = [Interval(start_us=start, end_us=end) for start, end in covered]
    return [gap for start, end in whole for gap in gaps_within(Interval(start_us=start, end_us=end), others)]
