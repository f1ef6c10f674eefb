"""Trials of a search against the best one, over the validation cases."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nrray.evaluate.differences import ERROR_RATE
from nrray.labels import LabelSet
from nrray.metrics.counts import divided, mean_defined
from nrray.metrics.jackknife import Value, difference_of, jackknifed_sums
from nrray.models.metadata import read_metadata
from nrray.models.rules import apply_rules
from nrray.pipelines.tune.trials import Trial, TrialStatus
from nrray.train.output import VALIDATION_FILE, finished_model_folder


def not_significantly_worse(best: Trial, others: Sequence[Trial], label_set: LabelSet) -> list[Trial]:
    """Finished trials, but the best, whose macro F1 is not significantly lower: the interval of the paired difference over
    validation cases holds 0. It is adjusted for all pairs of finished trials: any of them might have been the best."""
    finished = [trial for trial in others if trial.status is TrialStatus.FINISHED and trial is not best]
    number = len(finished) * (len(finished) + 1) // 2
    ours, found = _case_sums(best, label_set), []
    for trial in finished:
        low = _difference(ours, _case_sums(trial, label_set), num_adjusted_for=number).low
        if low is None or low <= 0:
            found.append(trial)
    return found


def macro_f1_gain(best: Trial, other: Trial, label_set: LabelSet, *, num_adjusted_for: int = 1) -> Value:
    """Macro F1 of a finished trial minus that of another one, each with its own thresholds, and the interval of the paired
    difference over validation cases, adjusted for the number of trials among which `best` was chosen."""
    return _difference(_case_sums(best, label_set), _case_sums(other, label_set), num_adjusted_for=num_adjusted_for)


def _difference(ours: NDArray[np.float64], theirs: NDArray[np.float64], *, num_adjusted_for: int) -> Value:
    """Of macro F1 over the same cases, of (3, C, A) sums of two trials."""
    first, second = (_macro_f1(jackknifed_sums(sums.swapaxes(0, 1)).swapaxes(0, 1)) for sums in (ours, theirs))
    return difference_of(first, second, coverage=1 - ERROR_RATE / num_adjusted_for)


def _macro_f1(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R,) of (3, R, A) windows that both claim, that the trial claims, and that have the activity."""
    both, ours, theirs = sums
    return mean_defined(divided(2 * both, ours + theirs))


def _case_sums(trial: Trial, label_set: LabelSet) -> NDArray[np.float64]:
    """(3, C, A) validation windows of each case: that both claim, that the trial claims, and that have the activity; of the
    activities that count."""
    with np.load(io.BytesIO((trial.folder / VALIDATION_FILE).read_bytes())) as stored:
        logits, targets, cases = stored["logits"], stored["targets"], stored["cases"]
    metadata = read_metadata(finished_model_folder(trial.folder) or trial.folder)
    assert metadata is not None  # a finished trial has one
    temperatures = np.array([metadata.temperatures[name] for name in label_set.names])
    thresholds = np.array([metadata.thresholds[name] for name in label_set.names], np.float32)
    scores = (1 / (1 + np.exp(-logits / temperatures))).astype(np.float32)
    claimed = apply_rules(scores >= thresholds, scores=scores, thresholds=thresholds, label_set=label_set)
    in_macro = [label_set.names.index(name) for name in label_set.macro_activities]
    names, index = np.unique(cases, return_inverse=True)
    sums = np.zeros((3, len(names), len(in_macro)))
    for total, windows in zip(sums, (claimed & targets, claimed, targets), strict=True):
        np.add.at(total, index, windows[:, in_macro])
    return sums
