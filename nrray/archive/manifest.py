"""The `Video` manifest: the ids of contents and files, and checks of a manifest table. No I/O."""

import hashlib
from collections import Counter
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from nrray.errors import DataError
from nrray.tables import VERSION_COLUMN, check_columns, rows_from_table, schema_of, table_from_rows
from nrray.types import US_PER_SECOND, ClockKind, ProbeStatus, Video, VideoFacts

CHUNK_BYTES = 64 * 1024  # of start, middle and end, hashed into content_id


# Columns of `Video` since version 2.
_ADDED_IN_2 = frozenset(
    {
        *(
            "claimed_duration_us",
            "clock",
            "is_mirrored",
            "field_order",
            "transfer",
            "stream_index",
            "num_video_streams",
        ),
        *("num_key_frames", "remarks"),
    }
)


def content_id_of(size_bytes: int, chunks: Sequence[bytes]) -> str:
    """24 hex digits of sha256 over the size and the sampled chunks: equal contents have equal ids."""
    digest = hashlib.sha256(str(size_bytes).encode())
    for chunk in chunks:
        digest.update(len(chunk).to_bytes(8, "little"))
        digest.update(chunk)
    return digest.hexdigest()[:24]


def video_id_of(content_id: str, path: str) -> str:
    """16 hex digits of sha256 over content and relative path, so that copies of one content stay apart."""
    return hashlib.sha256(f"{content_id}\0{path}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


def manifest_table(videos: Sequence[Video]) -> pa.Table:
    """One row per file, sorted by path."""
    return table_from_rows(sorted(videos, key=lambda video: video.path), Video)


def manifest_videos(table: pa.Table) -> list[Video]:
    """The rows of a manifest table. Raises DataError where columns are missing or ill-typed."""
    return rows_from_table(with_added_columns(table), Video)


def with_added_columns(table: pa.Table) -> pa.Table:
    """`table` with the columns that version 1 did not have, empty."""
    for field in schema_of(Video):
        if field.name in _ADDED_IN_2 and field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    return table


def usual_size(table: pa.Table) -> tuple[int, int] | None:
    """Width and height, as they are shown, of most hours of the readable videos; None where a manifest has none."""
    readable = table.filter(pc.equal(table["status"], ProbeStatus.OK.value))
    columns = ("width_px", "height_px", "rotation_degrees", "duration_us")
    hours: Counter[tuple[int, int]] = Counter()
    for width, height, rotation, duration in zip(*(readable[name].to_pylist() for name in columns), strict=True):
        if width and height:
            hours[(height, width) if rotation in (90, 270) else (width, height)] += duration
    return max(hours, key=lambda size: (hours[size], size)) if hours else None


def check_manifest(table: pa.Table, *, name: str) -> None:
    """Raise DataError where a table is no manifest that a plan can be made of: edited by hand, or of another program."""
    columns = [field for field in schema_of(Video) if field.name != VERSION_COLUMN]
    if missing := [field.name for field in columns if field.name not in {*table.column_names, *_ADDED_IN_2}]:
        raise DataError(f"{name} is no manifest of `nrray scan`: it lacks the columns {missing[:5]}")
    table = with_added_columns(table)
    check_columns(table, Video, name=name)
    for field in columns:
        if (found := table.schema.field(field.name).type) != field.type:
            raise DataError(f"{name}: column {field.name} holds {found}, expected {field.type}. Scan again.")
    counts = pc.value_counts(table["video_id"]).to_pylist()
    if twice := [item["values"] for item in counts if item["counts"] > 1]:
        paths = table.filter(pc.equal(table["video_id"], twice[0]))["path"].to_pylist()
        raise DataError(
            f"{name}: {len(paths)} rows have the video_id {twice[0]}: {paths[:3]}. Expected one; scan again."
        )
    known = pc.is_in(table["status"], value_set=pa.array([status.value for status in ProbeStatus]))
    has_times = pc.and_(pc.is_valid(table["start_us"]), pc.greater(pc.fill_null(table["duration_us"], 0), 0))
    is_bad = pc.equal(table["status"], ProbeStatus.BAD.value)
    wrong = table.filter(pc.invert(pc.and_(known, pc.or_(is_bad, has_times))))
    if wrong.num_rows:
        row = wrong.select(["path", "status", "start_us", "duration_us"]).to_pylist()[0]
        raise DataError(
            f"{name}: {wrong.num_rows} rows cannot be planned, such as {row}. Expected status bad, or ok with a start and a "
            f"duration above 0. Scan again."
        )


def facts_of_videos(manifest: pa.Table, video_ids: pa.Array) -> dict[str, pa.Array]:
    """The columns of `VideoFacts` for some videos, in the order of `video_ids`. A file of which the scan could not tell counts
    as seekable: whoever seeks in it sees. One that is not can be decoded from its start alone."""
    position = pc.index_in(video_ids, value_set=manifest["video_id"].combine_chunks())
    manifest = with_added_columns(manifest)
    names = [name for name in schema_of(VideoFacts).names if name in manifest.column_names]
    columns = {name: manifest[name].combine_chunks().take(position) for name in names}
    fps = manifest["measured_fps"].combine_chunks().take(position)
    interval_us = pc.divide(float(US_PER_SECOND), pc.if_else(pc.greater(fps, 0.0), fps, pa.scalar(None, fps.type)))
    seekable = pc.fill_null(columns["seekable"], True)
    num_keys = manifest["num_key_frames"].combine_chunks().take(position)
    num_starts = pc.if_else(seekable, pc.max_element_wise(num_keys, 1, skip_nulls=False), 1)
    return {
        **columns,
        "seekable": seekable,
        "key_interval_us": pc.divide(columns["duration_us"], num_starts),
        "clock": pc.fill_null(columns["clock"], ClockKind.UNCHECKED.value),
        "frame_interval_us": pc.cast(pc.round(interval_us), pa.int64()),
    }


def duplicate_groups(videos: Sequence[Video]) -> list[list[Video]]:
    """Groups of two or more non-empty files with one content."""
    groups: dict[str, list[Video]] = {}
    for video in videos:
        if video.size_bytes > 0:
            groups.setdefault(video.content_id, []).append(video)
    return [group for group in groups.values() if len(group) > 1]


def problem_counts(videos: Sequence[Video]) -> Counter[str]:
    """How many files of each error kind."""
    return Counter(str(video.error_kind) for video in videos if video.status is ProbeStatus.BAD)
