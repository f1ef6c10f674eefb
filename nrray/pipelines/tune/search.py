"""The search under Ray Tune: its trials are drawn, started, pruned and reported until all are over."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import JsonValue
from ray import tune
from ray.tune.search import BasicVariantGenerator, Searcher

from nrray.console.reporter import Reporter
from nrray.pipelines.on_ray.pools import cluster_capacity
from nrray.pipelines.on_ray.session import watched_call
from nrray.pipelines.on_ray.training_workers import planned_workers, worker_room
from nrray.pipelines.tune.job import Range, Scale, SearcherKind, Space, TuneConfig, space_text
from nrray.pipelines.tune.pruning import Asha, Budget, Outcomes
from nrray.pipelines.tune.record import finish_search
from nrray.pipelines.tune.trial_run import METRIC, PERCENT, run_trial
from nrray.pipelines.tune.trials import TRIALS, TrialStatus, read_trials, values_text
from nrray.storage import Folder
from nrray.train.job import FinetuneJob

_TUNE_FOLDER = ".ray-tune"
_TRIAL_MEMORY_BYTES = 200 * 2**20  # a trial's own actor: its workers ask for theirs themselves


@dataclass(frozen=True, kw_only=True)
class Allotment:
    """Workers of each trial, and trials at once."""

    num_workers: int
    on_gpu: bool
    num_concurrent: int


def allotted(config: TuneConfig) -> Allotment:
    """As many trials at once as fit: Tune does not know the resources of their workers. Raises ResourcesError."""
    capacity = cluster_capacity()
    workers, on_gpu = planned_workers(config.workers, capacity)
    if config.workers.num_workers == "auto":
        workers = 1  # of many GPUs, each takes a trial
    fitting = max(1, worker_room(config.workers, capacity, on_gpu=on_gpu) // workers)
    return Allotment(
        num_workers=workers,
        on_gpu=on_gpu,
        num_concurrent=min(fitting, config.search.max_concurrent or fitting, config.search.num_trials),
    )


def search_trials(config: TuneConfig, job: FinetuneJob, space: Space, reporter: Reporter) -> None:
    """Train all trials, or the rest of them where an earlier call did some. Raises DataError, ResourcesError, StorageError."""
    allotment, output = allotted(config), Path(job.output).absolute()
    reporter.say(
        f"searching {space_text(space)}: {config.search.num_trials} trials, {allotment.num_concurrent} at once, "
        f"{allotment.num_workers} {'GPU' if allotment.on_gpu else 'CPU'} workers each"
    )
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # the other one draws a box, whatever `verbose` says
    tuner = _tuner(config, job, space, allotment)
    trials = TrialReport(output / TRIALS, config.search.num_trials, reporter)
    with _working_in(output):
        watched_call(tuner.fit, tick=trials.report)
    trials.report()
    finish_search(Folder(str(output)))  # before Tune's state goes: without it a search would begin anew
    shutil.rmtree(output / _TUNE_FOLDER, ignore_errors=True)


class TrialReport:
    """Reports trials that come to an end after this is made."""

    def __init__(self, folder: Path, num_trials: int, reporter: Reporter) -> None:
        self._folder = folder
        self._num_trials = num_trials
        self._reporter = reporter
        self._reported = {trial.name for trial in read_trials(folder) if trial.status is not TrialStatus.UNFINISHED}

    def report(self) -> None:
        """A line for every trial that has come to an end since the last call."""
        for trial in read_trials(self._folder):
            if trial.status is TrialStatus.UNFINISHED or trial.name in self._reported:
                continue
            self._reported.add(trial.name)
            score = "-" if trial.macro_f1 is None else f"{trial.macro_f1:.3f}"
            self._reporter.say(
                f"{len(self._reported)} of {self._num_trials}: {values_text(trial.values)}: "
                f"{trial.status.value.replace('_', ' ')} after {trial.steps} of {trial.num_steps} steps, macro F1 {score}"
            )


def _tuner(config: TuneConfig, job: FinetuneJob, space: Space, allotment: Allotment) -> tune.Tuner:
    search, output = config.search, Path(job.output).absolute()
    trainable = tune.with_resources(
        tune.with_parameters(
            run_trial, config=config, job=job, num_workers=allotment.num_workers, on_gpu=allotment.on_gpu
        ),
        {"CPU": 0, "memory": _TRIAL_MEMORY_BYTES},
    )
    state = output / _TUNE_FOLDER
    Outcomes.running.clear()
    if tune.Tuner.can_restore(str(state / "search")):
        return tune.Tuner.restore(
            str(state / "search"), trainable=trainable, resume_unfinished=True, param_space=_tune_space(space)
        )
    budget = Budget(output / TRIALS, search.budget_minutes)
    return tune.Tuner(
        trainable,
        param_space=_tune_space(space),
        tune_config=tune.TuneConfig(
            metric=METRIC,
            mode="max",
            num_samples=search.num_trials,
            max_concurrent_trials=allotment.num_concurrent,
            search_alg=_searcher(search.searcher, search.seed, allotment.num_concurrent),
            scheduler=Asha(
                output / TRIALS,
                budget,
                time_attr=PERCENT,
                max_t=101,  # above all: trials come to their end by themselves
                grace_period=search.grace_percent,
                reduction_factor=search.reduction_factor,
            ),
        ),
        run_config=tune.RunConfig(
            name="search",
            storage_path=str(state),
            failure_config=tune.FailureConfig(max_failures=search.max_trial_failures),
            callbacks=[Outcomes(output / TRIALS)],
            stop=budget,
            verbose=0,
        ),
    )


def _searcher(kind: SearcherKind, seed: int, concurrency: int) -> Searcher | BasicVariantGenerator:
    if kind is SearcherKind.RANDOM:
        return BasicVariantGenerator(random_state=seed, max_concurrent=concurrency)
    import optuna
    from ray.tune.search.optuna import OptunaSearch

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it dates its lines
    return OptunaSearch(seed=seed)


def _tune_space(space: Space) -> dict[str, Any]:
    def domain(values: tuple[JsonValue, ...] | Range) -> Any:
        if not isinstance(values, Range):
            return tune.choice(list(values))
        draw = tune.loguniform if values.scale is Scale.LOG else tune.uniform
        return draw(values.low, values.high)

    return {path: domain(values) for path, values in space.items()}


@contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    """Tune asks for the working folder, and a job's folder is lost where nodes share a disk: each unpacks it anew."""
    try:
        before = os.getcwd()
    except FileNotFoundError:
        before = str(folder)
    os.chdir(folder)
    try:
        yield
    finally:
        with suppress(OSError):
            os.chdir(before)
