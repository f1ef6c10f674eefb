"""Truth and human annotations: segments and extents keyed by video path, the field's millisecond text, and what they
say of a window."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nrray.errors import DataError
from nrray.labels import Activity
from nrray.storage import Folder

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


@dataclass(frozen=True, kw_only=True)
class TruthSegment:
    """An activity going on in a video named by its path; half-open, presentation time."""

    video_path: str
    activity: str
    start_us: int
    end_us: int
    source: str


@dataclass(frozen=True, kw_only=True)
class TruthExtent:
    """A span that the source has looked at."""

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
        tables.append(table.select(schema.names).cast(schema))
    return tables[0], tables[1]


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
        for start, end in _united(starts[mine], ends[mine]):
            overlap = np.minimum(window_end_us, end) - np.maximum(window_start_us, start)
            covered += np.maximum(overlap, 0)
        targets[:, column] = covered > activity.positive_coverage * length
    return targets


def _united(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> list[tuple[int, int]]:
    united: list[tuple[int, int]] = []
    for start, end in sorted(zip(starts.tolist(), ends.tolist(), strict=True)):
        if united and start <= united[-1][1]:
            united[-1] = (united[-1][0], max(united[-1][1], end))
        else:
            united.append((start, end))
    return united
