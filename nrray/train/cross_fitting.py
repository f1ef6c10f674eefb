"""The honest figure of a validation: whatever is chosen for a case is chosen without it. Pure numpy.

A training chooses its step and fits thresholds and temperatures on the validation windows, so that F1 on the same windows is
too high, the more so the fewer the cases and the more often it looked.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nrray.labels import LabelSet
from nrray.metrics.counts import counts_of, mean_defined, ratios_of
from nrray.metrics.jackknife import Jackknifed, jackknifed_sums, value_of
from nrray.train.output import CrossFitted, Estimate
from nrray.train.thresholds import ValidationScores, fitted_decision, validation_scores

MAX_FOLDS = 10


def cross_fitted(
    logits: Sequence[NDArray[np.floating]],
    targets: NDArray[np.bool_],
    cases: NDArray[np.int64],
    *,
    label_set: LabelSet,
    cuts: NDArray[np.float64],
    temperatures: NDArray[np.float64],
) -> CrossFitted:
    """F1 of (W, A) decisions of which each case's are made by the step, the thresholds and the temperatures that the other
    folds' cases choose, by the rules of the final choice; a case is a fold, up to ten of them.

    logits: (W, A) of every validation, in order; cases: (W,); cuts, temperatures: (A,), as of `fitted_decision`. Intervals
    are the jackknife's over the cases. The number of steps and the stop are no part of it: patience looked at all.
    """
    names, index = np.unique(cases, return_inverse=True)
    fold = index % MAX_FOLDS
    claimed = np.zeros_like(targets)
    for number in np.unique(fold).tolist():
        held, rest = fold == number, fold != number
        if not rest.any():
            return CrossFitted(num_cases=len(names), macro_f1=None, f1={})
        chosen = logits[_best([validation_scores(each[rest], targets[rest], label_set) for each in logits])]
        decision = fitted_decision(chosen[rest], targets[rest], cases[rest], cuts=cuts, temperatures=temperatures)
        claimed[held] = decision.claims(chosen[held], label_set)
    counts = np.zeros((len(names), targets.shape[1], 4))
    np.add.at(counts, index, counts_of(claimed, targets))
    f1 = ratios_of(jackknifed_sums(counts)).f1
    counted = [label_set.names.index(name) for name in label_set.macro_activities]
    return CrossFitted(
        num_cases=len(names),
        macro_f1=_estimate(mean_defined(f1[:, counted])),
        f1={name: _estimate(f1[:, number]) for number, name in enumerate(label_set.names)},
    )


def _best(scores: Sequence[ValidationScores]) -> int:
    """Of the highest macro F1, of equal ones the lowest loss, the first of those: as `best_validation` chooses."""
    merits = [(-np.inf if each.macro_f1 is None else each.macro_f1, -each.loss) for each in scores]
    return merits.index(max(merits))


def _estimate(figure: Jackknifed) -> Estimate:
    value = value_of(figure)
    return Estimate(estimate=value.estimate, low=value.low, high=value.high)
