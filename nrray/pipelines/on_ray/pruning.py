"""Pruning of a search: the scheduler or a budget of time asks trials to stop; Tune's reason for a failed one is kept."""

import time
from pathlib import Path
from typing import Any, ClassVar

from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from nrray.storage import Folder
from nrray.train.failure import TrainingFailure, read_failure, write_failure
from nrray.train.output import STOP_FILE


class Asha(AsyncHyperBandScheduler):  # type: ignore[misc]
    """Ray's scheduler, but a pruned trial is asked to stop, not killed: resources of its workers would be freed late or never."""

    def __init__(self, folder: Path, budget: "Budget", **settings: Any) -> None:
        super().__init__(**settings)
        self._folder = folder
        self._budget = budget

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        return None if self._budget.is_over else super().choose_trial_to_run(tune_controller)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        decision: str = super().on_trial_result(tune_controller, trial, result)
        if decision != TrialScheduler.STOP:
            return decision
        ask_to_stop(self._folder / trial_name(trial.trial_id))
        return str(TrialScheduler.CONTINUE)


class Outcomes(tune.Callback):  # type: ignore[misc]
    """Keeps the set of running trials, and Tune's reason for one that failed without a failure of its own. Tune pickles its
    callbacks and restores copies: `running` is of the process."""

    running: ClassVar[set[str]] = set()

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.running.add(trial.trial_id)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.running.discard(trial.trial_id)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.running.discard(trial.trial_id)
        output = Folder(str(self._folder / trial_name(trial.trial_id)))
        if read_failure(output) is None:
            lines = str(trial.get_error() or "").strip().splitlines()
            output.create()
            message = lines[-1] if lines else "no reason given"
            write_failure(output, TrainingFailure(kind="TrainingError", message=message))


class Budget(tune.Stopper):  # type: ignore[misc]
    """Ends the search once its time is over: trials are asked to stop, and it waits for them. Each call has its own time."""

    def __init__(self, folder: Path, minutes: float | None) -> None:
        self._folder = folder
        self._minutes = minutes
        self._end = time.monotonic() + minutes * 60 if minutes is not None else None

    def __reduce__(self) -> Any:
        return Budget, (self._folder, self._minutes)

    @property
    def is_over(self) -> bool:
        return self._end is not None and time.monotonic() >= self._end

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        if not self.is_over:
            return False
        for trial_id in Outcomes.running:
            ask_to_stop(self._folder / trial_name(trial_id))
        return not Outcomes.running


def ask_to_stop(folder: Path) -> None:
    """Leave a stop file for the training in `folder`, which ends after its present step."""
    if folder.is_dir() and not (folder / STOP_FILE).exists():
        Folder(str(folder)).write_bytes(STOP_FILE, b"")


def trial_name(trial_id: str) -> str:
    """The name of a trial, which is that of its folder."""
    return f"trial-{trial_id}"
