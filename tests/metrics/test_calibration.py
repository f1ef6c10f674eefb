"""Compared with an implementation from the formulas, written by somebody who had not seen this one (reference.py)."""

import numpy as np
from hypothesis import given

from nrray.metrics.calibration import expected_calibration_error, reliability_of, reliability_sums
from tests.metrics import reference
from tests.metrics.made_spans import close, scored_rows


@given(scored_rows)
def test_reliability_and_its_error(rows):
    scores, targets = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    sums = reliability_sums(scores, targets, np.zeros(len(scores), np.int64), 1)[0]
    close(expected_calibration_error(sums), reference.expected_calibration_error(scores.tolist(), targets.tolist()))
    for row, (count, mean, observed) in zip(
        sums, reference.reliability(scores.tolist(), targets.tolist()), strict=True
    ):
        assert row[0] == count
        if count:
            close(row[1:] / row[0], [mean, observed])


def test_a_reliability_bin_has_the_mean_score_and_the_observed_share():
    scores, targets = np.array([0.1, 0.15, 0.9, 1.0]), np.array([False, True, True, True])
    found = reliability_of(reliability_sums(scores, targets, np.zeros(4, np.int64), 1)[0])
    assert found.count.tolist() == [0, 2, 0, 0, 0, 0, 0, 0, 0, 2]
    close(found.mean_score[[1, 9]], [0.125, 0.95])
    close(found.observed[[1, 9]], [0.5, 1.0])
    assert np.isnan(found.mean_score[0])
