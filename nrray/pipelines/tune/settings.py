"""The settings that a search tries: each once. A space with no more of them than there are trials is a grid."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import exp, log, prod

import numpy as np
from pydantic import JsonValue

from nrray.models.config import PartsSection, ResolvedParts
from nrray.models.resolved import ResolvedCheckpoint
from nrray.pipelines.finetune.job import FinetuneConfig
from nrray.pipelines.search_sections import Range, Scale, SearcherKind, SearchSection, Space
from nrray.pipelines.tune.effects import effective_values
from nrray.train.job import FinetuneJob
from nrray.train.training_config import TimesformerSection

_MOST_LISTED = 100_000  # combinations of values that are gone through
_TRIES_A_TRIAL = 100  # draws of random values, of which each may have been drawn before


@dataclass(frozen=True, kw_only=True)
class TrialSettings:
    """What tells settings of a search apart. own: path to the value that the config's own training has. Can be sent to other
    processes, and pickled."""

    section: PartsSection
    start: ResolvedCheckpoint | TimesformerSection
    defaults: ResolvedParts
    own: Mapping[str, JsonValue]

    @classmethod
    def of(cls, config: FinetuneConfig, job: FinetuneJob, space: Space) -> "TrialSettings":
        """Of a search around a job."""
        return cls(section=config.parts, start=job.start, defaults=job.parts, own=_own_values(job, space))

    def effective(self, values: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """Values without those that have no effect beside the others. Raises ConfigError."""
        return effective_values(values, section=self.section, start=self.start, defaults=self.defaults)

    def key(self, values: Mapping[str, JsonValue]) -> str:
        """The same for values by which the same is trained; "" for those of the config's own training."""
        effective = self.effective(values)
        if all(path in self.own and self.own[path] == value for path, value in effective.items()):
            return ""
        return json.dumps(effective, sort_keys=True)


@dataclass(frozen=True, kw_only=True)
class PlannedTrials:
    """values: of each trial beside the config's own, each once; None where a searcher decides as it goes. num_trials: how many
    these are at most; is_grid: all that the space has."""

    values: tuple[dict[str, JsonValue], ...] | None
    num_trials: int
    is_grid: bool

    def text(self) -> str:
        """In a clause."""
        if self.is_grid:
            return f"all {self.num_trials} other settings that the space has (a grid)"
        return f"{self.num_trials} trials, each with other settings"


def planned_trials(settings: TrialSettings, space: Space, search: SearchSection) -> PlannedTrials:
    """The trials of a search. Raises ConfigError."""
    listed = _listed(settings, space)
    if listed is not None and len(listed) <= search.num_trials:
        return PlannedTrials(values=tuple(listed), num_trials=len(listed), is_grid=True)
    if search.searcher is not SearcherKind.RANDOM:
        return PlannedTrials(values=None, num_trials=search.num_trials, is_grid=False)
    random = np.random.default_rng(search.seed)
    if listed is not None:
        chosen = [listed[index] for index in random.permutation(len(listed))[: search.num_trials].tolist()]
    else:
        chosen = _drawn(settings, space, search.num_trials, random)
    return PlannedTrials(values=tuple(chosen), num_trials=len(chosen), is_grid=False)


def _listed(settings: TrialSettings, space: Space) -> list[dict[str, JsonValue]] | None:
    """All settings of a space of values, each once and without the config's own; None of one with ranges, or too large."""
    choices = {path: values for path, values in space.items() if not isinstance(values, Range)}
    if len(choices) < len(space) or prod(map(len, choices.values())) > _MOST_LISTED:
        return None
    every = (dict(zip(choices, chosen, strict=True)) for chosen in product(*choices.values()))
    return _distinct(settings, every)


def _drawn(
    settings: TrialSettings, space: Space, count: int, random: np.random.Generator
) -> list[dict[str, JsonValue]]:
    """So many random settings, each once; fewer where the space seems to have no more."""
    drawn = ({path: _value(values, random) for path, values in space.items()} for _ in range(count * _TRIES_A_TRIAL))
    return _distinct(settings, drawn, most=count)


def _distinct(
    settings: TrialSettings, found: Iterable[dict[str, JsonValue]], *, most: int | None = None
) -> list[dict[str, JsonValue]]:
    kept: dict[str, dict[str, JsonValue]] = {}
    for values in found:
        if most is not None and len(kept) >= most:
            break
        if key := settings.key(values):
            kept.setdefault(key, values)
    return list(kept.values())


def _value(values: Sequence[JsonValue] | Range, random: np.random.Generator) -> JsonValue:
    if not isinstance(values, Range):
        return values[int(random.integers(len(values)))]
    if values.scale is Scale.LOG:
        return exp(random.uniform(log(values.low), log(values.high)))
    return float(random.uniform(values.low, values.high))


def _own_values(job: FinetuneJob, space: Space) -> dict[str, JsonValue]:
    """Path to value of the job's own training; of paths that its sections have."""
    found: dict[str, JsonValue] = {}
    for path in space:
        value: JsonValue = job.settings()
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            found[path] = value
    return found
