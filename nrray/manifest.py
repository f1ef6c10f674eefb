"""The `Video` manifest: its Arrow schema, the ids of contents and files, and what a scan found. No I/O."""

import hashlib
from collections import Counter
from collections.abc import Sequence

import pyarrow as pa

from nrray.tables import rows_from_table, table_from_rows
from nrray.types import ProbeStatus, Video

VIDEO_SCHEMA = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("content_id", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("size_bytes", pa.int64(), nullable=False),
        pa.field("modified_us", pa.int64(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("error_kind", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("container", pa.string()),
        pa.field("codec", pa.string()),
        pa.field("pixel_format", pa.string()),
        pa.field("start_us", pa.int64()),
        pa.field("duration_us", pa.int64()),
        pa.field("nominal_fps", pa.float64()),
        pa.field("measured_fps", pa.float64()),
        pa.field("is_variable_fps", pa.bool_()),
        pa.field("width_px", pa.int32()),
        pa.field("height_px", pa.int32()),
        pa.field("rotation_degrees", pa.int32()),
        pa.field("seekable", pa.bool_()),
    ]
)

CHUNK_BYTES = 64 * 1024  # of start, middle and end, hashed into content_id


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
    return table_from_rows(sorted(videos, key=lambda video: video.path), VIDEO_SCHEMA)


def manifest_videos(table: pa.Table) -> list[Video]:
    """The rows of a manifest table. Raises DataError where columns are missing or ill-typed."""
    return rows_from_table(table, Video)


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
