"""Compared with an implementation from the formulas, by somebody who had not seen this one (reference.py), and
the krippendorff package."""

import math

import krippendorff
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nrray.metrics.agreement import krippendorff_alpha
from nrray.metrics.spans import spans_of
from nrray.metrics.timelines import timelines_of
from tests.metrics import reference
from tests.metrics.made_spans import close, flat, segments, spans


@given(st.lists(st.lists(st.tuples(segments, spans), min_size=2, max_size=3), min_size=1, max_size=2))
def test_alpha_over_time(made):
    num_labellings = min(len(video) for video in made)
    made = [video[:num_labellings] for video in made]
    labellings = []
    for index in range(num_labellings):
        claimed, examined = flat([video[index][0] for video in made]), flat([video[index][1] for video in made])
        timelines = timelines_of(claimed, claimed, examined, num_videos=len(made))
        labellings.append((timelines.candidate, examined))
    close(krippendorff_alpha(labellings), reference.krippendorff_alpha(made))


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=2, max_size=30))
def test_alpha_is_that_of_the_package(rows):
    """Three coders of unit-long cells; None where one did not look."""
    table = np.array([[float(a), float(b), math.nan if a and not c else float(c)] for a, b, c in rows]).T
    labellings = []
    for values in table:
        present, examined = np.flatnonzero(values == 1), np.flatnonzero(np.isfinite(values))
        labellings.append(tuple(spans_of(np.zeros(len(at), np.int64), at, at + 1) for at in (present, examined)))
    known = table[np.isfinite(table)]
    if len(np.unique(known)) < 2:
        return
    ours = krippendorff_alpha(labellings)
    close(ours, krippendorff.alpha(reliability_data=table, level_of_measurement="nominal"))
