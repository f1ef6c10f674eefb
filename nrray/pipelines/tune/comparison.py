"""Trials of a search against the best one, over resamples of the validation cases."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nrray.evaluate.resampling import resamples_of
from nrray.labels import LabelSet
from nrray.models.metadata import read_metadata
from nrray.models.rules import apply_rules
from nrray.pipelines.tune.trials import Trial, TrialStatus
from nrray.train.output import VALIDATION_FILE, trained_model_folder


def not_significantly_worse(best: Trial, others: Sequence[Trial], label_set: LabelSet) -> list[Trial]:
    """Finished trials, but the best, whose macro F1 is not significantly lower: the 95 % interval of the paired difference over
    validation cases holds 0."""
    best_macro_f1 = _resampled_macro_f1(best, label_set)
    found = []
    for trial in others:
        if trial.status is not TrialStatus.FINISHED or trial is best:
            continue
        difference = best_macro_f1 - _resampled_macro_f1(trial, label_set)
        if not len(difference) or np.nanpercentile(difference, 2.5) <= 0:
            found.append(trial)
    return found


def _resampled_macro_f1(trial: Trial, label_set: LabelSet) -> NDArray[np.float64]:
    """(B,) macro F1 over resamples of the validation cases, the same ones for every trial."""
    with np.load(io.BytesIO((trial.folder / VALIDATION_FILE).read_bytes())) as stored:
        logits, targets, cases = stored["logits"], stored["targets"], stored["cases"]
    metadata = read_metadata(trained_model_folder(trial.folder) or trial.folder)
    assert metadata is not None  # a finished trial has one
    temperatures = np.array([metadata.temperatures[name] for name in label_set.names])
    thresholds = np.array([metadata.thresholds[name] for name in label_set.names], np.float32)
    scores = (1 / (1 + np.exp(-logits / temperatures))).astype(np.float32)
    claimed = apply_rules(scores >= thresholds, scores=scores, thresholds=thresholds, label_set=label_set)
    in_macro = [label_set.names.index(name) for name in label_set.macro_activities]
    names, index = np.unique(cases, return_inverse=True)
    both, ours, theirs = resamples_of(len(names)).weights @ np.stack(
        [
            _case_sums(windows[:, in_macro], index, num_cases=len(names))
            for windows in (claimed & targets, claimed, targets)
        ]
    )
    with np.errstate(invalid="ignore"):
        f1 = np.where(ours + theirs > 0, 2 * both / (ours + theirs), np.nan)
    macro_f1: NDArray[np.float64] = np.nanmean(f1, axis=1) if len(f1) else f1[:, 0]
    return macro_f1


def _case_sums(windows: NDArray[np.bool_], case: NDArray[np.int64], *, num_cases: int) -> NDArray[np.float64]:
    """(C, A) windows of each case among (W, A)."""
    sums = np.zeros((num_cases, windows.shape[1]))
    np.add.at(sums, case, windows)
    return sums
