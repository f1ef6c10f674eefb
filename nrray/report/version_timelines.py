"""Timeline pictures of a published label version, read video by video: memory does not grow with the archive."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from nrray.errors import DataError
from nrray.intervals import IntervalArray
from nrray.report.timeline_picture import (
    UNDECIDED_HATCHES,
    Lane,
    WindowScores,
    draw_timeline,
    intervals_of_state,
    unexamined_intervals,
)
from nrray.results.domain import OUTSIDE_MARK, DomainRecord
from nrray.results.version import read_version_record
from nrray.storage import Folder
from nrray.types import EXAMINED_STATUSES

BATCH_ROWS = 65_536
MAX_NAME_CHARS = 60


def draw_version_timelines(
    version: str | Path, output: str | Path, *, reference: pa.Table | None, max_pictures: int
) -> list[str]:
    """Draw the first `max_pictures` videos of `version`, in order of path, as `<output>/<NNNN>-<file name>.png`.

    `reference` has the columns of Segment: the segments that the labels are shown beside. Unreadable files have no
    picture. Returns the paths written. Raises DataError where the version is damaged, StorageError.
    """
    source, target = Folder(str(version)), Folder(str(output))
    chosen = _first_videos(source, max_pictures)
    record = read_version_record(source)
    activities = record.activities
    target.create()
    written: dict[int, str] = {}
    with ExitStack() as stack:
        segments = _rows_by_video(source, "segments.parquet", ["activity", "start_us", "end_us", "source"], set(chosen))
        coverage, labels = (
            _Videos(stack.enter_context(_parquet(source, name)), name=source.path(name), columns=columns)
            for name, columns in (
                ("coverage.parquet", ["video_id", "start_us", "end_us", "status", "looks_distance"]),
                ("labels.parquet", ["video_id", "start_us", "end_us", "activity", "score", "state", "source"]),
            )
        )
        for video_id, rows in coverage:
            mine = labels.rows_of(video_id)
            if mine.num_rows == 0 and not set(_texts(rows["status"])).isdisjoint(EXAMINED_STATUSES):
                raise DataError(f"{source}: labels.parquet is not in the order of coverage.parquet, or lacks rows")
            if video_id not in chosen:
                continue
            video = chosen.pop(video_id)
            name = video.file
            lanes = [_model_lane(mine, segments[video_id], activities)]
            lanes += _reference_lane(reference, video.path)
            picture = _picture(video.path, activities, rows, lanes, warning=_warning(record.domain, rows, lanes))
            target.write_bytes(name, picture, durable=False)
            written[video.number] = target.path(name)
            if not chosen:
                break
    return [written[number] for number in sorted(written)]


def timeline_files(version: str | Path) -> dict[str, str]:
    """Path of each readable video to the name of its picture, if it was drawn. Raises DataError."""
    return {video.path: video.file for video in _first_videos(Folder(str(version)), None).values()}


def safe_name(path: str) -> str:
    """The file name in `path` without its extension, in ASCII letters, digits, `.`, `_` and `-`, at most
    MAX_NAME_CHARS."""
    stem = re.split(r"[/\\]", path)[-1].rsplit(".", 1)[0]
    ascii_text = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^A-Za-z0-9._-]+", "_", ascii_text).strip("._-")[:MAX_NAME_CHARS] or "video"


@dataclass(frozen=True, kw_only=True)
class _Chosen:
    number: int
    path: str

    @property
    def file(self) -> str:
        return f"{self.number:04d}-{safe_name(self.path)}.png"


def _first_videos(version: Folder, max_pictures: int | None) -> dict[str, _Chosen]:
    """By video id: the readable videos that come first by path, or all of them, numbered from 1."""
    path_of: dict[str, str] = {}
    with _parquet(version, "coverage.parquet") as file:
        for table in _batches(file, name=version.path("coverage.parquet"), columns=["video_id", "path", "start_us"]):
            readable = table.filter(pc.is_valid(pc.field("start_us")))
            pairs = readable.select(["video_id", "path"]).group_by(["video_id", "path"]).aggregate([])
            path_of.update(
                zip(
                    pairs["video_id"].cast(pa.string()).to_pylist(),
                    pairs["path"].cast(pa.string()).to_pylist(),
                    strict=True,
                )
            )
    first = sorted(path_of.items(), key=lambda item: (item[1], item[0]))[:max_pictures]
    return {video_id: _Chosen(number=number, path=path) for number, (video_id, path) in enumerate(first, 1)}


class _Videos:
    """The rows of one table, a video at a time, in the order of the file. Publishing leaves each video's rows together
    and videos in one order in coverage and labels; where that does not hold it is refused, never read as silence."""

    def __init__(self, file: pq.ParquetFile, *, name: str, columns: list[str]) -> None:
        self._name = name
        known = [column for column in columns if column in file.schema_arrow.names]  # a release before had fewer
        self._empty = file.schema_arrow.empty_table().select(known)
        self._runs = self._joined(file, known)
        self._passed: set[str] = set()
        self._next = next(self._runs, None)

    def __iter__(self) -> Iterator[tuple[str, pa.Table]]:
        while self._next is not None:
            video_id = self._next[0]
            yield video_id, self.rows_of(video_id)

    def rows_of(self, video_id: str) -> pa.Table:
        """The rows of the video that is next in order; none where it has none. Raises DataError."""
        self._passed.add(video_id)
        if self._next is None:
            return self._empty
        if self._next[0] == video_id:
            rows = self._next[1]
            self._next = next(self._runs, None)
            return rows
        if self._next[0] in self._passed:
            raise DataError(f"{self._name}: rows are not in the order of coverage.parquet; publish the version again")
        return self._empty

    def _joined(self, file: pq.ParquetFile, columns: list[str]) -> Iterator[tuple[str, pa.Table]]:
        pending: list[pa.Table] = []
        pending_id = ""
        for table in _batches(file, name=self._name, columns=columns):
            ids = table["video_id"].cast(pa.string()).to_numpy()
            for start, end in pairwise([0, *(np.flatnonzero(ids[1:] != ids[:-1]) + 1).tolist(), len(ids)]):
                if pending and ids[start] != pending_id:
                    yield pending_id, pa.concat_tables(pending)
                    pending = []
                pending_id = str(ids[start])
                pending.append(table.slice(start, end - start))
        if pending:
            yield pending_id, pa.concat_tables(pending)


@contextmanager
def _parquet(folder: Folder, name: str) -> Iterator[pq.ParquetFile]:
    try:
        stream = folder.filesystem.open(folder.path(name), "rb")
    except OSError as error:
        raise DataError(f"{folder.path(name)} cannot be read: {error}") from None
    with stream:
        try:
            file = pq.ParquetFile(stream)
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{folder.path(name)} is not a readable table of a label version: {error}") from None
        yield file


def _batches(file: pq.ParquetFile, *, name: str, columns: list[str]) -> Iterator[pa.Table]:
    try:
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=columns):
            if batch.num_rows:
                yield pa.Table.from_batches([batch])
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{name} is damaged: {error}. Publish the version again.") from None


def _rows_by_video(folder: Folder, name: str, columns: list[str], video_ids: set[str]) -> dict[str, pa.Table]:
    """The rows of some videos, each video's own, in whatever order the table is; for small tables."""
    wanted = pa.array(sorted(video_ids), pa.string())
    with _parquet(folder, name) as file:
        found = [file.schema_arrow.empty_table().select(["video_id", *columns])]
        for table in _batches(file, name=folder.path(name), columns=["video_id", *columns]):
            found.append(table.filter(pc.is_in(table["video_id"].cast(pa.string()), value_set=wanted)))
    rows = pa.concat_tables(found)
    position = pc.index_in(rows["video_id"].cast(pa.string()), value_set=wanted).to_numpy()
    order = np.argsort(position, kind="stable")
    cuts = np.searchsorted(position[order], np.arange(len(wanted) + 1))
    ordered = rows.take(pa.array(order))
    return {
        video_id: ordered.slice(a, b - a) for video_id, (a, b) in zip(wanted.to_pylist(), pairwise(cuts), strict=True)
    }


def _warning(domain: DomainRecord | None, coverage: pa.Table, lanes: Sequence[Lane]) -> str | None:
    """Of a video outside the model's domain that was labelled all the same."""
    if domain is None or not any(OUTSIDE_MARK in lane.source for lane in lanes):
        return None
    median = float(np.nanmedian(coverage["looks_distance"].to_numpy(zero_copy_only=False).astype(np.float64)))
    return (
        f"Labelled all the same: {median:.2f} times as far from what {domain.model} was trained on as its own videos (outside "
        f"from {domain.far:.2f} on)"
    )


def _picture(
    path: str, activities: Sequence[str], coverage: pa.Table, lanes: Sequence[Lane], *, warning: str | None
) -> bytes:
    start_us, end_us = coverage["start_us"].to_numpy(), coverage["end_us"].to_numpy()
    first_us = int(start_us.min())
    return draw_timeline(
        title=path,
        activities=activities,
        lanes=lanes,
        unexamined=unexamined_intervals(start_us, end_us, _texts(coverage["status"])),
        start_us=first_us,
        duration_us=int(end_us.max()) - first_us,
        warning=warning,
    )


def _model_lane(labels: pa.Table, segments: pa.Table, activities: Sequence[str]) -> Lane:
    sources = sorted({*_texts(labels["source"]), *_texts(segments["source"])})
    activity = np.asarray(_texts(labels["activity"]), dtype=object)
    start_us, end_us = labels["start_us"].to_numpy(), labels["end_us"].to_numpy()
    score = labels["score"].to_numpy().astype(np.float32)  # null becomes NaN
    state = np.asarray(_texts(labels["state"]), dtype=object)
    scores, undecided = {}, {}
    for name in activities:
        mine: NDArray[np.bool_] = activity == name
        scores[name] = WindowScores(start_us=start_us[mine], end_us=end_us[mine], score=score[mine])
        undecided[name] = {
            shown: intervals_of_state(start_us[mine], end_us[mine], state[mine] == shown.value)
            for shown in UNDECIDED_HATCHES
            if (state[mine] == shown.value).any()
        }
    return Lane(source=" + ".join(sources), segments=_intervals(segments), scores=scores, undecided=undecided)


def _reference_lane(reference: pa.Table | None, path: str) -> list[Lane]:
    """None where there is no reference; a lane without segments shows that nothing went on."""
    if reference is None:
        return []
    mine = reference.filter(pc.equal(reference["path"].cast(pa.string()), path))
    sources = ", ".join(sorted({*_texts(mine["source"])}))
    return [Lane(source=f"reference: {sources}" if sources else "reference", segments=_intervals(mine))]


def _intervals(segments: pa.Table) -> dict[str, IntervalArray]:
    activity = np.asarray(_texts(segments["activity"]), dtype=object)
    intervals = np.stack([segments["start_us"].to_numpy(), segments["end_us"].to_numpy()], axis=1)
    return {name: intervals[activity == name] for name in set(activity.tolist())}


def _texts(column: pa.ChunkedArray) -> list[str]:
    return [str(value) for value in column.cast(pa.string()).to_pylist()]
