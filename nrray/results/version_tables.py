"""The published tables: label, coverage and segment rows of unit results. Segments follow `nrray.results.segments`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nrray.results.segments import SegmentRule, WindowVotes, merge_votes
from nrray.tables import schema_of, table_from_rows
from nrray.types import STATE_INDEX, Coverage, CoverageStatus, Label, LabelState, Segment, UnitStatus

_DICTIONARY = pa.dictionary(pa.int32(), pa.string())

LABEL_SCHEMA = schema_of(Label)
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
) -> pa.Table:
    """One row per labelled window and activity of `results` (the ledger's rows), LABEL_SCHEMA.

    `rethreshold` decides states anew from scores, where other thresholds than the model's are asked for.
    """
    windows = _windows(results)
    num_activities = len(activities)
    labelled = windows.labelled
    scores = windows.scores.reshape(-1, num_activities)[labelled]
    states = windows.states.reshape(-1, num_activities)[labelled]
    if rethreshold is not None:
        states = rethreshold(scores, states)
    rows = int(labelled.sum()) * num_activities
    flat = scores.reshape(-1)
    answers = windows.answers
    if answers is not None:
        answers = answers.filter(pa.array(np.repeat(labelled, num_activities)))
    return pa.table(
        [
            _repeated(windows.video_id[labelled], num_activities),
            _repeated(_paths_of(windows.video_id[labelled], paths), num_activities),
            pa.array(np.repeat(windows.start_us[labelled], num_activities)),
            pa.array(np.repeat(windows.end_us[labelled], num_activities)),
            pa.DictionaryArray.from_arrays(
                pa.array(np.tile(np.arange(num_activities, dtype=np.int32), rows // num_activities)), list(activities)
            ),
            pa.array(flat, mask=~np.isfinite(flat)),
            pa.DictionaryArray.from_arrays(
                pa.array(states.reshape(-1).astype(np.int32)), [state.value for state in LabelState]
            ),
            answers if answers is not None else pa.nulls(rows, pa.string()),
            _constant(source, rows),
            pa.array(np.full(rows, Label.schema_version, np.int16)),
        ],
        schema=LABEL_SCHEMA,
    )


def coverage_rows(results: pa.Table, *, paths: Mapping[str, str], source: str) -> pa.Table:
    """One row per window of `results`, labelled or not, COVERAGE_SCHEMA."""
    windows = _windows(results)
    unit_status = np.asarray(results["status"].to_pylist(), dtype=object)[windows.unit]
    status = np.where(
        windows.labelled,
        CoverageStatus.OK.value,
        np.where(unit_status == UnitStatus.QUARANTINED.value, "quarantined", "failed"),
    )
    error_kind = results["error_kind"].combine_chunks().take(pa.array(windows.unit))
    error = results["error"].combine_chunks().take(pa.array(windows.unit))
    shortfall = results["shortfall"].combine_chunks().take(pa.array(windows.unit))
    is_ok = pa.array(windows.labelled)
    missing_kind = pc.coalesce(error_kind, pa.scalar("decode_failed"))
    return _coverage_table(
        video_id=windows.video_id,
        paths=paths,
        start_us=pa.array(windows.start_us),
        end_us=pa.array(windows.end_us),
        status=[str(value) for value in status],
        error_kind=pc.if_else(is_ok, pa.scalar(None, pa.string()), missing_kind),
        reason=pc.if_else(is_ok, pa.scalar(None, pa.string()), pc.coalesce(error, shortfall)),
        source=source,
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
    labels: pa.Table, *, paths: Mapping[str, str], activities: Sequence[str], rule: SegmentRule, source: str
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
            source=source,
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
    answers: pa.Array | None


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
        answers=_answers(table),
    )


def _answers(table: pa.Table) -> pa.Array | None:
    """(W * A,) answers, null where a unit has none; None where no unit has any."""
    answers = table["answers"]
    if answers.null_count == len(answers):
        return None
    lengths = pc.list_value_length(table["scores"]).to_pylist()
    filled = [row if row is not None else [None] * n for row, n in zip(answers.to_pylist(), lengths, strict=True)]
    return pa.array([answer for row in filled for answer in row], pa.string())


def _coverage_table(
    *,
    video_id: NDArray[np.object_],
    paths: Mapping[str, str],
    start_us: pa.Array,
    end_us: pa.Array,
    status: list[str],
    error_kind: pa.Array,
    reason: pa.Array,
    source: str,
) -> pa.Table:
    return pa.table(
        [
            _repeated(video_id, 1),
            _repeated(_paths_of(video_id, paths), 1),
            start_us,
            end_us,
            pa.array(status, pa.string()).dictionary_encode(),
            error_kind.dictionary_encode(),
            reason,
            _constant(source, len(video_id)),
            pa.array(np.full(len(video_id), Coverage.schema_version, np.int16)),
        ],
        schema=COVERAGE_SCHEMA,
    )


def _paths_of(video_id: NDArray[np.object_], paths: Mapping[str, str]) -> NDArray[np.object_]:
    return np.asarray([paths[video] for video in video_id], dtype=object)


def _repeated(values: NDArray[np.object_], times: int) -> pa.DictionaryArray:
    encoded = pa.array(values, pa.string()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(np.repeat(np.asarray(encoded.indices), times), encoded.dictionary)


def _constant(value: str, count: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), [value])
