"""How a search gives trials up: ASHA or a budget of time asks them to end; what Tune says of failed ones is kept."""

import time
from pathlib import Path
from typing import Any, ClassVar

from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from nrray.storage import Folder
from nrray.train.history import FAILURE_FILE, STOP_FILE


class Asha(AsyncHyperBandScheduler):  # type: ignore[misc]
    """As Ray's, but a trial that is given up is asked to end, not killed: what its workers hold would be freed late or never."""

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
    """Which trials are going on, and of one that failed without a word, what Tune says. Tune pickles what it is given and
    restores copies: `running` is of the process."""

    running: ClassVar[set[str]] = set()

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.running.add(trial.trial_id)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.running.discard(trial.trial_id)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.running.discard(trial.trial_id)
        place = Folder(str(self._folder / trial_name(trial.trial_id)))
        if not place.exists(FAILURE_FILE):
            lines = str(trial.get_error() or "").strip().splitlines()
            place.create()
            place.write_json(
                FAILURE_FILE, {"kind": "TrainingError", "message": lines[-1] if lines else "no reason given"}
            )


class Budget(tune.Stopper):  # type: ignore[misc]
    """Ends the search once its time is over: trials are asked to end, and it waits for them. Each call has its own time."""

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
    """A training ends after the step that it is at, once it finds this."""
    if folder.is_dir() and not (folder / STOP_FILE).exists():
        Folder(str(folder)).write_bytes(STOP_FILE, b"")


def trial_name(trial_id: str) -> str:
    return f"trial-{trial_id}"
