"""The output of a command: sentences and tables for a person, or one JSON document for a program, never both."""

import json
import re
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nrray.console.run_record import LOGGER
from nrray.console.transcript import ReportedTable, Transcript

_SILENT_SECONDS = 0.3
PIPE_COLUMNS = 120  # of tables, where there is no terminal to ask


class Reporter:
    """Prints the output of a verb, and logs it. With `is_json`, sentences are dropped and `finish` prints the document; with
    `is_quiet` nothing is printed; with `is_verbose` details are. The transcript has all that is said in any case."""

    def __init__(self, *, is_json: bool = False, is_quiet: bool = False, is_verbose: bool = False) -> None:
        self.is_json = is_json
        self.is_silent = is_json or is_quiet
        self._is_verbose = is_verbose
        self.transcript = Transcript(folder=str(Path.cwd()))  # now: the folder of a Ray job is deleted once Ray stops
        self._here = f"{self.transcript.folder}/"
        width = None if sys.stdout.isatty() else PIPE_COLUMNS
        self._starting: threading.Timer | None = None
        self.console = Console(highlight=False, width=width, soft_wrap=width is not None, stderr=is_json)

    @contextmanager
    def started(self, verb: str) -> Iterator[None]:
        """The time of a verb. Where it has nothing to say for a moment, as what it needs is imported, it says that it starts."""
        if self.is_silent:
            yield
            return
        self._starting = threading.Timer(_SILENT_SECONDS, self.console.print, [f"{verb}: starting"])
        self._starting.daemon = True
        self._starting.start()
        try:
            yield
        finally:
            self._starting.cancel()

    def say(self, text: str) -> None:
        """One sentence or line."""
        shown = printable(text)
        LOGGER.info(shown)
        self.transcript.entries.append(shown)
        if not self.is_silent:
            self._print(shown, markup=False)

    def detail(self, text: str) -> None:
        """A line that is printed only where details were asked for; the log has it always."""
        LOGGER.info(printable(text))
        if self._is_verbose and not self.is_silent:
            self._print(printable(text), markup=False, style="dim")

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A small table; numbers are right-aligned."""
        if not rows:
            return
        is_number = tuple(all(isinstance(row[index], int | float) for row in rows) for index in range(len(header)))
        cells = tuple(tuple(printable(_cell(value)) for value in row) for row in rows)
        self.transcript.entries.append(
            ReportedTable(title=title, header=tuple(header), rows=cells, is_number=is_number)
        )
        for line in (printable(title), *(", ".join(map(" ".join, zip(header, row, strict=True))) for row in cells)):
            LOGGER.info(line)
        if self.is_silent:
            return
        table = Table(title=escape(title), title_justify="left", box=None, pad_edge=False, header_style="bold")
        for name, is_right in zip(header, is_number, strict=True):
            table.add_column(escape(name), justify="right" if is_right else "left", overflow="fold")
        for row in cells:
            table.add_row(*map(escape, row))
        self._print(table)

    def next_command(self, command: str) -> None:
        """The exact next command, for the folder where this one was called: paths in that folder are shortened."""
        self.transcript.commands.append(printable(command))
        LOGGER.info(f"Next: {printable(command)}")
        if not self.is_silent:
            shortened = re.sub(rf"(?<=[ ='[]){re.escape(self._here)}", "", command)
            self._print(f"Next: {printable(shortened)}", markup=False, soft_wrap=True)

    def page(self, address: str) -> None:
        """Where the page of the run is; the page itself does not say so."""
        if not self.is_silent:
            self._print(f"Page: {printable(address)}", markup=False)

    def _print(self, what: str | Table, **options: Any) -> None:
        if self._starting is not None:
            self._starting.cancel()
        self.console.print(what, **options)

    def finish(self, document: dict[str, Any]) -> None:
        """Print the machine-readable result, where JSON was asked for."""
        if self.is_json:
            sys.stdout.write(json.dumps(document, indent=2, sort_keys=True, default=str) + "\n")


def printable(text: str) -> str:
    """`text` without control characters: names of files come from strangers and may hold terminal sequences."""
    return "".join(ch if ch.isprintable() or ch == "\n" else ch.encode("unicode_escape").decode() for ch in text)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}"
    return str(value)
