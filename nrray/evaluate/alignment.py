"""Two sources on the same videos and the same time: what both looked at, case by case, and what had to be left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nrray.errors import DataError
from nrray.evaluate.source import Source, Windows
from nrray.labels import Activity
from nrray.metrics.spans import Spans, axis_of, intersection, overlaps, spans_of, summed, union_by_video
from nrray.metrics.timelines import Timelines, timelines_of
from nrray.sampling import Sampling
from nrray.types import STATE_INDEX, US_PER_SECOND, LabelState

_UNDECIDED = (STATE_INDEX[LabelState.UNSURE], STATE_INDEX[LabelState.NOT_ASSESSABLE])


@dataclass(frozen=True, kw_only=True)
class WindowPairs:
    """W windows that both sides looked at. case: (W,); candidate, reference, decided: (W, A) bool, `decided` where the
    candidate says yes or no; scores: (W, A), NaN for none; num_unparsed: (A,) answers that were neither."""

    case: NDArray[np.int64]
    candidate: NDArray[np.bool_]
    reference: NDArray[np.bool_]
    decided: NDArray[np.bool_]
    scores: NDArray[np.float64]
    num_unparsed: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """What is not in any figure, and why."""

    candidate_alone_us: int  # looked at by the candidate, not by the reference
    reference_alone_us: int
    failed_us: int  # the candidate tried and has no labels
    videos_of_candidate_alone: int
    videos_of_reference_alone: int
    windows_across_borders: int  # that reach out of what both looked at
    undecided: int  # window labels that are unsure or not assessable


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """Everything that figures are made of. case_of_video: (V,) index into `cases`."""

    candidate: str
    reference: str
    activities: tuple[str, ...]
    cases: list[str]
    paths: list[str]
    case_of_video: NDArray[np.int64]
    evaluated: Spans
    lines: dict[str, Timelines]
    windows: WindowPairs
    has_scores: bool
    left_out: LeftOut


def aligned(
    candidate: Source,
    reference: Source,
    *,
    activities: Sequence[Activity],
    case_of_path: Mapping[str, str],
    only_cases: frozenset[str] | None = None,
    within: Spans | None = None,
    paths: list[str] | None = None,
) -> Alignment:
    """`candidate` against `reference` where both looked; a video without a case is its own.

    `only_cases` keeps a part of a split; `within` (over `paths`) cuts to what further sources looked at too. Raises
    DataError where nothing is left.
    """
    known = paths if paths is not None else common_paths([candidate, reference], case_of_path, only_cases)
    common = paths if paths is not None else shared_paths([candidate, reference], known)
    ours, theirs = restricted(candidate, common), restricted(reference, common)
    evaluated = union_by_video(intersection(ours.looked_at, theirs.looked_at))
    if within is not None:
        evaluated = union_by_video(intersection(evaluated, within))
    if len(evaluated) == 0:
        raise DataError(
            f"{candidate.name} and {reference.name} have no time that both looked at: {_looked(candidate)} and "
            f"{_looked(reference)}, {len(known)} of one path ({', '.join(candidate.paths[:2])} against "
            f"{', '.join(reference.paths[:2])}). Both must be about the same archive, as paths are relative to it, and say what "
            f"they looked at: annotations by their extents."
        )
    names = [case_of_path.get(path, path) for path in common]
    cases = sorted(set(names))
    place = {name: index for index, name in enumerate(cases)}
    case_of_video = np.array([place[name] for name in names], np.int64)
    lines = {
        activity.name: timelines_of(
            theirs.segments[activity.name], ours.segments[activity.name], evaluated, num_videos=len(common)
        )
        for activity in activities
    }
    windows, num_across = _window_pairs(ours, lines, evaluated, activities, case_of_video)
    total_us = int(evaluated.length_us.sum())
    return Alignment(
        candidate=candidate.name,
        reference=reference.name,
        activities=tuple(activity.name for activity in activities),
        cases=cases,
        paths=common,
        case_of_video=case_of_video,
        evaluated=evaluated,
        lines=lines,
        windows=windows,
        has_scores=bool(np.isfinite(windows.scores).any()),
        left_out=LeftOut(
            candidate_alone_us=_looked_us(candidate, known) - total_us,
            reference_alone_us=_looked_us(reference, known) - total_us,
            failed_us=candidate.failed_us,
            videos_of_candidate_alone=len(set(candidate.paths) - set(reference.paths)),
            videos_of_reference_alone=len(set(reference.paths) - set(candidate.paths)),
            windows_across_borders=num_across,
            undecided=int((~windows.decided).sum()),
        ),
    )


def common_paths(
    sources: Sequence[Source], case_of_path: Mapping[str, str], only_cases: frozenset[str] | None
) -> list[str]:
    """Videos that every source knows, of the wanted cases."""
    common = set.intersection(*(set(source.paths) for source in sources))
    return sorted(path for path in common if only_cases is None or case_of_path.get(path, path) in only_cases)


def shared_paths(sources: Sequence[Source], paths: list[str]) -> list[str]:
    """Of `paths`, those with some time that all sources looked at: what nobody looked at is no case."""
    within = union_by_video(restricted(sources[0], paths).looked_at)
    for source in sources[1:]:
        within = union_by_video(intersection(within, restricted(source, paths).looked_at))
    return [paths[video] for video in np.unique(within.video)]


def restricted(source: Source, paths: list[str]) -> Source:
    """The same source over `paths` alone, in their order."""
    place = {path: index for index, path in enumerate(paths)}
    moved = np.array([place.get(path, -1) for path in source.paths], np.int64)
    windows = source.windows
    if windows is not None:
        video = moved[windows.video]
        kept = video >= 0
        windows = Windows(
            video=video[kept],
            start_us=windows.start_us[kept],
            end_us=windows.end_us[kept],
            scores=windows.scores[kept],
            states=windows.states[kept],
        )
    return Source(
        name=source.name,
        paths=paths,
        activities=source.activities,
        segments={name: _moved(spans, moved) for name, spans in source.segments.items()},
        looked_at=_moved(source.looked_at, moved),
        failed_us=source.failed_us,
        windows=windows,
    )


def _looked_us(source: Source, paths: list[str]) -> int:
    return int(restricted(source, paths).looked_at.length_us.sum())


def _looked(source: Source) -> str:
    return f"{source.looked_at.length_us.sum() / US_PER_SECOND / 60:.1f} min of {len(source.paths)} videos"


def _moved(spans: Spans, moved: NDArray[np.int64]) -> Spans:
    video = moved[spans.video]
    kept = video >= 0
    return spans_of(video[kept], spans.start_us[kept], spans.end_us[kept], spans.score[kept])


def _window_pairs(
    ours: Source,
    lines: Mapping[str, Timelines],
    evaluated: Spans,
    activities: Sequence[Activity],
    case_of_video: NDArray[np.int64],
) -> tuple[WindowPairs, int]:
    """The candidate's own windows, or a grid of the default sampling where it has none; and how many reach out."""
    num_across = 0
    if ours.windows is None:
        windows = _grid(evaluated)
        candidate = np.stack([_covered(windows, lines[a.name].candidate, a) for a in activities], axis=1)
        decided = np.ones_like(candidate)
        scores = np.full(candidate.shape, np.nan)
        num_unparsed = np.zeros(len(activities), np.int64)
    else:
        every = ours.windows
        unsorted = Spans(
            video=every.video, start_us=every.start_us, end_us=every.end_us, score=np.zeros(len(every.video))
        )
        inside = _inside(unsorted, evaluated)
        num_across = int((~inside).sum())
        windows = Spans(
            video=every.video[inside],
            start_us=every.start_us[inside],
            end_us=every.end_us[inside],
            score=np.zeros(int(inside.sum())),
        )
        states, scores = every.states[inside], every.scores[inside]
        candidate = states == STATE_INDEX[LabelState.PRESENT]
        decided = ~np.isin(states, _UNDECIDED)
        num_unparsed = (states == STATE_INDEX[LabelState.UNPARSED]).sum(axis=0).astype(np.int64)
    reference = np.stack([_covered(windows, lines[a.name].reference, a) for a in activities], axis=1)
    pairs = WindowPairs(
        case=case_of_video[windows.video],
        candidate=candidate,
        reference=reference,
        decided=decided,
        scores=scores,
        num_unparsed=num_unparsed,
    )
    return pairs, num_across


def _inside(windows: Spans, evaluated: Spans) -> NDArray[np.bool_]:
    """(W,) whether each lies in one evaluated span."""
    axis = axis_of(windows, evaluated)
    starts = axis.position(evaluated, evaluated.start_us)
    span = np.searchsorted(starts, axis.position(windows, windows.start_us), side="right") - 1
    ends = axis.position(evaluated, evaluated.end_us)
    inside: NDArray[np.bool_] = (span >= 0) & (axis.position(windows, windows.end_us) <= ends[np.maximum(span, 0)])
    return inside


def _grid(evaluated: Spans) -> Spans:
    """Windows of the default sampling that fit into the evaluated spans."""
    sampling = Sampling()
    window_us = round(sampling.window_seconds * US_PER_SECOND)
    stride_us = round(sampling.stride_seconds * US_PER_SECOND)
    count = np.maximum((evaluated.length_us - window_us) // stride_us + 1, 0)
    span = np.repeat(np.arange(len(evaluated)), count)
    number = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    start_us = evaluated.start_us[span] + number * stride_us
    return spans_of(evaluated.video[span], start_us, start_us + window_us)


def _covered(windows: Spans, pieces: Spans, activity: Activity) -> NDArray[np.bool_]:
    """(W,) whether more than the activity's `positive_coverage` of each window is covered."""
    shared = overlaps(windows, pieces)
    covered_us = summed(shared.length_us, shared.left, len(windows))
    return covered_us > activity.positive_coverage * windows.length_us
