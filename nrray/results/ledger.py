"""The ledger: the outcome of every unit, in whole files named by their content. Resume is plan minus ledger.

Files are never changed. A unit that stands in several (a retry, a late file of a writer that lost its lease) counts
once: an `ok` row before any other, then the one with more attempts, then the later one.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from nrray.errors import DataError
from nrray.storage import Folder
from nrray.tables import VERSION_COLUMN, check_version, schema_of, table_from_rows
from nrray.types import UnitResult, UnitStatus
from nrray.writer_lock import WriterLock

RESULT_SCHEMA = schema_of(UnitResult)

STORE_PATIENCE_SECONDS = 60.0  # a store that does not take a file for so long ends the run; its units are done again
INDEX_COLUMNS = ["unit_id", "video_id", "status", "error_kind", "shortfall", "attempts", "finished_us"]

MAX_FILE_UNITS = 64


class Ledger:
    """The results of one output folder."""

    def __init__(self, output: Folder) -> None:
        self._folder = output / "ledger"

    @property
    def patience_seconds(self) -> float:
        """How long storage may fail to take a file before that ends the run: a disk mends nothing by itself."""
        return 0.0 if self._folder.is_local else STORE_PATIENCE_SECONDS

    def create(self) -> None:
        self._folder.create()

    def remove_leftovers(self) -> None:
        """Delete the unfinished files of killed writers. Only for the one writer."""
        self._folder.remove_leftovers()

    def append(self, results: pa.Table) -> str:
        """Write `results`, rows of `UnitResult`, as one file; returns its name. Raises StorageError."""
        keys = "\n".join(
            f"{unit} {attempts} {status}"
            for unit, attempts, status in sorted(
                zip(*(results[name].to_pylist() for name in ("unit_id", "attempts", "status")), strict=True)
            )
        )
        name = f"units-{results.num_rows:02d}-{hashlib.sha256(keys.encode()).hexdigest()[:20]}.parquet"
        self._folder.write_table(name, results.select(RESULT_SCHEMA.names).cast(RESULT_SCHEMA))
        return name

    def index(self) -> pa.Table:
        """INDEX_COLUMNS of the one row that counts for every unit, sorted by unit_id, with `file` it stands in."""
        names = self._folder.names(suffix=".parquet")
        if not names:
            schema = pa.schema([RESULT_SCHEMA.field(name) for name in INDEX_COLUMNS] + [pa.field("file", pa.string())])
            return schema.empty_table()
        table = self._scan(names, [*INDEX_COLUMNS, "__filename"])
        files = pc.replace_substring_regex(table["__filename"], r"^.*/", "")
        table = table.drop_columns(["__filename"]).append_column("file", files.cast(pa.string()))
        return _winners(table)

    def results(self, video_ids: pa.Array, index: pa.Table) -> pa.Table:
        """The whole rows that count, of some videos, sorted by unit_id. `index` is this ledger's."""
        wanted = index.filter(pc.is_in(index["video_id"], value_set=video_ids))
        if wanted.num_rows == 0:
            return RESULT_SCHEMA.empty_table()
        names = pc.unique(wanted["file"]).to_pylist()
        dataset_filter = pc.is_in(pc.field("video_id"), value_set=video_ids)
        table = self._scan(names, [*RESULT_SCHEMA.names, "__filename"], dataset_filter)
        files = pc.replace_substring_regex(table["__filename"], r"^.*/", "")
        key = pc.binary_join_element_wise(table["unit_id"], files.cast(pa.string()), "|")
        wanted_key = pc.binary_join_element_wise(wanted["unit_id"], wanted["file"], "|")
        table = table.drop_columns(["__filename"]).filter(pc.is_in(key, value_set=wanted_key.combine_chunks()))
        return _winners(table).cast(RESULT_SCHEMA)  # a unit may stand twice in one file

    def _scan(self, names: Sequence[str], columns: list[str], row_filter: pc.Expression | None = None) -> pa.Table:
        dataset = pads.dataset(
            [self._folder.path(name) for name in names],
            schema=RESULT_SCHEMA,
            format="parquet",
            filesystem=self._folder.filesystem,
        )
        try:
            table = dataset.to_table(columns=list(dict.fromkeys([*columns, VERSION_COLUMN])), filter=row_filter)
        except (pa.ArrowInvalid, OSError) as error:
            raise self._unreadable(names, str(error)) from error
        # Arrow fills columns that a file lacks with nulls.
        if "unit_id" in table.column_names and table["unit_id"].null_count:
            raise self._unreadable(names, "a file without unit_id")
        position = table.column_names.index(VERSION_COLUMN)
        versions = pc.fill_null(table[VERSION_COLUMN], 1)  # files of the first version do not say so
        table = table.set_column(position, VERSION_COLUMN, versions)
        check_version(table, UnitResult, name=f"the ledger {self._folder}")
        return table.select(columns)

    def _unreadable(self, names: Sequence[str], why: str) -> DataError:
        return DataError(
            f"the ledger has files that cannot be read: {', '.join(self._damaged(names)) or why}. Delete them and run "
            f"the same command again: their units are then done again, nothing else."
        )

    def _damaged(self, names: Sequence[str]) -> list[str]:
        damaged = []
        for name in names:
            try:
                table = pq.read_table(pa.BufferReader(self._folder.read_bytes(name)))
                if not set(RESULT_SCHEMA.names) - {VERSION_COLUMN} <= set(table.column_names):
                    damaged.append(self._folder.path(name))
            except (pa.ArrowInvalid, OSError):
                damaged.append(self._folder.path(name))
        return damaged


def _winners(table: pa.Table) -> pa.Table:
    is_ok = pc.equal(table["status"], UnitStatus.OK.value).cast(pa.int8())
    ranked = table.append_column("is_ok", is_ok).sort_by(
        [("unit_id", "ascending"), ("is_ok", "descending"), ("attempts", "descending"), ("finished_us", "descending")]
    )
    if ranked.num_rows > 1:
        ids = ranked["unit_id"].combine_chunks()
        is_first = pc.not_equal(ids.slice(1), ids.slice(0, len(ids) - 1))
        ranked = ranked.filter(pa.concat_arrays([pa.array([True]), is_first]))
    return ranked.drop_columns(["is_ok"])


class LedgerWriter:
    """Collects results and writes them `max_units` at a time, or as many as there are after `max_seconds`, also while no
    further result comes: by the lock's clock. Before each file the lock is renewed, so that a run that lost its output to
    another writes nothing more; behind each, `on_written` is called with the ids of its units."""

    def __init__(
        self,
        ledger: Ledger,
        lock: WriterLock,
        *,
        max_units: int,
        max_seconds: float,
        on_written: Callable[[set[str]], None],
    ) -> None:
        self._ledger = ledger
        self._lock = lock
        self._max_units = max_units
        self._max_seconds = max_seconds
        self._on_written = on_written
        self._pending: list[UnitResult] = []
        self._oldest = 0.0
        self._writing = threading.Lock()
        self._exits = ExitStack()

    def __enter__(self) -> "LedgerWriter":
        self._exits.enter_context(
            self._lock.clock.every(
                min(1.0, self._max_seconds / 2), self._flush_late, patience_seconds=self._ledger.patience_seconds
            )
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._exits.close()
        self.flush()

    def add(self, result: UnitResult) -> None:
        """Take the result of one unit. Raises StorageError, OutputBusyError, and what failed in the clock since."""
        self._lock.clock.check()
        with self._writing:
            if not self._pending:
                self._oldest = time.monotonic()
            self._pending.append(result)
            if len(self._pending) >= self._max_units or self._is_late():
                self._write()

    def flush(self) -> None:
        """Write the pending results. Raises StorageError, OutputBusyError; they are still pending then."""
        with self._writing:
            self._write()

    def _flush_late(self) -> None:
        if self._writing.acquire(blocking=False):  # else the main thread is just writing, and the clock has other work
            try:
                if self._is_late():
                    self._write()
            finally:
                self._writing.release()

    def _write(self) -> None:
        if self._pending:
            self._lock.renew()
            self._ledger.append(table_from_rows(self._pending, UnitResult))
            written = {result.unit_id for result in self._pending}
            self._pending = []
            self._on_written(written)

    def _is_late(self) -> bool:
        return bool(self._pending) and time.monotonic() - self._oldest >= self._max_seconds


def unit_counts(units: pa.Table, index: pa.Table) -> dict[str, int]:
    """Planned units by status, `not_run` among them; the values sum to the plan."""
    known = index.filter(pc.is_in(index["unit_id"], value_set=units["unit_id"].combine_chunks()))
    counts = {status.value: 0 for status in UnitStatus}
    for item in pc.value_counts(known["status"]).to_pylist():
        counts[item["values"]] = item["counts"]
    counts["not_run"] = units.num_rows - known.num_rows
    return counts


def missing_units(units: pa.Table, index: pa.Table, *, retry_failed: bool) -> pa.Table:
    """Planned units without a row, and with `retry_failed`, after them, those whose row is not `ok` or lacks windows: the file
    may be whole by now. `attempts` says how often each was tried before."""
    is_whole = pc.and_(pc.equal(index["status"], UnitStatus.OK.value), pc.is_null(index["shortfall"]))
    settled = index.filter(is_whole) if retry_failed else index
    is_settled = pc.is_in(units["unit_id"], value_set=settled["unit_id"].combine_chunks())
    todo = units.filter(pc.invert(is_settled))
    position = pc.index_in(todo["unit_id"], value_set=index["unit_id"].combine_chunks())
    attempts = pc.fill_null(index["attempts"].combine_chunks().take(position.combine_chunks()), 0)
    todo = todo.append_column("attempts", attempts.cast(pa.int32()))
    is_new = pc.is_null(position)
    return pa.concat_tables([todo.filter(is_new), todo.filter(pc.invert(is_new))])
