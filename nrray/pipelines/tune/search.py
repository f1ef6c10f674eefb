"""The search: as many trials at once as fit, reported as they come to an end, until all are over."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from nrray.console.progress import Progress
from nrray.console.reporter import Reporter
from nrray.errors import TrainingError
from nrray.pipelines.finetune.job import job_with
from nrray.pipelines.on_ray.pools import cluster_capacity
from nrray.pipelines.on_ray.pruning import Budget, ask_to_stop
from nrray.pipelines.on_ray.training_workers import ProgressCallback, train_on_workers, worker_room, workers_of_each
from nrray.pipelines.on_ray.trial_search import run_search
from nrray.pipelines.search_sections import Space
from nrray.pipelines.tune.job import TuneConfig, space_text
from nrray.pipelines.tune.record import finish_search
from nrray.pipelines.tune.settings import PlannedTrials, TrialSettings
from nrray.pipelines.tune.trial_run import run_trial
from nrray.pipelines.tune.trials import (
    DEFAULT,
    TRIALS,
    Trial,
    TrialStatus,
    begin_trial,
    is_over,
    read_trials,
    trial_text,
)
from nrray.storage import Folder
from nrray.train.failure import failure_of, read_failure, write_failure
from nrray.train.job import FinetuneJob

_TUNE_FOLDER = ".ray-tune"


@dataclass(frozen=True, kw_only=True)
class Allotment:
    """Workers of each trial, and trials at once."""

    num_workers: int
    on_gpu: bool
    num_concurrent: int


def allotted(config: TuneConfig, num_trials: int) -> Allotment:
    """As many trials at once as fit: Tune does not know the resources of their workers. Raises ResourcesError."""
    capacity = cluster_capacity()
    workers, on_gpu = workers_of_each(config.workers, capacity)
    fitting = max(1, worker_room(config.workers, capacity, on_gpu=on_gpu) // workers)
    return Allotment(
        num_workers=workers,
        on_gpu=on_gpu,
        num_concurrent=min(fitting, config.search.max_concurrent or fitting, max(1, num_trials)),
    )


def search_trials(
    config: TuneConfig, job: FinetuneJob, space: Space, planned: PlannedTrials, reporter: Reporter, progress: Progress
) -> None:
    """Train all `planned` trials, or the rest of them where an earlier call did some; `progress` counts them. Raises DataError,
    ResourcesError, StorageError."""
    allotment, output = allotted(config, planned.num_trials), Path(job.output).absolute()
    reporter.say(
        f"searching {space_text(space)}: the config's own values first, then {planned.text()}, "
        f"{allotment.num_concurrent} at once, {allotment.num_workers} {'GPU' if allotment.on_gpu else 'CPU'} workers each"
    )
    trials = TrialReport(output / TRIALS, planned.num_trials + 1, reporter, progress)
    started = time.monotonic()
    _train_default(config, job, allotment, trials)
    search = config.search
    if search.budget_minutes is not None:
        left = search.budget_minutes - (time.monotonic() - started) / 60
        search = search.model_copy(update={"budget_minutes": left})
    if planned.num_trials:
        run_search(
            run_trial,
            {"config": config, "job": job, "num_workers": allotment.num_workers, "on_gpu": allotment.on_gpu},
            space,
            search,
            settings=planned.values,
            key=TrialSettings.of(config, job, space).key,
            num_concurrent=allotment.num_concurrent,
            trials=output / TRIALS,
            state=output / _TUNE_FOLDER,
            report=trials.report,
        )
    trials.report()
    finish_search(Folder(str(output)))  # before Tune's state goes: without it a search would begin anew
    shutil.rmtree(output / _TUNE_FOLDER, ignore_errors=True)


def _train_default(config: TuneConfig, job: FinetuneJob, allotment: Allotment, trials: "TrialReport") -> None:
    """Train with the config's own values, unless the budget is over before its end: what the best trial is compared with. One
    that cannot go on is a failed trial. Raises DataError, ModelError, ResourcesError, StorageError."""
    folder = Path(job.output) / TRIALS / DEFAULT
    output = Folder(str(folder))
    if is_over(folder) or read_failure(output) is not None:
        return
    begin_trial(folder, {})
    try:
        train_on_workers(
            config.workers,
            job_with(job, config.finetune_config(), output=folder),
            num_workers=allotment.num_workers,
            on_gpu=allotment.on_gpu,
            progress=WithinBudget(trials, folder, Budget(folder.parent, config.search.budget_minutes)),
        )
    except TrainingError as error:
        write_failure(output, failure_of(error))


@dataclass(frozen=True)
class WithinBudget:
    """Asks the training in `folder` to stop once the budget is over: a progress callback, beside another one."""

    progress: ProgressCallback
    folder: Path
    budget: Budget

    def report(self) -> None:
        """Report what the other one does."""
        self.progress.report()
        if self.budget.is_over:
            ask_to_stop(self.folder)


class TrialReport:
    """Reports trials that come to an end after this is made; `progress` counts them, and the parts of those under way."""

    def __init__(self, folder: Path, num_trials: int, reporter: Reporter, progress: Progress) -> None:
        self._folder = folder
        self._num_trials = num_trials
        self._reporter = reporter
        self._progress = progress
        progress.total_units = num_trials
        self._reported = {trial.name for trial in read_trials(folder) if trial.status is not TrialStatus.UNFINISHED}

    def report(self) -> None:
        """A line for every trial that has come to an end since the last call."""
        trials = read_trials(self._folder)
        best = next((trial.macro_f1 for trial in trials if trial.macro_f1 is not None), None)
        note = "" if best is None else f"best macro F1 {best:.3f}"
        self._progress.reach(sum(map(_done_share, trials)), note=note)
        for trial in trials:
            if trial.status is TrialStatus.UNFINISHED or trial.name in self._reported:
                continue
            self._reported.add(trial.name)
            score = "-" if trial.macro_f1 is None else f"{trial.macro_f1:.3f}"
            self._reporter.say(
                f"{len(self._reported)} of {self._num_trials}: {trial_text(trial)}: "
                f"{trial.status.value.replace('_', ' ')} after {trial.steps} of {trial.num_steps} steps, macro F1 {score}"
            )


def _done_share(trial: Trial) -> float:
    """How much of a trial is done; nothing is left of one that was stopped or failed."""
    if trial.status is not TrialStatus.UNFINISHED:
        return 1.0
    return trial.steps / trial.num_steps if trial.num_steps else 0.0
