"""What a run leaves of itself in its output: config.yaml, all settings that it had, and nrray.log, all that it said.

Lines go through the standard library's logger `nrray`. They are held in memory until there is an output to keep them in.
"""

import logging
import os
import re
from contextlib import suppress
from typing import TextIO

import yaml

from nrray import __version__
from nrray.config import Section
from nrray.errors import DataError, StorageError
from nrray.storage import PRIVATE_FILE, Folder

CONFIG_FILE = "config.yaml"
LOG_FILE = "nrray.log"
LOGGER = logging.getLogger("nrray")


def refuse_other_output(output: Folder, verb: str) -> None:
    """Raise DataError where a folder is the output of another verb: its record and its page would be overwritten."""
    if not output.exists(CONFIG_FILE):
        return
    head = output.read_bytes(CONFIG_FILE).split(b"\n", 1)[0].decode("utf-8", "replace")
    found = re.search(rf"run again by: nrray (\S+) {re.escape(CONFIG_FILE)}", head)
    if found is not None and found[1] != verb:
        raise DataError(
            f"{output} is the output of `nrray {found[1]}`; expected a folder for `nrray {verb}` alone. Choose another output."
        )


def keep_record(output: Folder, verb: str, settings: Section) -> None:
    """Leave the settings of a run in its output, which is there and no other run's, and from now on all that is said. Raises
    StorageError."""
    document = yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    head = f"# All settings of the last run, by nrray {__version__}. It is run again by: nrray {verb} {CONFIG_FILE}\n"
    output.write_bytes(CONFIG_FILE, (head + document).encode())
    for handler in LOGGER.handlers:
        if isinstance(handler, RunLog):
            handler.keep(output)


class RunLog(logging.Handler):
    """The log of one command: added to the logger for its time. Lines are appended at once to a file of this machine's file
    systems; on an object store, which cannot append, when the command ends. A log that cannot be written ends no run."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._lines: list[str] = []
        self._file: TextIO | None = None
        self._output: Folder | None = None

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record) + "\n")
        if self._file is not None:
            self._write()

    def keep(self, output: Folder) -> None:
        """Keep what was said and what will be said in this output; only the first one counts."""
        if self._output is not None:
            return
        self._output = output
        if output.is_local:
            with suppress(OSError):
                descriptor = os.open(output.path(LOG_FILE), os.O_WRONLY | os.O_APPEND | os.O_CREAT, PRIVATE_FILE)
                self._file = os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace")
                self._write()

    def close(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
        elif self._output is not None and not self._output.is_local and self._lines:
            with suppress(OSError, StorageError):
                before = self._output.read_bytes(LOG_FILE) if self._output.exists(LOG_FILE) else b""
                self._output.write_bytes(LOG_FILE, before + "".join(self._lines).encode(errors="backslashreplace"))
        super().close()

    def _write(self) -> None:
        assert self._file is not None
        with suppress(OSError):
            self._file.writelines(self._lines)
            self._file.flush()
        self._lines.clear()
