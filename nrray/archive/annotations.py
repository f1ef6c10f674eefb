"""Truth and human annotations: segments and extents keyed by video path, the field's millisecond text, and what they
say of a window."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nrray.errors import DataError
from nrray.intervals import union_of
from nrray.labels import Activity
from nrray.storage import Folder
from nrray.types import US_PER_SECOND

SEGMENT_SCHEMA = pa.schema(
    [
        pa.field("video_path", pa.string(), nullable=False),
        pa.field("activity", pa.string(), nullable=False),
        pa.field("start_us", pa.int64(), nullable=False),
        pa.field("end_us", pa.int64(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
    ]
)
EXTENT_SCHEMA = pa.schema([field for field in SEGMENT_SCHEMA if field.name != "activity"])

_SMALL_SHARE = 0.02  # of a video's length: annotations that all end there were read in the wrong unit
_GLANCE_US = 200_000  # nobody annotates what is shorter


@dataclass(frozen=True, kw_only=True)
class TruthSegment:
    """An activity going on in a video named by its path; half-open, presentation time."""

    schema_version: ClassVar[int] = 1

    video_path: str
    activity: str
    start_us: int
    end_us: int
    source: str


@dataclass(frozen=True, kw_only=True)
class TruthExtent:
    """A span that the source has looked at."""

    schema_version: ClassVar[int] = 1

    video_path: str
    start_us: int
    end_us: int
    source: str


def millisecond_text(segments: Sequence[TruthSegment]) -> str:
    """The field's text of one video: label, start, end, duration in whole milliseconds, tab-separated."""
    lines = []
    for segment in sorted(segments, key=lambda segment: (segment.start_us, segment.activity)):
        start_ms, end_ms = round(segment.start_us / 1000), round(segment.end_us / 1000)
        lines.append(f"{segment.activity}\t{start_ms}\t{end_ms}\t{end_ms - start_ms}\n")
    return "".join(lines)


def read_truth(uri: str) -> tuple[pa.Table, pa.Table]:
    """(segments, extents) of an annotation folder, on any storage. Raises DataError where a table is missing or lacks
    columns."""
    folder, tables = Folder(uri), []
    for name, schema in (("segments.parquet", SEGMENT_SCHEMA), ("extents.parquet", EXTENT_SCHEMA)):
        if not folder.exists(name):
            raise DataError(
                f"no {name} in {folder}: expected a folder of annotations, as `nrray simulate` and `nrray import` write it"
            )
        table = folder.read_table(name)
        if missing := [field for field in schema.names if field not in table.column_names]:
            raise DataError(f"{folder.path(name)} lacks columns {missing}; it has {table.column_names}")
        table = table.select(schema.names).cast(schema)
        _check_spans(table, what="segment" if "activity" in schema.names else "extent")
        tables.append(table)
    return tables[0], tables[1]


def num_overlapping(segments: Sequence[TruthSegment]) -> int:
    """How many begin before another of the same activity, video and source has ended."""
    until: dict[tuple[str, str, str], int] = {}
    count = 0
    for segment in sorted(segments, key=lambda segment: segment.start_us):
        key = (segment.video_path, segment.source, segment.activity)
        count += segment.start_us < until.get(key, segment.start_us)
        until[key] = max(until.get(key, 0), segment.end_us)
    return count


def _check_spans(table: pa.Table, *, what: str) -> None:
    """Raise DataError where one ends before it starts, or starts before time 0."""
    wrong = table.filter(pc.or_(pc.less_equal(table["end_us"], table["start_us"]), pc.less(table["start_us"], 0)))
    if wrong.num_rows:
        row = wrong.select(["video_path", "start_us", "end_us"]).to_pylist()[0]
        raise DataError(
            f"annotations of {row['video_path']!r}: a {what} ends at {_s(row['end_us'])}, but starts at {_s(row['start_us'])}"
            f"{'' if wrong.num_rows == 1 else f', one of {wrong.num_rows} that cannot be'}. Mend them, and import them again."
        )


def check_one_annotator(segments: pa.Table, extents: pa.Table) -> None:
    """Raise DataError where a video was annotated by several: what one of them does not say contradicts the others."""
    looks = pa.concat_tables([table.select(["video_path", "source"]) for table in (segments, extents)])
    by_video = looks.group_by(["video_path", "source"]).aggregate([]).group_by("video_path")
    counts = by_video.aggregate([("source", "count")])
    if twice := counts.filter(pc.greater(counts["source_count"], 1))["video_path"].to_pylist():
        who = sorted(set(looks.filter(pc.equal(looks["video_path"], twice[0]))["source"].to_pylist()))
        raise DataError(
            f"{len(twice)} videos, such as {twice[0]!r}, were annotated by several: {', '.join(who[:6])}. Expected one for each "
            f"video: import each annotator into a folder of its own (annotator=NAME), so that they can be compared."
        )


def unit_doubt(segments: pa.Table, spans: Mapping[str, tuple[int, int]]) -> str | None:
    """A sentence where segments look as if they had been read in the wrong unit of time: all of them, or all of one video.
    spans: path to start and end of the video, in microseconds."""
    last: dict[str, int] = {}
    longest: dict[str, int] = {}
    for path, start, end in zip(
        *(segments[name].to_pylist() for name in ("video_path", "start_us", "end_us")), strict=True
    ):
        if path in spans and end > spans[path][0] < spans[path][1] - 10 * US_PER_SECOND:
            last[path] = max(last.get(path, 0), end - spans[path][0])
            longest[path] = max(longest.get(path, 0), end - start)
    shares = {path: last[path] / (spans[path][1] - spans[path][0]) for path in last}
    if not shares:
        return None
    small = {path: share for path, share in shares.items() if share < _SMALL_SHARE}
    # Of a single video, an early segment is no evidence; that none is longer than a glance is.
    suspects = (
        small if len(small) == len(shares) else {path: small[path] for path in small if longest[path] < _GLANCE_US}
    )
    if not suspects:
        return None
    path = max(suspects, key=lambda path: suspects[path])
    start, end = spans[path]
    return (
        f"all annotations of {len(suspects)} of {len(shares)} videos end within the first {100 * suspects[path]:.2g} % of "
        f"their video: in {path!r}, of {_s(end - start)}, the last one ends at {_s(last[path] + start)}. That is what "
        f"seconds look like which were read as milliseconds. Import them again with their unit."
    )


def _s(us: int) -> str:
    return f"{us / US_PER_SECOND:.3f} s"


def truth_with_video_ids(truth: pa.Table, manifest: pa.Table) -> pa.Table:
    """`truth` with a `video_id` column, joined over the manifest's paths. Raises DataError that names missing videos."""
    paths = manifest["path"].combine_chunks()
    position = pc.index_in(truth["video_path"], value_set=paths)
    if position.null_count:
        missing = pc.unique(truth["video_path"].filter(pc.is_null(position))).to_pylist()
        raise DataError(
            f"{len(missing)} videos of the truth are not in the manifest: {missing[:3]}. "
            f"Its paths are relative to the scanned archive."
        )
    ids = manifest["video_id"].combine_chunks().take(position.combine_chunks())
    return truth.append_column("video_id", ids)


def window_targets(
    segments: pa.Table,
    activities: Sequence[Activity],
    window_start_us: NDArray[np.int64],
    window_end_us: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """(W, A) whether each activity covers more than its `positive_coverage` of a window, by the segments of one video.

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
        targets[:, column] = covered > activity.positive_coverage * length
    return targets
