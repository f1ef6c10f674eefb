"""Two labellings aligned: the time and windows that both examined, case by case, and the amounts that are left out. An activity
that one of them does not label has no time and no windows here, so that no figure of it is defined."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nrray.archive.cases import Cases
from nrray.errors import DataError
from nrray.evaluate.labelling import Labelling, Windows
from nrray.evaluate.sides import Sides
from nrray.labels import Activity
from nrray.metrics.spans import Spans, axis_of, intersection, overlaps, spans_of, summed, union_by_video
from nrray.metrics.timelines import Timelines, timelines_of
from nrray.sampling import Sampling
from nrray.types import STATE_INDEX, US_PER_SECOND, LabelState

_UNDECIDED = (STATE_INDEX[LabelState.UNSURE], STATE_INDEX[LabelState.NOT_ASSESSABLE])


@dataclass(frozen=True, kw_only=True)
class WindowPairs:
    """W windows that both sides examined. case: (W,); candidate, reference, decided: (W, A) bool, `decided` where the
    candidate claims presence or absence; scores: (W, A), NaN for none; num_unparsed: (A,) answers that were neither; states:
    (W, A) index into `LabelState`, None where the candidate has no windows of its own; start_us, video: (W,)."""

    case: NDArray[np.int64]
    candidate: NDArray[np.bool_]
    reference: NDArray[np.bool_]
    decided: NDArray[np.bool_]
    scores: NDArray[np.float64]
    num_unparsed: NDArray[np.int64]
    states: NDArray[np.uint8] | None
    video: NDArray[np.int64]
    start_us: NDArray[np.int64]


MAX_UNTOLD_SHARE = 0.05
"""Of a labelling's window labels, how many may be in no metric before a sentence says so."""


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Time, videos and windows that are in no figure, by reason."""

    candidate_alone_us: int  # examined by the candidate, not by the reference
    reference_alone_us: int
    failed_us: int  # the candidate tried and has no labels
    videos_of_candidate_alone: int
    videos_of_reference_alone: int
    windows_across_borders: int  # that reach out of the time that both examined
    undecided: int  # window labels that are unsure or not assessable


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """The input of all metrics. case_of_video: (V,) index into `cases`; timelines: by activity."""

    candidate: str
    reference: str
    activities: tuple[str, ...]
    cases: list[str]
    paths: list[str]
    case_of_video: NDArray[np.int64]
    evaluated: Spans
    timelines: dict[str, Timelines]
    windows: WindowPairs
    has_scores: bool
    left_out: LeftOut
    unlabelled: Sides[frozenset[str]]  # activities

    @property
    def is_labelled(self) -> NDArray[np.bool_]:
        """(A,) whether both labellings label each activity."""
        missing = self.unlabelled.candidate | self.unlabelled.reference
        return np.array([name not in missing for name in self.activities], bool)

    @property
    def unlabelled_notes(self) -> list[str]:
        """A sentence for each side that does not label every activity."""
        return [
            f"{name} does not label {', '.join(each for each in self.activities if each in missing)}: figures of what it does "
            f"not label are not defined, and never 0."
            for name, missing in (
                (self.candidate, self.unlabelled.candidate),
                (self.reference, self.unlabelled.reference),
            )
            if missing
        ]

    @property
    def undecided_notes(self) -> list[str]:
        """A sentence on activities of which the candidate leaves many windows undecided."""
        if not len(self.windows.decided):
            return []
        shares = (~self.windows.decided).mean(axis=0)
        told = [
            f"{share:.0%} of the windows of {name}"
            for name, share, is_labelled in zip(self.activities, shares, self.is_labelled, strict=True)
            if is_labelled and share > MAX_UNTOLD_SHARE
        ]
        if not told:
            return []
        return [
            f"{self.candidate} is unsure of {', '.join(told)}, or cannot assess them: no metric of windows counts these, each "
            f"is of the others alone."
        ]


@dataclass(frozen=True, kw_only=True)
class SharedTime:
    """The time that several labellings examined. `spans` are disjoint, over the videos `paths`: those of `known_paths`, which
    all labellings have, with any such time."""

    known_paths: list[str]
    paths: list[str]
    spans: Spans


def shared_time(labellings: Sequence[Labelling], cases: Cases, *, only_cases: frozenset[str] | None) -> SharedTime:
    """The time that all labellings examined, of all cases or of `only_cases`. A video that one of them skipped makes no case."""
    common = set.intersection(*(set(labelling.paths) for labelling in labellings))
    known_paths = sorted(path for path in common if only_cases is None or cases.case_of(path) in only_cases)
    paths = [known_paths[video] for video in np.unique(_shared_spans(labellings, known_paths).video)]
    return SharedTime(known_paths=known_paths, paths=paths, spans=_shared_spans(labellings, paths))


def aligned(
    candidate: Labelling, reference: Labelling, shared: SharedTime, *, activities: Sequence[Activity], cases: Cases
) -> Alignment:
    """`candidate` against `reference` in the time that they share with each other, and maybe with more labellings. Raises
    DataError where there is none."""
    ours, theirs, evaluated = restricted(candidate, shared.paths), restricted(reference, shared.paths), shared.spans
    if len(evaluated) == 0:
        raise DataError(
            f"{candidate.name} and {reference.name} have no time that both looked at: {_examined_text(candidate)} and "
            f"{_examined_text(reference)}, {len(shared.known_paths)} of one path ({', '.join(candidate.paths[:2])} against "
            f"{', '.join(reference.paths[:2])}). Both must be about the same archive, as paths are relative to it, and say "
            f"which time they looked at: annotations by their extents. {' '.join(candidate.doubts)}".rstrip()
        )
    case_ids = cases.case_ids(shared.paths)
    known_cases = sorted(set(case_ids))
    index_of = {case_id: index for index, case_id in enumerate(known_cases)}
    case_of_video = np.array([index_of[case_id] for case_id in case_ids], np.int64)
    missing = ours.unlabelled | theirs.unlabelled
    nothing = np.zeros(0, np.int64)
    timelines = {
        activity.name: timelines_of(
            theirs.segments[activity.name],
            ours.segments[activity.name],
            spans_of(nothing, nothing, nothing) if activity.name in missing else evaluated,
            num_videos=len(shared.paths),
        )
        for activity in activities
    }
    is_labelled = np.array([activity.name not in missing for activity in activities], bool)
    windows, num_across = _window_pairs(ours, timelines, evaluated, activities, case_of_video, is_labelled)
    total_us = int(evaluated.length_us.sum())
    return Alignment(
        candidate=candidate.name,
        reference=reference.name,
        activities=tuple(activity.name for activity in activities),
        cases=known_cases,
        paths=shared.paths,
        case_of_video=case_of_video,
        evaluated=evaluated,
        timelines=timelines,
        windows=windows,
        has_scores=bool(np.isfinite(windows.scores).any()),
        left_out=LeftOut(
            candidate_alone_us=_examined_us(candidate, shared.known_paths) - total_us,
            reference_alone_us=_examined_us(reference, shared.known_paths) - total_us,
            failed_us=candidate.failed_us,
            videos_of_candidate_alone=len(set(candidate.paths) - set(reference.paths)),
            videos_of_reference_alone=len(set(reference.paths) - set(candidate.paths)),
            windows_across_borders=num_across,
            undecided=int((~windows.decided[:, is_labelled]).sum()),
        ),
        unlabelled=Sides(candidate=ours.unlabelled, reference=theirs.unlabelled),
    )


def restricted(labelling: Labelling, paths: list[str]) -> Labelling:
    """The labels of `paths` alone, in their order."""
    index_of = {path: index for index, path in enumerate(paths)}
    moved = np.array([index_of.get(path, -1) for path in labelling.paths], np.int64)
    windows = labelling.windows
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
    return replace(
        labelling,
        paths=paths,
        segments={name: _moved(spans, moved) for name, spans in labelling.segments.items()},
        examined=_moved(labelling.examined, moved),
        windows=windows,
    )


def _shared_spans(labellings: Sequence[Labelling], paths: list[str]) -> Spans:
    shared = union_by_video(restricted(labellings[0], paths).examined)
    for labelling in labellings[1:]:
        shared = union_by_video(intersection(shared, restricted(labelling, paths).examined))
    return shared


def _examined_us(labelling: Labelling, paths: list[str]) -> int:
    return int(restricted(labelling, paths).examined.length_us.sum())


def _examined_text(labelling: Labelling) -> str:
    return f"{labelling.examined.length_us.sum() / US_PER_SECOND / 60:.1f} min of {len(labelling.paths)} videos"


def _moved(spans: Spans, moved: NDArray[np.int64]) -> Spans:
    video = moved[spans.video]
    kept = video >= 0
    return spans_of(video[kept], spans.start_us[kept], spans.end_us[kept], spans.score[kept])


def _window_pairs(
    ours: Labelling,
    timelines: Mapping[str, Timelines],
    evaluated: Spans,
    activities: Sequence[Activity],
    case_of_video: NDArray[np.int64],
    is_labelled: NDArray[np.bool_],
) -> tuple[WindowPairs, int]:
    """The candidate's own windows, or a grid of the default sampling where it has none; and the number of windows that reach
    out of the evaluated spans."""
    num_across = 0
    if ours.windows is None:
        windows = _grid(evaluated)
        candidate = np.stack([_covered(windows, timelines[a.name].candidate, a) for a in activities], axis=1)
        decided = np.ones_like(candidate)
        scores = np.full(candidate.shape, np.nan)
        num_unparsed, states = np.zeros(len(activities), np.int64), None
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
    reference = np.stack([_covered(windows, timelines[a.name].reference, a) for a in activities], axis=1)
    candidate, decided, reference = candidate & is_labelled, decided & is_labelled, reference & is_labelled
    scores = np.where(is_labelled, scores, np.nan)
    num_unparsed = np.where(is_labelled, num_unparsed, 0)
    pairs = WindowPairs(
        case=case_of_video[windows.video],
        candidate=candidate,
        reference=reference,
        decided=decided,
        scores=scores,
        num_unparsed=num_unparsed,
        states=states,
        video=windows.video,
        start_us=windows.start_us,
    )
    return pairs, num_across


def _inside(windows: Spans, evaluated: Spans) -> NDArray[np.bool_]:
    """(W,) whether each window lies in one evaluated span."""
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
    """(W,) whether the activity makes each window positive."""
    shared = overlaps(windows, pieces)
    covered_us = summed(shared.length_us, shared.left, len(windows))
    return activity.is_positive(covered_us, windows.length_us)
