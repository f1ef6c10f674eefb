"""Figures of one run of `nrray relabel`: while it runs in progress.json, at its end in run.json too."""

from dataclasses import dataclass
from typing import Any

from nrray.config import Section
from nrray.documents import section_from
from nrray.storage import Folder

PROGRESS_FILE = "progress.json"


class RunProgress(Section):
    """How far a run is."""

    units_done: int
    units_total: int
    elapsed_seconds: float
    video_hours_per_hour: float
    eta_seconds: float | None
    failures: dict[str, int]  # by kind


class RunFigures(RunProgress):
    """A run at its end; `wall_seconds` counts the start of its workers too."""

    wall_seconds: float
    pools: str
    capacity: str


@dataclass(frozen=True, kw_only=True)
class LastRun:
    """The run that an output's progress.json is of; RunFigures where it has ended by itself."""

    run_id: str
    progress: RunProgress

    def document(self) -> dict[str, Any]:
        """The content of progress.json."""
        return {**self.progress.model_dump(mode="json"), "run_id": self.run_id}


def write_progress(output: Folder, run: LastRun) -> None:
    """Write progress.json; the disk is not waited for. Raises StorageError."""
    output.write_json(PROGRESS_FILE, run.document(), durable=False)


def read_progress(output: Folder) -> LastRun | None:
    """The run that progress.json is of, None where there is none. Raises DataError."""
    if not output.exists(PROGRESS_FILE):
        return None
    data = output.read_json(PROGRESS_FILE)
    has_ended = isinstance(data, dict) and "wall_seconds" in data
    cls: type[_RunningFile | _EndedFile] = _EndedFile if has_ended else _RunningFile
    file = section_from(cls, data, name=PROGRESS_FILE, folder=str(output))
    figures = file.model_dump(exclude={"run_id"})
    return LastRun(run_id=file.run_id, progress=RunFigures(**figures) if has_ended else RunProgress(**figures))


class _RunningFile(RunProgress):
    run_id: str


class _EndedFile(RunFigures):
    run_id: str
