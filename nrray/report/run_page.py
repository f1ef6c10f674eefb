"""The page of one run, `index.html` in its output: what happened, pictures, failures with reasons, files, next commands.

It shows what the verb has reported and holds its pictures, so that it can be moved and mailed.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from nrray import __version__
from nrray.console.run_record import CONFIG_FILE, LOG_FILE
from nrray.console.transcript import ReportedTable, Transcript
from nrray.report.html import png_address, rendered
from nrray.storage import Folder

RUN_PAGE_FILE = "index.html"
MAX_PICTURES = 8  # of about 40 KiB each; the others are files beside the page
MAX_FAILURES, MAX_ROWS, MAX_ENTRIES = 50, 200, 300


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Something that could not be done. what: a file or a unit; amount: how much of it; reason: as it was found."""

    what: str
    amount: str
    kind: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class RunPicture:
    """A PNG in the output. description: what it shows, for those who do not see it."""

    file: str  # relative to the output
    description: str


@dataclass(frozen=True, kw_only=True)
class RunFile:
    """A file or folder in the output, and what it is."""

    file: str
    meaning: str


@dataclass(frozen=True, kw_only=True)
class RunPage:
    """What a verb knows of its run. outcome: one sentence; facts: names and values, speed among them; failures: as many as are
    known, of which `num_failures` there are."""

    title: str
    outcome: str
    facts: Sequence[tuple[str, str]]
    transcript: Transcript
    failures: Sequence[Failure] = ()
    num_failures: int = 0
    pictures: Sequence[RunPicture] = ()
    files: Sequence[RunFile] = ()


_RECORD = (
    RunFile(file=CONFIG_FILE, meaning="all settings of the run: it is a config to run it again"),
    RunFile(file=LOG_FILE, meaning="all that was said, with times"),
)


def write_run_page(output: Folder, page: RunPage) -> str:
    """Write the page into an output; returns its address. Files and pictures that are not there are left out. Raises
    StorageError."""
    pictures = [picture for picture in page.pictures if output.exists(picture.file)]
    shown = [(picture, png_address(output.read_bytes(picture.file))) for picture in pictures[:MAX_PICTURES]]
    entries = page.transcript.entries
    html = rendered(
        "nrray.report",
        "run_page",
        {
            "page": page,
            "pictures": shown,
            "more_pictures": pictures[MAX_PICTURES:],
            "files": [file for file in (*page.files, *_RECORD) if output.exists(file.file)],
            "failures": page.failures[:MAX_FAILURES],
            "num_failures": max(page.num_failures, len(page.failures)),
            "entries": entries[-MAX_ENTRIES:],
            "num_entries_left_out": max(len(entries) - MAX_ENTRIES, 0),
            "max_rows": MAX_ROWS,
            "written": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
            "version": __version__,
        },
        filters={"is_table": lambda entry: isinstance(entry, ReportedTable), "link": quote},
    )
    output.write_bytes(RUN_PAGE_FILE, html.encode())
    return output.path(RUN_PAGE_FILE)
