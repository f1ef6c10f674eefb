"""One stage of a Ray Data graph: units in, units out, and nothing that a video or a model does can raise out of it.

The journal, the quarantine of units that kill their process, failures as rows, and the end of a process whose device is lost
are written here once, for every stage.
"""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

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

    A subclass does the work in `processed` and says in `failed` how a failure looks as a row. `name` stands in the journal;
    `unforeseen` is the kind of every error that is no `UnitError`.
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
        for index in range(batch.num_rows):
            row: RequestT = rows_from_table(batch.slice(index, 1), self.request)[0]
            yield table_from_rows([self._guarded(row)], self.result)

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
                os._exit(1)
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
