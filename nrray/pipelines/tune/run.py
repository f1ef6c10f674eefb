"""`nrray tune`: many short fine-tunings under Ray Tune, of which the promising go on, and the best one measured.

Each trial is a training on workers of its own, with a folder of its own that it goes on from; all read the same frames. Ray
Tune decides what is tried next and what is given up; what came of it is read from the trials' folders.
"""

import importlib.util
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from ray import tune
from ray.tune.search import BasicVariantGenerator, Searcher

from nrray.console.progress import duration_text
from nrray.console.reporter import Reporter
from nrray.errors import ConfigError, DataError
from nrray.pipelines.finetune.job import ResolvedFinetune, job_with, resolved_finetune
from nrray.pipelines.finetune.run import extracted_job, training_sentence
from nrray.pipelines.on_ray.pools import cluster_capacity
from nrray.pipelines.on_ray.session import ray_session, terminated_as_interrupt, watched_call
from nrray.pipelines.on_ray.training_workers import planned_workers, train_on_workers, worker_room
from nrray.pipelines.tune.job import Range, Scale, SearcherKind, Space, TuneConfig, resolved_space
from nrray.pipelines.tune.pruning import Asha, Budget, Outcomes, trial_name
from nrray.pipelines.tune.results import TRIALS, Tuned, search_result, write_table
from nrray.pipelines.tune.trials import TrialStatus, begin_trial, is_over, read_trials, said_values
from nrray.storage import Folder
from nrray.train.examples import examples_of
from nrray.train.history import read_history
from nrray.train.job import FinetuneJob
from nrray.train.training_config import TimesformerSection
from nrray.writer_lock import WriterLock

SEARCH_FILE = "search.json"
_TUNE_FOLDER = ".ray-tune"
_METRIC, _TIME = "best_macro_f1", "percent"
_TRIAL_MEMORY_BYTES = 200 * 2**20  # what asks Tune for a place: the workers ask for theirs themselves


def run_tune(config: TuneConfig, reporter: Reporter, *, dry_run: bool = False) -> Tuned:
    """Search, or go on with a search that was stopped; a finished one is told again.

    Raises ConfigError, DataError, ModelError, OutputBusyError, ResourcesError, StorageError, TrainingError.
    """
    resolved = resolved_finetune(config.finetune_config())
    start = resolved.job.start
    space = resolved_space(config, is_classifier=isinstance(start, TimesformerSection) or not start.family.knows_words)
    _check_searcher(config)
    output = Folder(resolved.job.output)
    for note in resolved.plan.notes:
        reporter.say(note)
    reporter.say(training_sentence(resolved))
    if dry_run:
        return _dry_run(config, resolved, space, reporter)
    output.create()
    with WriterLock(output), ray_session(), terminated_as_interrupt():
        is_finished = _bind(output, config, resolved, space)
        if is_finished:
            reporter.say("this search is finished: nothing was trained")
        else:
            job, _ = extracted_job(resolved, reporter)
            try:
                _search(config, job, space, reporter)
            finally:
                write_table(output, space)
        return search_result(config, resolved, output, was_finished=is_finished)


def _dry_run(config: TuneConfig, resolved: ResolvedFinetune, space: Space, reporter: Reporter) -> Tuned:
    with ray_session():
        workers, _, concurrency = _places(config)
    chunks = resolved.plan.chunks
    whole = [np.ones(chunk.num_starts, bool) for chunk in chunks]
    windows = len(examples_of(chunks, whole, "train", resolved.job.sampling))
    steps = config.training.num_steps(windows)
    reporter.say(f"space: {_said_space(space)}")
    reporter.say(
        f"{config.search.num_trials} trials of at most {steps} steps of {config.training.batch_windows} windows, "
        f"{concurrency} at once, {workers} workers each"
    )
    from nrray.train.finetuned import training_rate  # with torch and peft, which nothing else here needs

    rate = training_rate(resolved.job)
    seconds = config.search.num_trials * steps * config.training.batch_windows / (rate * workers * concurrency)
    reporter.say(f"about {duration_text(seconds)} at most, at {rate:.1f} windows/s a worker, as measured here")
    reporter.say("dry run: nothing was decoded, nothing was written")
    return Tuned(output=resolved.job.output, trials=[], best=None, test=None, num_as_good=0)


def _places(config: TuneConfig) -> tuple[int, bool, int]:
    """Workers of a trial, whether on GPUs, and trials at once: Tune does not know what their workers ask for."""
    capacity = cluster_capacity()
    workers, on_gpu = planned_workers(config.workers, capacity)
    if config.workers.num_workers == "auto":
        workers = 1  # of many GPUs, each takes a trial
    fitting = max(1, worker_room(config.workers, capacity, on_gpu=on_gpu) // workers)
    return workers, on_gpu, min(fitting, config.search.max_concurrent or fitting, config.search.num_trials)


def _bind(output: Folder, config: TuneConfig, resolved: ResolvedFinetune, space: Space) -> bool:
    """Whether the search in `output` is finished. Raises DataError where it is another one."""
    search = config.search.model_dump(mode="json", exclude={"max_concurrent", "budget_minutes", "max_trial_failures"})
    shown = {path: v.model_dump(mode="json") if isinstance(v, Range) else list(v) for path, v in space.items()}
    mine = {"job": resolved.job.identity, "space": shown, "search": search}
    if not output.exists(SEARCH_FILE):
        output.write_json(SEARCH_FILE, {**mine, "is_finished": False})
        return False
    found = output.read_json(SEARCH_FILE)
    changed = [key for key, value in mine.items() if found.get(key) != json.loads(json.dumps(value))]
    if changed:
        raise DataError(
            f"{output} holds another search: {', '.join(changed)} differ. Search into another output, or delete this one."
        )
    return bool(found["is_finished"])


def _search(config: TuneConfig, job: FinetuneJob, space: Space, reporter: Reporter) -> None:
    workers, on_gpu, concurrency = _places(config)
    search, output = config.search, Path(job.output).absolute()
    reporter.say(
        f"searching {_said_space(space)}: {search.num_trials} trials, {concurrency} at once, {workers} "
        f"{'GPU' if on_gpu else 'CPU'} workers each"
    )
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # the other one draws a box, whatever `verbose` says
    trainable = tune.with_resources(
        tune.with_parameters(run_trial, config=config, job=job, num_workers=workers, on_gpu=on_gpu),
        {"CPU": 0, "memory": _TRIAL_MEMORY_BYTES},
    )
    place = output / _TUNE_FOLDER
    budget = Budget(output / TRIALS, search.budget_minutes)
    Outcomes.running.clear()
    failures = tune.FailureConfig(max_failures=search.max_trial_failures)
    if tune.Tuner.can_restore(str(place / "search")):
        tuner = tune.Tuner.restore(
            str(place / "search"), trainable=trainable, resume_unfinished=True, param_space=_tune_space(space)
        )
    else:
        tuner = tune.Tuner(
            trainable,
            param_space=_tune_space(space),
            tune_config=tune.TuneConfig(
                metric=_METRIC,
                mode="max",
                num_samples=search.num_trials,
                max_concurrent_trials=concurrency,
                search_alg=_searcher(search.searcher, search.seed, concurrency),
                scheduler=Asha(
                    output / TRIALS,
                    budget,
                    time_attr=_TIME,
                    max_t=101,  # above all: trials come to their end by themselves
                    grace_period=search.grace_percent,
                    reduction_factor=search.reduction_factor,
                ),
            ),
            run_config=tune.RunConfig(
                name="search",
                storage_path=str(place),
                failure_config=failures,
                callbacks=[Outcomes(output / TRIALS)],
                stop=budget,
                verbose=0,
            ),
        )
    told = _Told(output / TRIALS, search.num_trials, reporter)
    with _working_in(output):
        watched_call(tuner.fit, tick=told.report)
    told.report()
    document = Folder(str(output))
    document.write_json(SEARCH_FILE, {**document.read_json(SEARCH_FILE), "is_finished": True})
    shutil.rmtree(place, ignore_errors=True)


@contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    """Tune asks where it works, and a job's folder is lost where nodes share a disk: each unpacks it anew."""
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


def run_trial(values: dict[str, Any], *, config: TuneConfig, job: FinetuneJob, num_workers: int, on_gpu: bool) -> None:
    """One trial, in an actor of Tune's: a training, whose validations it reports."""
    folder = Path(job.output) / TRIALS / trial_name(tune.get_context().get_trial_id())
    mine = job_with(job, config.finetune_config(values), output=folder)
    if not is_over(folder):  # else it was before the driver could know
        begin_trial(folder, values)
        course = _Reported(Folder(str(folder)))
        train_on_workers(config.workers, mine, num_workers=num_workers, on_gpu=on_gpu, progress=course)
    scores = [event.get("validation_macro_f1") or 0.0 for event in read_history(Folder(str(folder)))]
    tune.report({_METRIC: max(scores), _TIME: 100})


class _Reported:
    """Tells Tune what each validation came to, as how much of the training is done."""

    def __init__(self, output: Folder) -> None:
        self._output = output
        self._best: float | None = None
        self._num_told = len(self._validations())

    def report(self) -> None:
        found = self._validations()
        for number, event in enumerate(found):
            score = event["validation_macro_f1"]
            if score is not None and (self._best is None or score > self._best):
                self._best = score
            percent = 100 * event["step"] // max(1, event["num_steps"])
            if number >= self._num_told and self._best is not None and percent < 100:  # the end is told by its trial
                tune.report({_METRIC: self._best, _TIME: percent})
        self._num_told = max(self._num_told, len(found))

    def _validations(self) -> list[dict[str, Any]]:
        return [event for event in read_history(self._output) if "validation_loss" in event]


class _Told:
    """Says what becomes of trials."""

    def __init__(self, folder: Path, num_trials: int, reporter: Reporter) -> None:
        self._folder = folder
        self._num_trials = num_trials
        self._reporter = reporter
        self._said = {trial.name for trial in read_trials(folder) if trial.status is not TrialStatus.UNFINISHED}

    def report(self) -> None:
        trials = read_trials(self._folder)
        for trial in trials:
            if trial.status is TrialStatus.UNFINISHED or trial.name in self._said:
                continue
            self._said.add(trial.name)
            score = "-" if trial.macro_f1 is None else f"{trial.macro_f1:.3f}"
            self._reporter.say(
                f"{len(self._said)} of {self._num_trials}: {said_values(trial.values)}: {trial.status.value.replace('_', ' ')} "
                f"after {trial.steps} of {trial.num_steps} steps, macro F1 {score}"
            )


def _check_searcher(config: TuneConfig) -> None:
    if config.search.searcher is SearcherKind.OPTUNA and importlib.util.find_spec("optuna") is None:
        raise ConfigError(
            "search.searcher: optuna is not installed. pip install 'nrray[optuna]', or set search.searcher=random."
        )


def _searcher(kind: SearcherKind, seed: int, concurrency: int) -> Searcher | BasicVariantGenerator:
    if kind is SearcherKind.RANDOM:
        return BasicVariantGenerator(random_state=seed, max_concurrent=concurrency)
    import optuna
    from ray.tune.search.optuna import OptunaSearch

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it dates its lines
    return OptunaSearch(seed=seed)


def _tune_space(space: Space) -> dict[str, Any]:
    def domain(values: tuple[Any, ...] | Range) -> Any:
        if not isinstance(values, Range):
            return tune.choice(list(values))
        draw = tune.loguniform if values.scale is Scale.LOG else tune.uniform
        return draw(values.low, values.high)

    return {path: domain(values) for path, values in space.items()}


def _said_space(space: Mapping[str, Any]) -> str:
    def said(values: Any) -> str:
        if isinstance(values, Range):
            return f"{values.low:g} to {values.high:g}{' (log)' if values.scale is Scale.LOG else ''}"
        return ", ".join(map(str, values))

    return "; ".join(f"{path.split('.')[-1]} {said(values)}" for path, values in space.items())
