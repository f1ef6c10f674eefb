"""Agreement among labellings of which none is taken to be right: Krippendorff's alpha over time."""

import numpy as np
from numpy.typing import NDArray

from nrray.metrics.spans import Spans, axis_of


def krippendorff_alpha(labellings: list[tuple[Spans, Spans]]) -> float:
    """Nominal alpha of (present, examined) spans of each labelling, both disjoint; every microsecond is a unit, a labelling
    that did not examine it has no value there, and units with fewer than two values are left out (Krippendorff 2011).

    NaN where one of the two values never occurs.
    """
    parts = [part for labelling in labellings for part in labelling]
    axis = axis_of(*parts)
    borders = np.unique(
        np.concatenate([axis.position(part, times) for part in parts for times in (part.start_us, part.end_us)])
        if any(len(part) for part in parts)
        else np.zeros(0, np.int64)
    )
    if len(borders) < 2:
        return float("nan")
    length = np.diff(borders).astype(np.float64)
    ones = np.zeros(len(length))
    values = np.zeros(len(length))
    for present, examined in labellings:
        has_value = _covered(
            axis.position(examined, examined.start_us), axis.position(examined, examined.end_us), borders
        )
        claimed = _covered(axis.position(present, present.start_us), axis.position(present, present.end_us), borders)
        values += has_value
        ones += has_value & claimed
    paired = values >= 2
    length, ones, values = length[paired], ones[paired], values[paired]
    zeros = values - ones
    disagreeing = float((length * ones * zeros / (values - 1)).sum())
    num_ones, num_zeros = float((length * ones).sum()), float((length * zeros).sum())
    if num_ones == 0 or num_zeros == 0:
        return float("nan")
    return 1 - disagreeing * (num_ones + num_zeros - 1) / (num_ones * num_zeros)


def _covered(starts: NDArray[np.int64], ends: NDArray[np.int64], borders: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(cells,) whether each cell between borders lies in one of the disjoint spans."""
    depth = np.zeros(len(borders) + 1, np.int64)
    np.add.at(depth, np.searchsorted(borders, starts), 1)
    np.add.at(depth, np.searchsorted(borders, ends), -1)
    covered: NDArray[np.bool_] = np.cumsum(depth)[: len(borders) - 1] > 0
    return covered
