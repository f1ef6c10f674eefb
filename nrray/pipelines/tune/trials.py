"""Trials of a search as they lie on disk: a training each, and what became of it."""

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nrray.evaluate.resampling import resamples_of
from nrray.labels import LabelSet
from nrray.models.metadata import read_metadata
from nrray.models.rules import apply_rules
from nrray.storage import Folder
from nrray.train.history import FAILURE_FILE, STOPPED_FILE, read_history
from nrray.train.job import VALIDATION_FILE, artefact_folder

VALUES_FILE = "values.json"


class TrialStatus(str, Enum):
    """What became of a trial."""

    FINISHED = "finished"
    STOPPED_EARLY = "stopped_early"  # others were better after as many steps
    FAILED = "failed"
    UNFINISHED = "unfinished"  # the search was ended before it was


@dataclass(frozen=True, kw_only=True)
class Trial:
    """values: by path of the setting; macro_f1: the best of its validations; history: as the training wrote it."""

    name: str
    folder: Path
    values: dict[str, Any]
    status: TrialStatus
    macro_f1: float | None
    best_step: int
    steps: int
    num_steps: int
    seconds: float
    error: str | None
    history: list[dict[str, Any]]


def begin_trial(folder: Path, values: Mapping[str, Any]) -> None:
    """Note what a trial tries, before it does."""
    place = Folder(str(folder))
    place.create()
    place.write_json(VALUES_FILE, dict(values))


def is_over(folder: Path) -> bool:
    """Whether a trial was finished or given up."""
    return artefact_folder(str(folder)) is not None or (folder / STOPPED_FILE).is_file()


def read_trials(folder: Path) -> list[Trial]:
    """All trials that have begun, the best first."""
    found = (
        [_trial(place) for place in sorted(folder.iterdir()) if (place / VALUES_FILE).is_file()]
        if folder.is_dir()
        else []
    )
    return sorted(found, key=_merit, reverse=True)


def _merit(trial: Trial) -> tuple[float, float]:
    """Macro F1; of equal ones, the lower cross-entropy. As the training itself chooses."""
    if trial.macro_f1 is None:
        return -math.inf, 0.0
    validations = (event for event in trial.history if event.get("validation_macro_f1") == trial.macro_f1)
    return trial.macro_f1, -min(float(event["validation_loss"]) for event in validations)


def best_trial(trials: Sequence[Trial]) -> Trial | None:
    """Of the finished ones, that with the best validation."""
    return next((t for t in trials if t.status is TrialStatus.FINISHED and t.macro_f1 is not None), None)


def trial_table(trials: Sequence[Trial]) -> pa.Table:
    """One row per trial; a searched setting is a column of its path."""
    paths = sorted({path for trial in trials for path in trial.values})
    columns: dict[str, list[Any]] = {
        "trial": [trial.name for trial in trials],
        "status": [trial.status.value for trial in trials],
        **{path: [trial.values.get(path) for trial in trials] for path in paths},
        "validation_macro_f1": [trial.macro_f1 for trial in trials],
        "best_step": [trial.best_step for trial in trials],
        "steps": [trial.steps for trial in trials],
        "num_steps": [trial.num_steps for trial in trials],
        "seconds": [trial.seconds for trial in trials],
        "error": pa.array([trial.error for trial in trials], pa.string()),
    }
    return pa.table(columns)


def saved_share(trials: Sequence[Trial]) -> float:
    """Share of all trials' steps that giving up some of them saved."""
    total = sum(trial.num_steps for trial in trials)
    saved = sum(trial.num_steps - trial.steps for trial in trials if trial.status is TrialStatus.STOPPED_EARLY)
    return saved / total if total else 0.0


def as_good(best: Trial, others: Sequence[Trial], label_set: LabelSet) -> list[Trial]:
    """Finished trials that cannot be told from the best: the 95 % interval of the paired difference over validation cases
    holds 0."""
    drawn = _draws(best, label_set)
    found = []
    for trial in others:
        if trial.status is not TrialStatus.FINISHED or trial is best:
            continue
        difference = drawn - _draws(trial, label_set)
        if not len(difference) or np.nanpercentile(difference, 2.5) <= 0:
            found.append(trial)
    return found


def _draws(trial: Trial, label_set: LabelSet) -> NDArray[np.float64]:
    """(B,) macro F1 over resamples of the validation cases, the same ones for every trial."""
    with np.load(io.BytesIO((trial.folder / VALIDATION_FILE).read_bytes())) as stored:
        logits, targets, cases = stored["logits"], stored["targets"], stored["cases"]
    metadata = read_metadata(artefact_folder(str(trial.folder)) or trial.folder)
    assert metadata is not None  # a finished trial has one
    temperatures = np.array([metadata.temperatures[name] for name in label_set.names])
    thresholds = np.array([metadata.thresholds[name] for name in label_set.names], np.float32)
    scores = (1 / (1 + np.exp(-logits / temperatures))).astype(np.float32)
    claimed = apply_rules(scores >= thresholds, scores=scores, thresholds=thresholds, label_set=label_set)
    counted = [label_set.names.index(name) for name in label_set.macro_activities]
    names, index = np.unique(cases, return_inverse=True)
    parts = [claimed & targets, claimed, targets]
    sums = np.zeros((3, len(names), len(counted)))
    for part, values in zip(sums, parts, strict=True):
        np.add.at(part, index, values[:, counted])
    both, ours, theirs = resamples_of(len(names)).weights @ sums
    with np.errstate(invalid="ignore"):
        f1 = np.where(ours + theirs > 0, 2 * both / (ours + theirs), np.nan)
    draws: NDArray[np.float64] = np.nanmean(f1, axis=1) if len(f1) else f1[:, 0]
    return draws


def _trial(folder: Path) -> Trial:
    place = Folder(str(folder))
    history = read_history(place)
    validations = [event for event in history if event.get("validation_macro_f1") is not None]
    best = max(validations, key=lambda e: (float(e["validation_macro_f1"]), -float(e["validation_loss"])), default=None)
    failure = place.read_json(FAILURE_FILE) if place.exists(FAILURE_FILE) else None
    if artefact_folder(str(folder)) is not None:
        status = TrialStatus.FINISHED
    elif failure is not None:
        status = TrialStatus.FAILED
    else:
        status = TrialStatus.STOPPED_EARLY if place.exists(STOPPED_FILE) else TrialStatus.UNFINISHED
    return Trial(
        name=folder.name,
        folder=folder,
        values=place.read_json(VALUES_FILE),
        status=status,
        macro_f1=float(best["validation_macro_f1"]) if best is not None else None,
        best_step=int(best["step"]) if best is not None else 0,
        steps=max((int(event["step"]) for event in history), default=0),
        num_steps=max((int(event["num_steps"]) for event in history), default=0),
        seconds=_seconds(history),
        error=f"{failure['kind']}: {failure['message']}" if failure is not None else None,
        history=history,
    )


def _seconds(history: Sequence[Mapping[str, Any]]) -> float:
    """Time from each start to what was last measured before the next one."""
    total, start, last = 0.0, None, 0.0
    for event in history:
        if "num_workers" in event:
            total += last - start if start is not None else 0.0
            start = event["unix_seconds"]
        last = event["unix_seconds"]
    return round(total + (last - start if start is not None else 0.0), 1)


def said_values(values: Mapping[str, Any]) -> str:
    """Settings in words, without their sections."""
    return ", ".join(f"{path.split('.')[-1]} {_said(value)}" for path, value in sorted(values.items()))


def _said(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else json.dumps(value) if isinstance(value, dict) else str(value)
