"""Publishing: the ledger as an immutable label version, readable without nrray.

    <output>/versions/v0001/labels.parquet, segments.parquet, coverage.parquet, run.json
    <output>/latest -> versions/v0001      (a link on a file system)

Videos are published in groups, so that memory does not grow with the archive.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nrray.results.ledger import Ledger
from nrray.results.segments import SegmentRule
from nrray.results.version_tables import (
    COVERAGE_SCHEMA,
    LABEL_SCHEMA,
    SEGMENT_SCHEMA,
    Restate,
    coverage_rows,
    label_rows,
    not_run_rows,
    segment_rows,
    unreadable_rows,
)
from nrray.sampling import Sampling, window_spans_us
from nrray.storage import PRIVATE_FILE, Folder, storage_errors
from nrray.types import ProbeStatus

GROUP_WINDOWS = 200_000  # windows assembled at a time

_VERSION_NAME = re.compile(r"v\d{4,}")

TABLES: dict[str, pa.Schema] = {
    "labels.parquet": LABEL_SCHEMA,
    "segments.parquet": SEGMENT_SCHEMA,
    "coverage.parquet": COVERAGE_SCHEMA,
}


@dataclass(frozen=True, kw_only=True)
class Published:
    """One label version and how many rows it has."""

    folder: Folder
    name: str
    num_labels: int
    num_segments: int
    num_windows: Mapping[str, int]  # by coverage status


def version_names(output: Folder) -> list[str]:
    """Published versions, oldest first; one without run.json was never finished and is not named."""
    versions = output / "versions"
    names = [name for name in versions.names() if _VERSION_NAME.fullmatch(name)]
    return sorted((name for name in names if (versions / name).exists("run.json")), key=_version_number)


def _version_number(name: str) -> int:
    return int(name[1:])


def publish_version(
    output: Folder,
    *,
    manifest: pa.Table,
    units: pa.Table,
    index: pa.Table,
    sampling: Sampling,
    activities: Sequence[str],
    rule: SegmentRule,
    source: str,
    run: Mapping[str, Any],
    restated: Restate | None = None,
) -> Published:
    """Write the next version from everything that the ledger holds of the planned units. Raises StorageError."""
    known = version_names(output)
    name = f"v{_version_number(known[-1]) + 1 if known else 1:04d}"
    ledger = Ledger(output)
    planned = index.filter(pc.is_in(index["unit_id"], value_set=units["unit_id"].combine_chunks()))
    missing = units.filter(pc.invert(pc.is_in(units["unit_id"], value_set=index["unit_id"].combine_chunks())))
    paths = dict(zip(manifest["video_id"].to_pylist(), manifest["path"].to_pylist(), strict=True))
    window_counts: dict[str, int] = {}

    with storage_errors(f"cannot publish to {output}"), _VersionFiles(output, name) as files:
        bad = manifest.filter(pc.not_equal(manifest["status"], ProbeStatus.OK.value))
        files.write("coverage.parquet", unreadable_rows(bad, source=source))
        for video_ids in _groups(units):
            results = ledger.results(video_ids, planned)
            labels = label_rows(results, paths=paths, activities=activities, source=source, restated=restated)
            coverage = (
                pa.concat_tables(
                    [
                        coverage_rows(results, paths=paths, source=source),
                        _not_run(missing, video_ids, manifest, sampling, paths, source),
                    ]
                )
                .combine_chunks()
                .unify_dictionaries()
            )
            for item in pc.value_counts(coverage["status"].cast(pa.string())).to_pylist():
                window_counts[item["values"]] = window_counts.get(item["values"], 0) + item["counts"]
            files.write("labels.parquet", _sorted(labels, ["video_id", "start_us", "activity"]))
            files.write("coverage.parquet", _sorted(coverage, ["video_id", "start_us"]))
            files.write(
                "segments.parquet",
                segment_rows(labels, paths=paths, activities=activities, rule=rule, source=source),
            )
        counts = {table: files.num_rows(table) for table in TABLES}
        document = {
            **run,
            "version": name,
            "rows": counts,
            "windows": window_counts,
            "unreadable_files": bad.num_rows,
            "activities": list(activities),
        }
        files.finish(document)
    return Published(
        folder=output / "versions" / name,
        name=name,
        num_labels=counts["labels.parquet"],
        num_segments=counts["segments.parquet"],
        num_windows=window_counts,
    )


def point_latest(output: Folder, name: str) -> None:
    """Make `latest` the version `name`; nothing to do where it is, or where storage has no links."""
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


class _VersionFiles:
    """The files of one version while they are written: in a temporary folder, then moved to their place at once
    (on an object store: put one by one, run.json last, which is what makes a version exist)."""

    def __init__(self, output: Folder, name: str) -> None:
        self._output = output
        self._name = name
        self._versions = output / "versions"
        self._versions.create()
        self._versions.remove_leftovers()
        parent = self._versions.path() if output.is_local else None
        self._temporary = Path(tempfile.mkdtemp(prefix=".tmp-", dir=parent))
        self._writers: dict[str, pq.ParquetWriter] = {}
        self._rows = dict.fromkeys(TABLES, 0)

    def __enter__(self) -> "_VersionFiles":
        for table, schema in TABLES.items():
            self._writers[table] = pq.ParquetWriter(self._temporary / table, schema, compression="zstd")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        try:
            for writer in self._writers.values():
                writer.close()
        finally:  # a full disk: closing fails too
            shutil.rmtree(self._temporary, ignore_errors=True)

    def write(self, table: str, rows: pa.Table) -> None:
        self._writers[table].write_table(rows)
        self._rows[table] += rows.num_rows

    def num_rows(self, table: str) -> int:
        return self._rows[table]

    def finish(self, run: Mapping[str, Any]) -> None:
        for writer in self._writers.values():
            writer.close()
        Folder(str(self._temporary)).write_json("run.json", dict(run))
        for file in self._temporary.iterdir():
            file.chmod(PRIVATE_FILE)
            with file.open("rb") as written:
                os.fsync(written.fileno())
        if not self._output.is_local:
            final = self._versions / self._name
            for table in [*TABLES, "run.json"]:
                final.filesystem.put_file(str(self._temporary / table), final.path(table))
            return
        os.rename(self._temporary, self._versions.path(self._name))
        point_latest(self._output, self._name)


def _groups(units: pa.Table) -> list[pa.Array]:
    """Video ids in groups of about GROUP_WINDOWS windows."""
    if units.num_rows == 0:
        return []
    grouped = units.group_by("video_id", use_threads=False).aggregate([("num_windows", "sum")])
    ids = grouped["video_id"].combine_chunks()
    group = np.cumsum(grouped["num_windows_sum"].to_numpy()) // GROUP_WINDOWS
    cuts = [0, *(np.flatnonzero(np.diff(group)) + 1).tolist(), len(ids)]
    return [ids.slice(a, b - a) for a, b in pairwise(cuts)]


def _not_run(
    missing: pa.Table,
    video_ids: pa.Array,
    manifest: pa.Table,
    sampling: Sampling,
    paths: Mapping[str, str],
    source: str,
) -> pa.Table:
    mine = missing.filter(pc.is_in(missing["video_id"], value_set=video_ids)).to_pylist()
    rows = manifest.filter(pc.is_in(manifest["video_id"], value_set=video_ids))
    times = {row["video_id"]: row for row in rows.select(["video_id", "start_us", "duration_us"]).to_pylist()}
    spans = [
        window_spans_us(
            sampling,
            start_us=times[unit["video_id"]]["start_us"],
            duration_us=times[unit["video_id"]]["duration_us"],
            first_window=unit["first_window"],
            num_windows=unit["num_windows"],
        )
        for unit in mine
    ]
    empty = np.zeros(0, np.int64)
    return not_run_rows(
        video_id=[unit["video_id"] for unit in mine for _ in range(unit["num_windows"])],
        start_us=np.concatenate([empty, *(start for start, _ in spans)]),
        end_us=np.concatenate([empty, *(end for _, end in spans)]),
        paths=paths,
        source=source,
    )


def _sorted(table: pa.Table, keys: Sequence[str]) -> pa.Table:
    """Sorted by key; dictionary columns are compared by their text."""
    decoded = pa.table({key: _plain(table[key]) for key in keys})
    return table.take(pc.sort_indices(decoded, sort_keys=[(key, "ascending") for key in keys]))


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
