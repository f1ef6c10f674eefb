"""Trials of a search against the best one, over resamples of the validation cases."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nrray.evaluate.resampling import Value, resamples_of, value_of
from nrray.labels import LabelSet
from nrray.metrics.counts import divided, mean_defined
from nrray.models.metadata import read_metadata
from nrray.models.rules import apply_rules
from nrray.pipelines.tune.trials import Trial, TrialStatus
from nrray.train.output import VALIDATION_FILE, finished_model_folder


def not_significantly_worse(best: Trial, others: Sequence[Trial], label_set: LabelSet) -> list[Trial]:
    """Finished trials, but the best, whose macro F1 is not significantly lower: the 95 % interval of the paired difference over
    validation cases holds 0."""
    best_sums = _case_sums(best, label_set)
    found = []
    for trial in others:
        if trial.status is not TrialStatus.FINISHED or trial is best:
            continue
        difference = _resampled_difference(best_sums, _case_sums(trial, label_set))
        if not len(difference) or np.nanpercentile(difference, 2.5) <= 0:
            found.append(trial)
    return found


def macro_f1_gain(best: Trial, other: Trial, label_set: LabelSet) -> Value:
    """Macro F1 of a finished trial minus that of another one, each with its own thresholds, and the interval of the paired
    difference over validation cases."""
    ours, theirs = _case_sums(best, label_set), _case_sums(other, label_set)
    everything = np.ones((1, ours.shape[1]))
    estimate = _macro_f1(everything @ ours) - _macro_f1(everything @ theirs)
    return value_of(float(estimate[0]), _resampled_difference(ours, theirs))


def _resampled_difference(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.float64]:
    """(B,) differences of macro F1 over the same resamples of cases, of (3, C, A) sums of two trials."""
    weights = resamples_of(ours.shape[1]).weights
    return _macro_f1(weights @ ours) - _macro_f1(weights @ theirs)


def _macro_f1(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """(B,) of (3, B, A) windows that both claim, that the trial claims, and that have the activity."""
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
