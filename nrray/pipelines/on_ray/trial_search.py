"""A search by Ray Tune: a function is called with values from a space, each call in an actor of Tune's, which is a trial.

Tune decides which values are tried next and which trials are pruned. Its state is in a folder, from which a search that was
stopped goes on.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import JsonValue
from ray import tune
from ray.tune.search import BasicVariantGenerator, Searcher

from nrray.pipelines.on_ray.distinct_search import DistinctSearch
from nrray.pipelines.on_ray.pruning import Asha, Budget, Outcomes, trial_name
from nrray.pipelines.on_ray.session import watched_call
from nrray.pipelines.search_sections import Range, Scale, SearchSection, Space

_SCORE, _PERCENT = "score", "percent"  # of a result: Tune compares trials by the one at levels of the other
_NAME = "search"
_NUMBER = "number"  # of a trial's values in the list of all
_TRIAL_MEMORY_BYTES = 200 * 2**20  # a trial's own actor: its workers ask for theirs themselves


def run_search(
    trial: Callable[..., None],
    arguments: Mapping[str, Any],
    space: Space,
    search: SearchSection,
    *,
    settings: Sequence[Mapping[str, JsonValue]] | None,
    key: Callable[[Mapping[str, JsonValue]], str],
    num_concurrent: int,
    trials: Path,
    state: Path,
    report: Callable[[], None],
) -> None:
    """Call `trial` with values of `space` and with `arguments` until all trials are over; `report` is called every second,
    in the calling thread. settings: the values of each trial, None where the searcher decides as it goes, which then never tries
    values of the same `key` twice. `trials` holds a folder for each trial, `state` the files of Tune."""
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # the other one draws a box, whatever `verbose` says
    called = partial(_called, trial, None if settings is None else list(settings))
    trainable = tune.with_resources(
        tune.with_parameters(called, arguments=dict(arguments)), {"CPU": 0, "memory": _TRIAL_MEMORY_BYTES}
    )
    param_space = _param_space(space) if settings is None else {_NUMBER: tune.grid_search(list(range(len(settings))))}
    Outcomes.running.clear()
    if tune.Tuner.can_restore(str(state / _NAME)):
        tuner = tune.Tuner.restore(
            str(state / _NAME), trainable=trainable, resume_unfinished=True, param_space=param_space
        )
    else:
        tuner = _new_tuner(
            trainable,
            param_space,
            search,
            searcher=_optuna(search.seed, key)
            if settings is None
            else BasicVariantGenerator(max_concurrent=num_concurrent),
            num_samples=search.num_trials if settings is None else 1,
            num_concurrent=num_concurrent,
            trials=trials,
            state=state,
        )
    with _working_in(state.parent):
        watched_call(tuner.fit, tick=report)


def _called(
    trial: Callable[..., None],
    settings: Sequence[Mapping[str, JsonValue]] | None,
    values: dict[str, JsonValue],
    *,
    arguments: Mapping[str, Any],
) -> None:
    """Call a trial with the values that Tune gives, or with those of the number that it gives."""
    trial(values if settings is None else dict(settings[int(values[_NUMBER])]), **arguments)  # type: ignore[arg-type]


def report_score(score: float, *, percent: int) -> None:
    """In a trial: its best score so far, at how many percent of its work. A pruned trial is asked to stop after this."""
    tune.report({_SCORE: score, _PERCENT: percent})


def current_trial_name() -> str:
    """In a trial: its name, which is that of its folder."""
    return trial_name(tune.get_context().get_trial_id())


def _new_tuner(
    trainable: Any,
    param_space: Mapping[str, Any],
    search: SearchSection,
    *,
    searcher: Searcher | BasicVariantGenerator,
    num_samples: int,
    num_concurrent: int,
    trials: Path,
    state: Path,
) -> tune.Tuner:
    budget = Budget(trials, search.budget_minutes)
    return tune.Tuner(
        trainable,
        param_space=dict(param_space),
        tune_config=tune.TuneConfig(
            metric=_SCORE,
            mode="max",
            num_samples=num_samples,
            max_concurrent_trials=num_concurrent,
            search_alg=searcher,
            scheduler=Asha(
                trials,
                budget,
                time_attr=_PERCENT,
                max_t=101,  # above all: trials come to their end by themselves
                grace_period=search.grace_percent,
                reduction_factor=search.reduction_factor,
            ),
        ),
        run_config=tune.RunConfig(
            name=_NAME,
            storage_path=str(state),
            failure_config=tune.FailureConfig(max_failures=search.max_trial_failures),
            callbacks=[Outcomes(trials)],
            stop=budget,
            verbose=0,
        ),
    )


def _optuna(seed: int, key: Callable[[Mapping[str, Any]], str]) -> Searcher:
    import optuna
    from ray.tune.search.optuna import OptunaSearch

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it dates its lines
    return DistinctSearch(OptunaSearch(seed=seed), key)


def _param_space(space: Space) -> dict[str, Any]:
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
