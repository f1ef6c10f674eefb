"""One stage of a Ray Data graph: units in, units out, and nothing that a video or a model does can raise out of it.

The journal, the quarantine of units that kill their process, failures as rows, and the end of a process whose device is lost
are written here once, for every stage.
"""

import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, NoReturn, TypeVar

import pyarrow as pa

from nrray.errors import ErrorKind, UnitError
from nrray.results.journal import EntryLimits, Journal, is_exhausted
from nrray.storage import Folder
from nrray.tables import rows_from_table, table_from_rows
from nrray.types import Unit, UnitStatus

RequestT = TypeVar("RequestT", bound=Unit)
ResultT = TypeVar("ResultT", bound=Unit)


@dataclass(frozen=True, kw_only=True)
class UnitFailure:
    """Why a unit has no result of this stage, and after how many tries in all."""

    status: UnitStatus
    error_kind: ErrorKind
    error: str
    attempts: int
    seconds: float = 0.0


class UnitStage(ABC, Generic[RequestT, ResultT]):
    """A callable for `map_batches`, in an actor: rows of `request` to rows of `result`, one for one.

    A subclass does the work in `processed`, or for several units at once in `processed_together`, and says in `failed` how a
    failure looks as a row. `name` stands in the journal; `unforeseen` is the kind of every error that is no `UnitError`.
    """

    name: ClassVar[str]
    request: ClassVar[type]
    result: ClassVar[type]
    unforeseen: ClassVar[ErrorKind]

    def __init__(self, *, output: str, run_id: str, limits: EntryLimits) -> None:
        self._journal = Journal(Folder(output), run_id)
        self._limits = limits

    @abstractmethod
    def processed(self, row: RequestT, *, attempts: int) -> ResultT:
        """The unit's result; `attempts` counts this try too. Raises UnitError."""

    def processed_together(self, rows: Sequence[RequestT], *, attempts: Sequence[int]) -> list[ResultT]:
        """The results of several units, in order, as `processed` gives them one by one."""
        return [self.processed(row, attempts=number) for row, number in zip(rows, attempts, strict=True)]

    @abstractmethod
    def failed(self, row: RequestT, failure: UnitFailure) -> ResultT:
        """The row of a unit that has no result of this stage."""

    @abstractmethod
    def earlier_attempts(self, row: RequestT) -> int:
        """Tries of the unit in earlier runs, as the ledger knows them."""

    def earlier_failure(self, row: RequestT) -> UnitFailure | None:
        """Of a unit that failed in an earlier stage, which passes through this one untried."""
        return None

    def is_device_lost(self, error: Exception) -> bool:
        """Whether every later unit of this process would fail for the same reason."""
        return False

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        rows: list[RequestT] = rows_from_table(batch, self.request)
        together = self._tried_together([row for row in rows if self._is_unsuspected(row)]) if len(rows) > 1 else {}
        for row in rows:
            result = together.get(row.unit_id)
            yield table_from_rows([self._guarded(row) if result is None else result], self.result)

    def _is_unsuspected(self, row: RequestT) -> bool:
        """Whether a unit is to be tried, and no process has died of it, or beside it."""
        return self.earlier_failure(row) is None and self._journal.entries(row.unit_id).all_runs == 0

    def _tried_together(self, rows: Sequence[RequestT]) -> dict[str, ResultT]:
        """The results by unit; none where they cannot be had together, so that each is tried alone. Every unit is entered before
        any is tried: those of a process that dies are tried alone from then on, and only the one that kills is quarantined."""
        if len(rows) < 2:
            return {}
        attempts = [self.earlier_attempts(row) + 1 for row in rows]
        entries = [self._journal.enter(row.unit_id, self.name) for row in rows]
        try:
            results = self.processed_together(rows, attempts=attempts)
        except Exception as error:
            if self.is_device_lost(error):
                _end_process(error)
            results = []
        for entry in entries:
            self._journal.leave(entry)
        return {result.unit_id: result for result in results}

    def _guarded(self, row: RequestT) -> ResultT:
        earlier = self.earlier_failure(row)
        if earlier is not None:
            return self.failed(row, earlier)
        entries = self._journal.entries(row.unit_id)
        attempts = self.earlier_attempts(row) + entries.all_runs
        if is_exhausted(entries, self._limits):
            error = f"tried {entries.all_runs} times, and each time the process that tried it died"
            kind, status = ErrorKind.KILLED_LABELER, UnitStatus.QUARANTINED
            return self.failed(row, UnitFailure(status=status, error_kind=kind, error=error, attempts=attempts))
        started = time.perf_counter()
        entry = self._journal.enter(row.unit_id, self.name)
        try:
            result = self.processed(row, attempts=attempts + 1)
        except UnitError as error:
            kind, message = error.kind, str(error)
        except Exception as error:  # one unit's trouble must not end the archive's run
            if self.is_device_lost(error):
                # The entry stays: a unit that does this again and again is quarantined, and Ray starts a fresh process.
                _end_process(error)
            kind, message = self.unforeseen, f"{type(error).__name__}: {error}"
        else:
            self._journal.leave(entry)
            return result
        self._journal.leave(entry)
        failure = UnitFailure(
            status=UnitStatus.FAILED,
            error_kind=kind,
            error=message,
            attempts=attempts + 1,
            seconds=time.perf_counter() - started,
        )
        return self.failed(row, failure)


def _end_process(error: Exception) -> NoReturn:
    """Say why in the worker's log, which is all that is left of it."""
    print(f"nrray: this worker ends: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    os._exit(1)
