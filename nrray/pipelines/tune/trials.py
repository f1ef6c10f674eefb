"""The trials of a search as they lie on disk: each a training of its own, with the values that it tries."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import JsonValue

from nrray.errors import DataError
from nrray.storage import Folder
from nrray.train.failure import TrainingFailure, read_failure
from nrray.train.history import Event, Validated, best_validation, read_history, training_seconds
from nrray.train.output import STOPPED_FILE, finished_model_folder

TRIALS, VALUES_FILE = "trials", "values.json"
DEFAULT = "default"  # the name of the trial with the config's own values

TrialValues = Mapping[str, JsonValue]
"""Path of a setting to the value that a trial tries, without settings that have no effect beside its others."""


class TrialStatus(str, Enum):
    """The state of a trial."""

    FINISHED = "finished"
    STOPPED_EARLY = "stopped_early"  # pruned, as others were better after as many steps; or the budget was over
    FAILED = "failed"
    UNFINISHED = "unfinished"  # the search was ended before it was


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A trial as its folder has it."""

    name: str
    folder: Path
    values: TrialValues
    status: TrialStatus
    failure: TrainingFailure | None
    history: tuple[Event, ...]

    @property
    def best(self) -> Validated | None:
        """Its best validation."""
        return best_validation(self.history)

    @property
    def macro_f1(self) -> float | None:
        """Of its best validation."""
        return self.best.validation_macro_f1 if self.best is not None else None

    @property
    def steps(self) -> int:
        """Optimizer steps that it made."""
        return max((event.step for event in self.history), default=0)

    @property
    def num_steps(self) -> int:
        """Optimizer steps of all of it."""
        return max((event.num_steps for event in self.history), default=0)

    @property
    def seconds(self) -> float:
        """Time that it was trained."""
        return training_seconds(self.history)


def begin_trial(folder: Path, values: TrialValues) -> None:
    """Write the values of a trial, before it trains. Raises StorageError."""
    output = Folder(str(folder))
    output.create()
    output.write_json(VALUES_FILE, dict(values))


def is_over(folder: Path) -> bool:
    """Whether a trial was finished or stopped early."""
    return finished_model_folder(folder) is not None or (folder / STOPPED_FILE).is_file()


def read_trials(folder: Path) -> list[Trial]:
    """All trials that have begun, the best first: by macro F1, of equal ones by cross-entropy, as a training itself chooses.
    Raises DataError, StorageError."""
    if not folder.is_dir():
        return []
    found = [_read_trial(trial) for trial in sorted(folder.iterdir()) if (trial / VALUES_FILE).is_file()]
    return sorted(found, key=_merit, reverse=True)


def best_trial(trials: Sequence[Trial]) -> Trial | None:
    """Of finished trials, best first, the one with the best validation; None where not one of them has learned anything."""
    return next((t for t in trials if t.status is TrialStatus.FINISHED and t.best is not None and t.best.step), None)


def default_trial(trials: Sequence[Trial]) -> Trial | None:
    """The finished trial with the config's own values; None where there is none."""
    found = next((trial for trial in trials if trial.name == DEFAULT), None)
    return found if found is not None and found.status is TrialStatus.FINISHED else None


def best_by_value(trials: Sequence[Trial], path: str) -> dict[str, Trial]:
    """Value of a setting to the best trial with it that has a score, of trials that come best first."""
    found: dict[str, Trial] = {}
    for trial in trials:
        if path in trial.values and trial.macro_f1 is not None:
            found.setdefault(str(trial.values[path]), trial)
    return found


def searched_paths(trials: Sequence[Trial]) -> list[str]:
    """Paths of all settings that some trial tries."""
    return sorted({path for trial in trials for path in trial.values})


def trial_table(trials: Sequence[Trial]) -> pa.Table:
    """One row per trial; a searched setting is a column of its path, without a value where it has no effect in the trial."""
    paths = searched_paths(trials)
    columns: dict[str, list[Any]] = {
        "trial": [trial.name for trial in trials],
        "status": [trial.status.value for trial in trials],
        **{path: [trial.values.get(path) for trial in trials] for path in paths},
        "validation_macro_f1": [trial.macro_f1 for trial in trials],
        "best_step": [trial.best.step if trial.best is not None else 0 for trial in trials],
        "steps": [trial.steps for trial in trials],
        "num_steps": [trial.num_steps for trial in trials],
        "seconds": [trial.seconds for trial in trials],
        "error": pa.array([str(trial.failure) if trial.failure is not None else None for trial in trials], pa.string()),
    }
    return pa.table(columns)


def saved_share(trials: Sequence[Trial]) -> float:
    """Share of all trials' steps that stopping some of them early saved."""
    total = sum(trial.num_steps for trial in trials)
    saved = sum(trial.num_steps - trial.steps for trial in trials if trial.status is TrialStatus.STOPPED_EARLY)
    return saved / total if total else 0.0


def trial_text(trial: Trial, paths: Sequence[str] = ()) -> str:
    """Values of a trial in words, without the sections of their settings; "-" for those of `paths` that have no effect in it."""
    if trial.name == DEFAULT:
        return "the config's own values"
    shown = {path: _text(value) for path, value in trial.values.items()}
    return ", ".join(f"{path.split('.')[-1]} {shown.get(path, '-')}" for path in sorted({*paths, *trial.values}))


def _text(value: JsonValue) -> str:
    return f"{value:.3g}" if isinstance(value, float) else json.dumps(value) if isinstance(value, dict) else str(value)


def _merit(trial: Trial) -> tuple[float, float]:
    best = trial.best
    if best is None or best.validation_macro_f1 is None:
        return -math.inf, 0.0
    return best.validation_macro_f1, -best.validation_loss


def _read_trial(folder: Path) -> Trial:
    output = Folder(str(folder))
    failure = read_failure(output)
    if finished_model_folder(folder) is not None:
        status = TrialStatus.FINISHED
    elif failure is not None:
        status = TrialStatus.FAILED
    else:
        status = TrialStatus.STOPPED_EARLY if output.exists(STOPPED_FILE) else TrialStatus.UNFINISHED
    return Trial(
        name=folder.name,
        folder=folder,
        values=_read_values(output),
        status=status,
        failure=failure,
        history=tuple(read_history(output)),
    )


def _read_values(output: Folder) -> TrialValues:
    values = output.read_json(VALUES_FILE)
    if not isinstance(values, dict):
        raise DataError(f"{output.path(VALUES_FILE)}: expected settings with a value each. Delete the trial's folder.")
    return values
