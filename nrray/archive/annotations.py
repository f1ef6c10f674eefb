"""Annotations of an archive's videos: a folder of two tables and of the activities that were looked for,
the field's millisecond text, and window targets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nrray.documents import Document, document_from
from nrray.errors import DataError
from nrray.intervals import Interval, union_of
from nrray.labels import Activity
from nrray.storage import Folder
from nrray.tables import VERSION_COLUMN, check_columns, schema_of, table_from_rows
from nrray.types import US_PER_SECOND, Extent, Origin, Segment

SEGMENTS_FILE, EXTENTS_FILE = "segments.parquet", "extents.parquet"
ACTIVITIES_FILE = "activities.json"
SIMULATION = "simulation"  # source of simulated segments

_SMALL_SHARE = 0.02  # of a video's length: annotations that all end there were read in the wrong unit
_SHORT_US = 10_000_000  # of a video this short, no segment is early
_GLANCE_US = 200_000  # nobody annotates a shorter activity


@dataclass(frozen=True, kw_only=True)
class Annotations:
    """The two tables of a folder, with the columns of Segment and of Extent; a column of texts is plain strings. labelled: the
    activities that the annotators looked for, so that silence about them is absence."""

    segments: pa.Table
    extents: pa.Table
    labelled: frozenset[str]


class LabelledActivities(Document):
    """The content of activities.json."""

    newest_version: ClassVar[int] = 1

    activities: tuple[str, ...]


def read_annotations(uri: str) -> Annotations:
    """The annotations in a folder on any storage. Activities that the folder does not say were looked for, and of which it has
    no segment, are not labelled. Raises DataError where a table is missing, lacks columns, is of a newer version, or has a row
    that ends before it starts."""
    folder = Folder(uri)
    segments, extents = _table(folder, SEGMENTS_FILE, Segment), _table(folder, EXTENTS_FILE, Extent)
    named = frozenset(pc.unique(segments["activity"]).to_pylist())
    return Annotations(segments=segments, extents=extents, labelled=named | _stated_activities(folder))


def write_annotations(
    folder: Folder, segments: Sequence[Segment], extents: Sequence[Extent], *, activities: Sequence[str] = ()
) -> None:
    """Write both tables into `folder`, which is made where it is missing. `activities` were looked for in all extents, also
    those of which there is no segment."""
    folder.create()
    looked_for = list(dict.fromkeys([*activities, *sorted({segment.activity for segment in segments})]))
    folder.write_json(ACTIVITIES_FILE, {"activities": looked_for, "schema_version": LabelledActivities.newest_version})
    folder.write_table(SEGMENTS_FILE, table_from_rows(segments, Segment))
    folder.write_table(EXTENTS_FILE, table_from_rows(extents, Extent))


def _stated_activities(folder: Folder) -> frozenset[str]:
    if not folder.exists(ACTIVITIES_FILE):
        return frozenset()
    data = folder.read_json(ACTIVITIES_FILE)
    return frozenset(document_from(LabelledActivities, data, name=ACTIVITIES_FILE, folder=str(folder)).activities)


def _table(folder: Folder, name: str, row_type: type[Segment] | type[Extent]) -> pa.Table:
    if not folder.exists(name):
        raise DataError(
            f"no {name} in {folder}: expected a folder of annotations, as `nrray simulate` and `nrray import` write it"
        )
    table = folder.read_table(name)
    if "video_path" in table.column_names:
        table = _with_path_and_origin(table)
    check_columns(table, row_type, name=folder.path(name))
    table = _with_plain_texts(table, row_type)
    _check_intervals(table, noun="segment" if row_type is Segment else "extent")
    return table


def _with_path_and_origin(table: pa.Table) -> pa.Table:
    """A table whose videos are named by `video_path` has no column for a segment's origin, score or video id."""
    table = table.rename_columns(["path" if name == "video_path" else name for name in table.column_names])
    if "activity" not in table.column_names or "source" not in table.column_names:
        return table
    is_simulated = pc.equal(table["source"], SIMULATION)
    origin = pc.if_else(is_simulated, Origin.SIMULATED.value, Origin.IMPORTED.value)
    missing = {
        "video_id": pa.nulls(len(table), pa.string()),
        "score": pa.nulls(len(table), pa.float32()),
        "origin": origin,
    }
    for name, column in missing.items():
        table = table.append_column(name, column)
    return table


def _with_plain_texts(table: pa.Table, row_type: type) -> pa.Table:
    columns = []
    for field in schema_of(row_type):
        if field.name in table.column_names and field.name != VERSION_COLUMN:
            kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
            columns.append(field.with_type(kind))
    schema = pa.schema(columns)
    return table.select(schema.names).cast(schema)


def millisecond_text(segments: Sequence[Segment]) -> str:
    """The field's text of one video: label, start, end, duration in whole milliseconds, tab-separated."""
    lines = []
    for segment in sorted(segments, key=lambda segment: (segment.start_us, segment.activity)):
        start_ms, end_ms = round(segment.start_us / 1000), round(segment.end_us / 1000)
        lines.append(f"{segment.activity}\t{start_ms}\t{end_ms}\t{end_ms - start_ms}\n")
    return "".join(lines)


def num_overlapping(segments: Sequence[Segment]) -> int:
    """How many begin before another of the same activity, video and source has ended."""
    until: dict[tuple[str, str, str], int] = {}
    count = 0
    for segment in sorted(segments, key=lambda segment: segment.start_us):
        key = (segment.path, segment.source, segment.activity)
        count += segment.start_us < until.get(key, segment.start_us)
        until[key] = max(until.get(key, 0), segment.end_us)
    return count


def _check_intervals(table: pa.Table, *, noun: str) -> None:
    """Raise DataError where a row ends before it starts, or starts before time 0."""
    wrong = table.filter(pc.or_(pc.less_equal(table["end_us"], table["start_us"]), pc.less(table["start_us"], 0)))
    if wrong.num_rows:
        row = wrong.select(["path", "start_us", "end_us"]).to_pylist()[0]
        raise DataError(
            f"annotations of {row['path']!r}: a {noun} ends at {_s(row['end_us'])}, but starts at {_s(row['start_us'])}"
            f"{'' if wrong.num_rows == 1 else f', one of {wrong.num_rows} that cannot be'}. Mend them, and import them again."
        )


def check_one_annotator(annotations: Annotations) -> None:
    """Raise DataError where a video was annotated by several: the silence of one contradicts the segments of another."""
    tables = (annotations.segments, annotations.extents)
    pairs = pa.concat_tables([table.select(["path", "source"]) for table in tables])
    by_video = pairs.group_by(["path", "source"]).aggregate([]).group_by("path")
    counts = by_video.aggregate([("source", "count")])
    if twice := counts.filter(pc.greater(counts["source_count"], 1))["path"].to_pylist():
        who = sorted(set(pairs.filter(pc.equal(pairs["path"], twice[0]))["source"].to_pylist()))
        raise DataError(
            f"{len(twice)} videos, such as {twice[0]!r}, were annotated by several: {', '.join(who[:6])}. Expected one for each "
            f"video: import each annotator into a folder of its own (annotator=NAME), so that they can be compared."
        )


def unit_doubt(segments: pa.Table, videos: Mapping[str, Interval]) -> str | None:
    """A sentence where segments look as if they had been read in the wrong unit of time: all of them, or all of one video.
    videos: path to the time of the video."""
    last: dict[str, int] = {}
    longest: dict[str, int] = {}
    for path, start, end in zip(*(segments[name].to_pylist() for name in ("path", "start_us", "end_us")), strict=True):
        video = videos.get(path)
        if video is not None and end > video.start_us and video.length_us > _SHORT_US:
            last[path] = max(last.get(path, 0), end - video.start_us)
            longest[path] = max(longest.get(path, 0), end - start)
    shares = {path: last[path] / videos[path].length_us for path in last}
    if not shares:
        return None
    small = {path: share for path, share in shares.items() if share < _SMALL_SHARE}
    # In a single video, an early end is no evidence; that no segment is longer than a glance is.
    suspects = (
        small if len(small) == len(shares) else {path: small[path] for path in small if longest[path] < _GLANCE_US}
    )
    if not suspects:
        return None
    path = max(suspects, key=lambda path: suspects[path])
    video = videos[path]
    return (
        f"all annotations of {len(suspects)} of {len(shares)} videos end within the first {100 * suspects[path]:.2g} % of "
        f"their video: in {path!r}, of {_s(video.length_us)}, the last one ends at {_s(last[path] + video.start_us)}. Seconds "
        f"that were read as milliseconds look like that. Import them again with their unit."
    )


def _s(us: int) -> str:
    return f"{us / US_PER_SECOND:.3f} s"


def window_targets(
    segments: pa.Table,
    activities: Sequence[Activity],
    window_start_us: NDArray[np.int64],
    window_end_us: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """(W, A) whether each activity makes each window positive, by the segments of one video.

    Overlapping segments of one activity count once.
    """
    targets = np.zeros((len(window_start_us), len(activities)), bool)
    names = np.asarray(segments["activity"].to_pylist(), dtype=object)
    starts, ends = segments["start_us"].to_numpy(), segments["end_us"].to_numpy()
    length = np.maximum(window_end_us - window_start_us, 1)
    for column, activity in enumerate(activities):
        mine = names == activity.name if len(names) else np.zeros(0, bool)
        covered = np.zeros(len(window_start_us), np.int64)
        for start, end in union_of(starts[mine], ends[mine]).tolist():
            overlap = np.minimum(window_end_us, end) - np.maximum(window_start_us, start)
            covered += np.maximum(overlap, 0)
        targets[:, column] = activity.is_positive(covered, length)
    return targets
