"""Writing label versions: immutable, readable without nrray.

    <output>/versions/v0001/labels.parquet, segments.parquet, coverage.parquet, run.json, and answers.parquet of a model that
                            was asked in words
    <output>/latest -> versions/v0001      (a link on a file system)

Videos are written in groups, so that memory does not grow with the archive.
"""

import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nrray.errors import DataError
from nrray.results.coverage_table import COVERAGE_SCHEMA
from nrray.results.domain import DomainRecord, median_distances
from nrray.results.version import RECORD_FILE, Provenance, VersionRecord, latest_of, latest_record, next_version_name
from nrray.results.version_tables import ANSWER_SCHEMA, LABEL_SCHEMA, SEGMENT_SCHEMA
from nrray.storage import PRIVATE_FILE, Folder, storage_errors
from nrray.types import ORDER_QUESTION, LabelState

NUM_ANSWERS, MAX_ANSWERS_COUNTED, MAX_ANSWER_CHARS = 5, 1000, 200


@dataclass(frozen=True, kw_only=True)
class VersionTables:
    """All rows of some videos, in any order: LABEL_SCHEMA, SEGMENT_SCHEMA, COVERAGE_SCHEMA, ANSWER_SCHEMA. A window without a
    coverage row is unknown to a version; a coverage row without times stands for a file that cannot be read."""

    labels: pa.Table
    segments: pa.Table
    coverage: pa.Table
    answers: pa.Table = field(default_factory=ANSWER_SCHEMA.empty_table)


_FILES: dict[str, pa.Schema] = {
    "labels.parquet": LABEL_SCHEMA,
    "segments.parquet": SEGMENT_SCHEMA,
    "coverage.parquet": COVERAGE_SCHEMA,
}
ANSWERS_FILE = "answers.parquet"  # of a version that has answers
_SCHEMAS = {**_FILES, ANSWERS_FILE: ANSWER_SCHEMA}
_SORT_KEYS = {
    "labels.parquet": ["video_id", "start_us", "activity"],
    "segments.parquet": ["video_id", "start_us", "activity"],
    "coverage.parquet": ["video_id", "start_us"],
    ANSWERS_FILE: ["video_id", "start_us", "question"],
}


@dataclass(frozen=True, kw_only=True)
class Published:
    """One label version that was written."""

    folder: Folder
    record: VersionRecord

    @property
    def name(self) -> str:
        return self.record.version

    @property
    def num_labels(self) -> int:
        return self.record.rows["labels.parquet"]

    @property
    def num_segments(self) -> int:
        return self.record.rows["segments.parquet"]

    @property
    def num_windows(self) -> Mapping[str, int]:
        """By coverage status."""
        return self.record.windows


def write_version(output: Folder, provenance: Provenance, tables: Iterable[VersionTables]) -> Published:
    """Write the next version, whole or not at all, and make `latest` name the one that it stands for now.

    All rows of a video stand in one of `tables`. Needs no ledger; the caller holds the output's WriterLock.

    Raises StorageError, DataError where a video stands in two of `tables`, or has rows and no coverage.
    """
    output.create()
    name, before = next_version_name(output), latest_record(output)
    windows: Counter[str] = Counter()
    num_unreadable = 0
    tally = _Tally(provenance)
    with storage_errors(f"cannot publish to {output}"), _VersionFiles(output, name) as files:
        seen: set[str] = set()
        for group in tables:
            seen |= _new_videos(group, seen)
            files.write("labels.parquet", group.labels)
            files.write("segments.parquet", group.segments)
            files.write("coverage.parquet", group.coverage)
            if group.answers.num_rows:
                files.write(ANSWERS_FILE, group.answers)
            timed = group.coverage.filter(pc.is_valid(group.coverage["start_us"]))
            num_unreadable += group.coverage.num_rows - timed.num_rows
            for item in pc.value_counts(_plain(timed["status"])).to_pylist():
                windows[item["values"]] += item["counts"]
            tally.add(group)
        record = VersionRecord(
            schema_version=VersionRecord.newest_version,
            **{key: getattr(provenance, key) for key in Provenance.model_fields},
            version=name,
            activities=provenance.label_set.names,
            rows=files.rows,
            windows=dict(windows),
            domain=tally.domain_record(),
            states=tally.states(),
            order_disagreement=tally.order_disagreement(),
            unparsed_answers=tally.unparsed_answers(),
            unreadable_files=num_unreadable,
            published_unix=int(time.time()),
        )
        files.finish(record)
    point_latest(output, latest_of([record] if before is None else [record, before]).version)
    return Published(folder=output / "versions" / name, record=record)


def is_whole(output: Folder, record: VersionRecord) -> bool:
    """Whether the tables of a version are all there."""
    return all((output / "versions" / record.version).exists(file) for file in {*_FILES, *record.rows})


def point_latest(output: Folder, name: str) -> None:
    """Make `latest` the version `name`; nothing to do where it is, or where storage has no links. Raises StorageError."""
    if not output.is_local:
        return
    latest, target = Path(output.path("latest")), Path("versions") / name
    if latest.is_symlink() and Path(os.readlink(latest)) == target:
        return
    link = Path(output.path(".tmp-latest"))
    with storage_errors(f"cannot link {latest}"):
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        os.replace(link, latest)


class _Tally:
    """What the record of a version says of its labels, added up over groups of videos."""

    def __init__(self, provenance: Provenance) -> None:
        self._activities = provenance.label_set.names
        self._rule = provenance.state.domain_rule if provenance.state is not None else None
        self._states: Counter[tuple[str, str]] = Counter()
        self._answers: Counter[str] = Counter()
        self._num_videos = self._num_outside = 0
        self._num_ordered = self._num_disagreeing = 0
        self._farthest: tuple[float, str] | None = None

    def add(self, group: VersionTables) -> None:
        labels = pa.table({name: _plain(group.labels[name]) for name in ("activity", "state", "answer")})
        for row in labels.group_by(["activity", "state"]).aggregate([([], "count_all")]).to_pylist():
            self._states[row["activity"], row["state"]] += row["count_all"]
        unparsed = labels.filter(pc.equal(labels["state"], LabelState.UNPARSED.value))["answer"].drop_null()
        for item in pc.value_counts(pc.utf8_slice_codeunits(unparsed, 0, MAX_ANSWER_CHARS)).to_pylist():
            self._answers[item["values"]] += item["counts"]
        self._answers = Counter(dict(self._answers.most_common(MAX_ANSWERS_COUNTED)))
        orders = likeliest_by_order(group.answers)
        self._num_ordered += len(orders)
        self._num_disagreeing += sum(len(set(likeliest)) > 1 for likeliest in orders)
        if self._rule is None:
            return
        coverage = group.coverage
        medians = median_distances(_plain(coverage["video_id"]), coverage["looks_distance"])
        self._num_videos += len(medians)
        self._num_outside += sum(distance >= self._rule.far for distance in medians.values())
        if medians:
            video_id = max(medians, key=lambda name: (medians[name], name))
            is_mine = pc.equal(_plain(coverage["video_id"]), video_id)
            path = str(coverage["path"].filter(is_mine)[0].as_py())
            self._farthest = max(self._farthest or (0.0, ""), (round(medians[video_id], 3), path))

    def states(self) -> dict[str, dict[str, int]]:
        """Labels by activity and state, both in order of definition."""
        found = {
            name: {
                state.value: self._states[name, state.value] for state in LabelState if self._states[name, state.value]
            }
            for name in self._activities
        }
        return {name: counts for name, counts in found.items() if counts}

    def order_disagreement(self) -> float | None:
        return round(self._num_disagreeing / self._num_ordered, 4) if self._num_ordered else None

    def unparsed_answers(self) -> tuple[str, ...]:
        return tuple(answer for answer, _ in self._answers.most_common(NUM_ANSWERS))

    def domain_record(self) -> DomainRecord | None:
        if self._rule is None or not self._num_videos or self._farthest is None:
            return None
        distance, path = self._farthest
        return DomainRecord(
            **self._rule.model_dump(),
            num_videos=self._num_videos,
            num_outside=self._num_outside,
            farthest=distance,
            farthest_path=path,
        )


def likeliest_by_order(answers: pa.Table) -> list[list[str]]:
    """For each window of ANSWER_SCHEMA rows that was asked the same in several orders, and said something in two or more: the
    likeliest choice of each of these. A scored answer has it first, before its probability."""
    plain = pa.table({name: _plain(answers[name]) for name in ("video_id", "start_us", "question", "answer", "state")})
    is_read = pc.and_(
        pc.starts_with(plain["question"], ORDER_QUESTION),
        pc.invert(pc.equal(pc.fill_null(plain["state"], ""), "unparsed")),
    )
    found: dict[tuple[str, int], list[str]] = {}
    for row in plain.filter(is_read).select(["video_id", "start_us", "answer"]).to_pylist():
        likeliest = row["answer"].partition("; ")[0].rpartition(" ")[0]
        found.setdefault((row["video_id"], row["start_us"]), []).append(likeliest)
    return [likeliest for likeliest in found.values() if len(likeliest) > 1]


class _VersionFiles:
    """The files of one version while they are written: in a temporary folder, then moved to their place at once
    (on an object store: put one by one, run.json last, without which a version does not exist)."""

    def __init__(self, output: Folder, name: str) -> None:
        self._output = output
        self._name = name
        self._versions = output / "versions"
        self._versions.create()
        self._versions.remove_leftovers()
        parent = self._versions.path() if output.is_local else None
        self._temporary = Path(tempfile.mkdtemp(prefix=".tmp-", dir=parent))
        self._writers: dict[str, pq.ParquetWriter] = {}
        self.rows: dict[str, int] = {}  # by file

    def __enter__(self) -> "_VersionFiles":
        for table in _FILES:
            self._open(table)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        try:
            for writer in self._writers.values():
                writer.close()
        finally:  # a full disk: closing fails too
            shutil.rmtree(self._temporary, ignore_errors=True)

    def write(self, table: str, rows: pa.Table) -> None:
        if table not in self._writers:
            self._open(table)
        self._writers[table].write_table(_sorted(rows, _SORT_KEYS[table]))
        self.rows[table] += rows.num_rows

    def _open(self, table: str) -> None:
        self._writers[table] = pq.ParquetWriter(self._temporary / table, _SCHEMAS[table], compression="zstd")
        self.rows[table] = 0

    def finish(self, record: VersionRecord) -> None:
        for writer in self._writers.values():
            writer.close()
        Folder(str(self._temporary)).write_json(RECORD_FILE, record.model_dump(mode="json"))
        for file in self._temporary.iterdir():
            file.chmod(PRIVATE_FILE)
            with file.open("rb") as written:
                os.fsync(written.fileno())
        if not self._output.is_local:
            final = self._versions / self._name
            for table in [*self.rows, RECORD_FILE]:
                final.filesystem.put_file(str(self._temporary / table), final.path(table))
            return
        os.rename(self._temporary, self._versions.path(self._name))


def _new_videos(group: VersionTables, seen: set[str]) -> set[str]:
    """The ids of a group's videos. Raises DataError where readers would miss rows of one."""
    labels, segments, covered = (
        set(pc.unique(_plain(table["video_id"])).to_pylist())
        for table in (group.labels, group.segments, group.coverage)
    )
    if again := sorted(covered & seen):
        raise DataError(f"video {again[0]} stands in two groups of a version's tables; expected all its rows in one")
    if uncovered := sorted((labels | segments) - covered):
        raise DataError(f"video {uncovered[0]} has labels or segments and no coverage rows; expected a row per window")
    return covered


def _sorted(table: pa.Table, keys: Sequence[str]) -> pa.Table:
    """Sorted by key; dictionary columns are compared by their text."""
    decoded = pa.table({key: _plain(table[key]) for key in keys})
    return table.take(pc.sort_indices(decoded, sort_keys=[(key, "ascending") for key in keys]))


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
