"""The published tables: label, answer and segment rows of unit results. Segments follow `nrray.results.segments`."""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nrray.results.domain import Domain
from nrray.results.ledger_windows import is_among, paths_of, repeated, sources_of, windows_of
from nrray.results.segments import SegmentRule, WindowVotes, merge_votes
from nrray.tables import schema_of, table_from_rows
from nrray.types import NO_STATE, STATE_INDEX, Answer, Label, LabelState, Segment

LABEL_SCHEMA = schema_of(Label)
ANSWER_SCHEMA = schema_of(Answer)
SEGMENT_SCHEMA = schema_of(Segment).set(0, schema_of(Segment).field("video_id").with_nullable(False))


Rethreshold = Callable[[NDArray[np.float32], NDArray[np.uint8]], NDArray[np.uint8]]
"""(W, A) scores and states to (W, A) states."""


def label_rows(
    results: pa.Table,
    *,
    paths: Mapping[str, str],
    activities: Sequence[str],
    source: str,
    rethreshold: Rethreshold | None = None,
    domain: Domain | None = None,
) -> pa.Table:
    """One row per labelled window and activity of `results` (the ledger's rows), LABEL_SCHEMA.

    `rethreshold` decides states anew from scores, where other thresholds than the model's are asked for. Windows of videos that
    `domain` says nothing can be claimed of are not assessable and have no score and no answer.
    """
    windows = windows_of(results)
    num_activities = len(activities)
    labelled = windows.labelled
    scores = windows.scores.reshape(-1, num_activities)[labelled]
    states = windows.states.reshape(-1, num_activities)[labelled]
    if rethreshold is not None:
        states = rethreshold(scores, states)
    video_id = windows.video_id[labelled]
    is_claimed = np.repeat(~is_among(video_id, domain.not_assessable if domain is not None else ()), num_activities)
    states = np.where(is_claimed.reshape(states.shape), states, STATE_INDEX[LabelState.NOT_ASSESSABLE])
    rows = int(labelled.sum()) * num_activities
    flat = scores.reshape(-1)
    answers = _label_answers(results, activities)
    if answers is not None:
        answers = answers.filter(pa.array(np.repeat(labelled, num_activities)))
        answers = pc.if_else(pa.array(is_claimed), answers, pa.scalar(None, pa.string()))
    return pa.table(
        [
            repeated(video_id, num_activities),
            repeated(paths_of(video_id, paths), num_activities),
            pa.array(np.repeat(windows.start_us[labelled], num_activities)),
            pa.array(np.repeat(windows.end_us[labelled], num_activities)),
            pa.DictionaryArray.from_arrays(
                pa.array(np.tile(np.arange(num_activities, dtype=np.int32), rows // num_activities)), list(activities)
            ),
            pa.array(flat, mask=~(np.isfinite(flat) & is_claimed)),
            pa.DictionaryArray.from_arrays(
                pa.array(states.reshape(-1).astype(np.int32)), [state.value for state in LabelState]
            ),
            answers if answers is not None else pa.nulls(rows, pa.string()),
            repeated(sources_of(video_id, source, domain), num_activities),
            pa.array(np.full(rows, Label.schema_version, np.int16)),
        ],
        schema=LABEL_SCHEMA,
    )


def answer_rows(results: pa.Table, *, paths: Mapping[str, str], source: str, domain: Domain | None = None) -> pa.Table:
    """One row per labelled window and question of `results`, ANSWER_SCHEMA; none of models that were not asked. Windows of videos
    that `domain` says nothing can be claimed of have no answers."""
    asked = results.filter(pc.is_valid(results["questions"]))
    if asked.num_rows == 0:
        return ANSWER_SCHEMA.empty_table()
    windows = windows_of(asked)
    names = asked["questions"].to_pylist()
    per_window = np.array([len(each) for each in names])[windows.unit]  # Q
    kept = windows.labelled & ~is_among(windows.video_id, domain.not_assessable if domain is not None else ())
    window = np.repeat(np.arange(len(kept)), per_window)
    rows = np.flatnonzero(kept[window])
    of_row = window[rows]
    questions = [name for unit in windows.unit.tolist() for name in names[unit]]
    states = asked["answer_states"].combine_chunks().flatten().to_numpy(zero_copy_only=False)[rows].astype(np.int32)
    video_id = windows.video_id[of_row]
    return pa.table(
        [
            repeated(video_id, 1),
            repeated(paths_of(video_id, paths), 1),
            pa.array(windows.start_us[of_row]),
            pa.array(windows.end_us[of_row]),
            pa.array([questions[row] for row in rows], pa.string()).dictionary_encode(),
            asked["answers"].combine_chunks().flatten().take(pa.array(rows)),
            pa.DictionaryArray.from_arrays(
                pa.array(np.where(states == NO_STATE, 0, states), mask=states == NO_STATE),
                [state.value for state in LabelState],
            ),
            asked["answer_tokens"].combine_chunks().flatten().take(pa.array(rows)),
            asked["answer_seconds"].combine_chunks().flatten().take(pa.array(rows)),
            repeated(sources_of(video_id, source, domain), 1),
            pa.array(np.full(len(rows), Answer.schema_version, np.int16)),
        ],
        schema=ANSWER_SCHEMA,
    )


def segment_rows(
    labels: pa.Table,
    *,
    paths: Mapping[str, str],
    activities: Sequence[str],
    rule: SegmentRule,
    source: str,
    domain: Domain | None = None,
) -> pa.Table:
    """The segments of the videos in `labels`, SEGMENT_SCHEMA, sorted by video, start, activity."""
    video_index = labels["video_id"].combine_chunks()
    codes = np.asarray(video_index.indices)
    names = video_index.dictionary.to_pylist()
    activity_codes = _codes(labels["activity"], activities)
    present = _codes(labels["state"], [state.value for state in LabelState]) == STATE_INDEX[LabelState.PRESENT]
    start_us = labels["start_us"].to_numpy()
    end_us = labels["end_us"].to_numpy()
    score = labels["score"].to_numpy(zero_copy_only=False).astype(np.float32)
    found: list[Segment] = []
    order = np.lexsort((start_us, activity_codes, codes))
    keys = codes[order].astype(np.int64) * len(activities) + activity_codes[order]
    for group in np.split(order, np.flatnonzero(np.diff(keys)) + 1) if len(order) else []:
        video_id = names[codes[group[0]]]
        votes = WindowVotes(
            video_id=video_id,
            path=paths[video_id],
            activity=activities[activity_codes[group[0]]],
            source=source if domain is None else domain.source(source, video_id),
            start_us=start_us[group],
            end_us=end_us[group],
            present=present[group],
            score=score[group],
        )
        found += merge_votes(votes, rule)
    found.sort(key=attrgetter("video_id", "start_us", "activity"))
    return table_from_rows(found, Segment).cast(SEGMENT_SCHEMA)


def _codes(column: pa.ChunkedArray, values: Sequence[str]) -> NDArray[np.int64]:
    """Index into `values` of every row: a table that was read back has its dictionary in another order."""
    encoded = column.combine_chunks()
    known = {value: code for code, value in enumerate(values)}
    code_of = np.asarray([known[value] for value in encoded.dictionary.to_pylist()], dtype=np.int64)
    codes: NDArray[np.int64] = code_of[np.asarray(encoded.indices)]
    return codes


def _label_answers(results: pa.Table, activities: Sequence[str]) -> pa.Array | None:
    """(W * A,) for each activity the answer to the last question about it, else to the last one about all; null where there is
    none. None where no unit has any."""
    if results["answers"].null_count == results.num_rows:
        return None
    columns = (results[name].to_pylist() for name in ("answers", "questions", "window_start_us"))
    found: list[str | None] = []
    for answers, questions, starts in zip(*columns, strict=True):
        if answers is None:
            found += [None] * (len(starts) * len(activities))
            continue
        names = list(activities) if questions is None else questions
        places = _places_of_answers(names, activities)
        found += [
            None if place is None else answers[first + place]
            for first in range(0, len(answers), len(names))
            for place in places
        ]
    return pa.array(found, pa.string())


def _places_of_answers(questions: Sequence[str], activities: Sequence[str]) -> list[int | None]:
    """For each activity the place of the last question about it, one named such as `ventilation` or `judge: ventilation`, else of
    the last question about all. Of several votes, the first."""
    subjects = {place: name.rsplit(": ", 1)[-1] for place, name in enumerate(questions) if "#" not in name}
    about_all = max((place for place, subject in subjects.items() if subject not in activities), default=None)
    return [
        max((place for place, subject in subjects.items() if subject == name), default=about_all) for name in activities
    ]
