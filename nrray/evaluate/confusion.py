"""Confusion by activity, in windows, with intervals over cases. A window may count under several activities."""

from collections.abc import Mapping
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from nrray.evaluate.alignment import Alignment
from nrray.metrics.jackknife import AMOUNT, Value, jackknifed_totals, value_of

ALL_WINDOWS, NOTHING_ELSE = "windows", "nothing else"


class Mistake(str, Enum):
    """A kind of wrong window, and the side whose other activities are counted there."""

    CLAIMED_WRONGLY = "claimed wrongly, there was"  # the reference's
    MISSED = "missed, it claimed"  # the candidate's


Confusion = Mapping[str, Mapping[Mistake, Mapping[str, Value]]]
"""Activity to mistake to the number of wrong windows by other activity, NOTHING_ELSE and ALL_WINDOWS; of activities that both
sides label."""


def confusion(alignment: Alignment) -> Confusion:
    """The activities that the reference has where an activity is claimed wrongly, and that the candidate claims where the
    activity is missed."""
    windows = alignment.windows
    labelled = np.flatnonzero(alignment.is_labelled).tolist()
    table = {}
    for i in labelled:
        name = alignment.activities[i]
        wrong = windows.candidate[:, i] & ~windows.reference[:, i] & windows.decided[:, i]
        missed = ~windows.candidate[:, i] & windows.reference[:, i] & windows.decided[:, i]
        table[name] = {
            Mistake.CLAIMED_WRONGLY: _others(alignment, windows.reference, wrong, activity=i),
            Mistake.MISSED: _others(alignment, windows.candidate, missed, activity=i),
        }
    return table


def _others(alignment: Alignment, side: NDArray[np.bool_], at: NDArray[np.bool_], *, activity: int) -> dict[str, Value]:
    """The numbers of the windows `at` in which `side` (W, A) has each activity beside `activity`."""
    rows, case = side[at], alignment.windows.case[at]
    others = [i for i in np.flatnonzero(alignment.is_labelled).tolist() if i != activity]
    columns = {alignment.activities[i]: rows[:, i] for i in others}
    columns[NOTHING_ELSE] = np.logical_not(rows[:, others].any(axis=1))
    columns[ALL_WINDOWS] = np.ones(len(rows), bool)
    counts = {}
    for name, column in columns.items():
        by_case = np.bincount(case[column], minlength=len(alignment.cases)).astype(np.float64)
        counts[name] = value_of(jackknifed_totals(by_case), AMOUNT)
    return counts
