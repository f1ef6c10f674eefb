"""All that a verb has reported so far, in order: what its run page shows, so that a page cannot say anything else."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class ReportedTable:
    """A table as it was printed: cells are text. is_number: by column."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    is_number: tuple[bool, ...]


@dataclass(kw_only=True)
class Transcript:
    """entries: sentences and tables in order; commands: the next ones, with whole paths; folder: where the verb was called."""

    folder: str
    entries: list[str | ReportedTable] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)

    @contextmanager
    def part(self) -> "Iterator[Transcript]":
        """A transcript that, when the block ends, has all that was reported in it."""
        num_entries, num_commands = len(self.entries), len(self.commands)
        found = Transcript(folder=self.folder)
        yield found
        found.entries += self.entries[num_entries:]
        found.commands += self.commands[num_commands:]
