"""The journal: which units are being tried right now, one small file per entry, written before the try and removed
after it. An entry that stays behind is the mark of a process that died; a unit that leaves several is quarantined."""

import os
import secrets
from dataclasses import dataclass

from pydantic import Field

from nrray.config import Section
from nrray.storage import Folder


class EntryLimits(Section):
    """How often a unit may be tried when the process that tries it dies."""

    per_run: int = Field(3, ge=1, le=100, description="entries within one run; then the unit is quarantined")
    in_all: int = Field(
        10,
        ge=1,
        le=1000,
        description="entries over all runs; more, because whoever kills a whole run kills innocent units too",
    )


@dataclass(frozen=True, kw_only=True)
class Entries:
    """How often a unit was entered and never left."""

    this_run: int
    all_runs: int


class Journal:
    """Entries of one run in one process."""

    def __init__(self, output: Folder, run_id: str) -> None:
        self._folder = output / "journal"
        self._run_id = run_id

    def create(self) -> None:
        self._folder.create()

    def enter(self, unit_id: str, stage: str) -> str:
        """Note that `unit_id` is about to be tried by this process; returns the entry to leave with."""
        entry = f"{unit_id}~{self._run_id}~{stage}~{os.getpid()}-{secrets.token_hex(3)}"
        self._folder.write_bytes(entry, b"", durable=False)
        return entry

    def leave(self, entry: str) -> None:
        """The try ended, well or badly, and its process lives."""
        self._folder.remove(entry)

    def entries(self, unit_id: str) -> Entries:
        """The entries of earlier tries of `unit_id`. Call it before `enter`."""
        return self._count([name for name in self._folder.names() if name.startswith(f"{unit_id}~")])

    def suspects(self) -> set[str]:
        """Units that some run entered and did not leave."""
        return {name.split("~", 1)[0] for name in self._folder.names()}

    def forget(self, unit_ids: set[str]) -> None:
        """Remove the entries of units that have an outcome."""
        for name in self._folder.names():
            if name.split("~", 1)[0] in unit_ids:
                self._folder.remove(name)

    def _count(self, names: list[str]) -> Entries:
        this_run = sum(name.split("~")[1] == self._run_id for name in names)
        return Entries(this_run=this_run, all_runs=len(names))


def is_exhausted(entries: Entries, limits: EntryLimits) -> bool:
    """Whether a unit with these entries is not to be tried again."""
    return entries.this_run >= limits.per_run or entries.all_runs >= limits.in_all
