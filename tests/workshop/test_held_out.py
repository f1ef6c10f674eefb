"""F1 on held-out windows: which activities are in the macro, and what intervals are over."""

import numpy as np
import pytest

from nrray.workshop.held_out import held_out


def test_each_activity_has_an_f1_and_excluded_ones_are_not_in_the_macro():
    targets = np.array([[True, True], [True, False], [True, True], [True, False]])
    predicted = np.array([[True, True], [True, False], [True, False], [True, False]])
    result = held_out(
        ["visible", "suction"],
        predicted,
        targets,
        cases=np.array([0, 0, 1, 1]),
        excluded=["visible"],
    )
    assert [measured.agreement.f1 for measured in result.activities] == [1.0, pytest.approx(2 / 3)]
    assert result.macro_f1 == pytest.approx(2 / 3)
    assert result.macro_activities == ("suction",)
    assert (result.num_windows, result.num_cases) == (4, 2)
    assert result.macro_f1_low < 0.01  # of two cases that differ nothing is known
    assert result.macro_f1_high > 0.99


def test_the_interval_is_over_cases_and_not_over_windows():
    targets = np.array([[True]] * 50 + [[True]] * 50)
    predicted = np.array([[True]] * 50 + [[False]] * 50)
    by_case = held_out(["a"], predicted, targets, cases=np.repeat([0, 1], 50), excluded=[]).activities[0]
    by_window = held_out(["a"], predicted, targets, cases=np.arange(100), excluded=[]).activities[0]
    assert by_case.f1_high - by_case.f1_low > 5 * (by_window.f1_high - by_window.f1_low) > 0


def test_an_activity_without_positives_or_claims_has_no_f1_and_no_interval():
    nothing = np.zeros((3, 1), dtype=bool)
    measured = held_out(["a"], nothing, nothing, cases=np.arange(3), excluded=[]).activities[0]
    assert measured.agreement.f1 is measured.f1_low is None
