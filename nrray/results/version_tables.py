"""The published tables: label, coverage and segment rows of unit results. Segments follow `nrray.results.segments`."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nrray.errors import ErrorKind
from nrray.results.domain import Domain
from nrray.results.segments import SegmentRule, WindowVotes, merge_votes
from nrray.tables import schema_of, table_from_rows
from nrray.types import NO_STATE, STATE_INDEX, Answer, Coverage, CoverageStatus, Label, LabelState, Segment, UnitStatus

_DICTIONARY = pa.dictionary(pa.int32(), pa.string())

LABEL_SCHEMA = schema_of(Label)
ANSWER_SCHEMA = schema_of(Answer)
COVERAGE_SCHEMA = schema_of(Coverage)
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
    windows = _windows(results)
    num_activities = len(activities)
    labelled = windows.labelled
    scores = windows.scores.reshape(-1, num_activities)[labelled]
    states = windows.states.reshape(-1, num_activities)[labelled]
    if rethreshold is not None:
        states = rethreshold(scores, states)
    video_id = windows.video_id[labelled]
    is_claimed = np.repeat(~_is_among(video_id, domain.not_assessable if domain is not None else ()), num_activities)
    states = np.where(is_claimed.reshape(states.shape), states, STATE_INDEX[LabelState.NOT_ASSESSABLE])
    rows = int(labelled.sum()) * num_activities
    flat = scores.reshape(-1)
    answers = _label_answers(results, activities)
    if answers is not None:
        answers = answers.filter(pa.array(np.repeat(labelled, num_activities)))
        answers = pc.if_else(pa.array(is_claimed), answers, pa.scalar(None, pa.string()))
    return pa.table(
        [
            _repeated(video_id, num_activities),
            _repeated(_paths_of(video_id, paths), num_activities),
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
            _repeated(_sources_of(video_id, source, domain), num_activities),
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
    windows = _windows(asked)
    names = asked["questions"].to_pylist()
    per_window = np.array([len(each) for each in names])[windows.unit]  # Q
    kept = windows.labelled & ~_is_among(windows.video_id, domain.not_assessable if domain is not None else ())
    window = np.repeat(np.arange(len(kept)), per_window)
    rows = np.flatnonzero(kept[window])
    of_row = window[rows]
    questions = [name for unit in windows.unit.tolist() for name in names[unit]]
    states = asked["answer_states"].combine_chunks().flatten().to_numpy(zero_copy_only=False)[rows].astype(np.int32)
    video_id = windows.video_id[of_row]
    return pa.table(
        [
            _repeated(video_id, 1),
            _repeated(_paths_of(video_id, paths), 1),
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
            _repeated(_sources_of(video_id, source, domain), 1),
            pa.array(np.full(len(rows), Answer.schema_version, np.int16)),
        ],
        schema=ANSWER_SCHEMA,
    )


def coverage_rows(
    results: pa.Table, *, paths: Mapping[str, str], source: str, domain: Domain | None = None
) -> pa.Table:
    """One row per window of `results`, labelled or not, COVERAGE_SCHEMA."""
    windows = _windows(results)
    unclaimed = domain.not_assessable if domain is not None else frozenset()
    is_unclaimed = windows.labelled & _is_among(windows.video_id, unclaimed)
    unit_status = np.asarray(results["status"].to_pylist(), dtype=object)[windows.unit]
    status = np.where(
        windows.labelled,
        np.where(
            is_unclaimed,
            CoverageStatus.NOT_ASSESSABLE.value,
            np.where(_is_degraded(windows.damage), CoverageStatus.DEGRADED.value, CoverageStatus.OK.value),
        ),
        np.where(unit_status == UnitStatus.QUARANTINED.value, "quarantined", "failed"),
    )
    error_kind = results["error_kind"].combine_chunks().take(pa.array(windows.unit))
    error = results["error"].combine_chunks().take(pa.array(windows.unit))
    shortfall = results["shortfall"].combine_chunks().take(pa.array(windows.unit))
    is_labelled = pa.array(windows.labelled)
    missing_kind = pc.coalesce(error_kind, pa.scalar("decode_failed"))
    reasons = {video: domain.reason(video) for video in unclaimed} if domain is not None else {}
    outside = pa.array([reasons.get(video) for video in windows.video_id], pa.string())
    outside_kind = pc.if_else(pa.array(is_unclaimed), ErrorKind.OUTSIDE_DOMAIN.value, pa.scalar(None, pa.string()))
    return _coverage_table(
        video_id=windows.video_id,
        paths=paths,
        start_us=pa.array(windows.start_us),
        end_us=pa.array(windows.end_us),
        status=[str(value) for value in status],
        error_kind=pc.if_else(is_labelled, outside_kind, missing_kind),
        reason=pc.if_else(
            is_labelled, pc.coalesce(outside, _damage_sentences(windows.damage)), pc.coalesce(error, shortfall)
        ),
        source=_repeated(_sources_of(windows.video_id, source, domain), 1),
        looks_distance=pa.array(windows.looks_distances, mask=~np.isfinite(windows.looks_distances)),
        damage=windows.damage,
    )


def not_run_rows(
    *,
    video_id: Sequence[str],
    start_us: NDArray[np.int64],
    end_us: NDArray[np.int64],
    paths: Mapping[str, str],
    source: str,
) -> pa.Table:
    """COVERAGE_SCHEMA rows of windows that are planned and have no result yet."""
    count = len(start_us)
    return _coverage_table(
        video_id=np.asarray(video_id, dtype=object),
        paths=paths,
        start_us=pa.array(start_us),
        end_us=pa.array(end_us),
        status=[CoverageStatus.NOT_RUN.value] * count,
        error_kind=pa.nulls(count, pa.string()),
        reason=pa.nulls(count, pa.string()),
        source=source,
    )


def unreadable_rows(videos: pa.Table, *, source: str) -> pa.Table:
    """COVERAGE_SCHEMA rows, one per bad file of a manifest: its span is not known."""
    ids = videos["video_id"].to_pylist()
    return _coverage_table(
        video_id=np.asarray(ids, dtype=object),
        paths=dict(zip(ids, videos["path"].to_pylist(), strict=True)),
        start_us=pa.nulls(len(ids), pa.int64()),
        end_us=pa.nulls(len(ids), pa.int64()),
        status=[CoverageStatus.FAILED.value] * len(ids),
        error_kind=videos["error_kind"].combine_chunks(),
        reason=videos["reason"].combine_chunks(),
        source=source,
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


@dataclass(frozen=True, kw_only=True)
class _Windows:
    unit: NDArray[np.int64]  # (W,) row of `results`
    video_id: NDArray[np.object_]
    start_us: NDArray[np.int64]
    end_us: NDArray[np.int64]
    labelled: NDArray[np.bool_]
    scores: NDArray[np.float32]  # (W * A,)
    states: NDArray[np.uint8]
    looks_distances: NDArray[np.float32]  # (W,) NaN where it is not known
    damage: NDArray[np.int32]  # (W, 3) pictures concealed, dropped, repeated


def _windows(results: pa.Table) -> _Windows:
    table = results.combine_chunks()
    starts = table["window_start_us"].combine_chunks()
    unit = np.asarray(pc.list_parent_indices(starts), dtype=np.int64)
    return _Windows(
        unit=unit,
        video_id=np.asarray(table["video_id"].to_pylist(), dtype=object)[unit],
        start_us=np.asarray(starts.flatten()),
        end_us=np.asarray(table["window_end_us"].combine_chunks().flatten()),
        labelled=np.asarray(table["window_labelled"].combine_chunks().flatten()).astype(bool),
        scores=np.asarray(table["scores"].combine_chunks().flatten()),
        states=np.asarray(table["states"].combine_chunks().flatten()),
        looks_distances=_looks_distances(table, len(unit)),
        damage=_damage(table, len(unit)),
    )


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


def _looks_distances(table: pa.Table, num_windows: int) -> NDArray[np.float32]:
    """(W,) distances; those of units of a release before, or of a model that knows no looks, are NaN."""
    lists = table["looks_distances"].combine_chunks()
    found = np.full(num_windows, np.nan, np.float32)
    has_distance = np.repeat(np.asarray(lists.is_valid()), pc.list_value_length(table["window_start_us"]).to_numpy())
    found[has_distance] = lists.drop_null().flatten().to_numpy(zero_copy_only=False)
    return found


def _damage(table: pa.Table, num_windows: int) -> NDArray[np.int32]:
    """(W, 3) pictures concealed, dropped, repeated; 0 of units that know of none."""
    lists = table["window_damage"].combine_chunks()
    found = np.zeros((num_windows, 3), np.int32)
    is_told = np.repeat(np.asarray(lists.is_valid()), pc.list_value_length(table["window_start_us"]).to_numpy())
    found[is_told] = lists.drop_null().flatten().to_numpy(zero_copy_only=False).reshape(-1, 3)
    return found


def _is_degraded(damage: NDArray[np.int32]) -> NDArray[np.bool_]:
    """(W,) whether pictures that the model was shown are damaged; a dropped one that nobody needed is not."""
    return np.asarray(damage[:, [0, 2]].any(axis=1))


def _damage_sentences(damage: NDArray[np.int32]) -> pa.Array:
    """What is said of each window's pictures, null where none is damaged."""
    words = ("concealed", "dropped", "repeated")
    sentences = [
        None
        if not is_degraded
        else "damaged pictures: "
        + ", ".join(f"{count} {word}" for count, word in zip(counts, words, strict=True) if count)
        for counts, is_degraded in zip(damage, _is_degraded(damage), strict=True)
    ]
    return pa.array(sentences, pa.string())


def _coverage_table(
    *,
    video_id: NDArray[np.object_],
    paths: Mapping[str, str],
    start_us: pa.Array,
    end_us: pa.Array,
    status: list[str],
    error_kind: pa.Array,
    reason: pa.Array,
    source: str | pa.DictionaryArray,
    looks_distance: pa.Array | None = None,
    damage: NDArray[np.int32] | None = None,
) -> pa.Table:
    count = len(video_id)
    return pa.table(
        [
            _repeated(video_id, 1),
            _repeated(_paths_of(video_id, paths), 1),
            start_us,
            end_us,
            pa.array(status, pa.string()).dictionary_encode(),
            error_kind.dictionary_encode(),
            reason,
            _constant(source, count) if isinstance(source, str) else source,
            looks_distance if looks_distance is not None else pa.nulls(count, pa.float32()),
            *(pa.nulls(count, pa.int32()) if damage is None else pa.array(damage[:, kind]) for kind in range(3)),
            pa.array(np.full(count, Coverage.schema_version, np.int16)),
        ],
        schema=COVERAGE_SCHEMA,
    )


def _paths_of(video_id: NDArray[np.object_], paths: Mapping[str, str]) -> NDArray[np.object_]:
    return np.asarray([paths[video] for video in video_id], dtype=object)


def _sources_of(video_id: NDArray[np.object_], source: str, domain: Domain | None) -> NDArray[np.object_]:
    names = {video: source if domain is None else domain.source(source, video) for video in set(video_id.tolist())}
    return _paths_of(video_id, names)


def _is_among(video_id: NDArray[np.object_], wanted: Collection[str]) -> NDArray[np.bool_]:
    return np.isin(video_id.astype(str), sorted(wanted)) if wanted else np.zeros(len(video_id), bool)


def _repeated(values: NDArray[np.object_], times: int) -> pa.DictionaryArray:
    encoded = pa.array(values, pa.string()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(np.repeat(np.asarray(encoded.indices), times), encoded.dictionary)


def _constant(value: str, count: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), [value])
