"""Fits of scored answers: slopes, intercepts and thresholds on drawn windows of which the right fit is known."""

import numpy as np
import pytest
from scipy.special import expit, logit

from nrray.evaluate.alignment import WindowPairs
from nrray.evaluate.calibrate import fitted_activity
from nrray.metrics.calibration import PlattScaling, platt_scaling
from nrray.types import STATE_INDEX, LabelState

PRESENT, ABSENT, UNPARSED = (
    STATE_INDEX[state] for state in (LabelState.PRESENT, LabelState.ABSENT, LabelState.UNPARSED)
)


def drawn(num_windows, *, slope=1.0, intercept=0.0, seed=0):
    """Scores of which logit times slope plus intercept is that of the probability that the targets are drawn from."""
    random = np.random.default_rng(seed)
    scores = expit(random.normal(-0.5, 2, num_windows))
    targets = random.random(num_windows) < expit(slope * logit(scores) + intercept)
    return scores, targets


def pairs(scores, targets, *, num_cases, states=None):
    found = np.where(scores >= 0.5, PRESENT, ABSENT) if states is None else states
    return WindowPairs(
        case=np.arange(len(scores)) % num_cases,
        candidate=(found == PRESENT)[:, None],
        reference=targets[:, None],
        decided=np.ones((len(scores), 1), bool),
        scores=scores[:, None],
        num_unparsed=np.zeros(1, np.int64),
        states=found[:, None].astype(np.uint8),
        video=np.zeros(len(scores), np.int64),
        start_us=np.arange(len(scores)),
    )


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.4, -1.5), (2.5, 0.7)])
def test_platt_scaling_finds_what_the_targets_were_drawn_with(slope, intercept):
    found = platt_scaling(*drawn(40_000, slope=slope, intercept=intercept))
    assert (found.slope, found.intercept) == pytest.approx((slope, intercept), abs=0.06 * max(1, slope))


def test_a_slope_turns_no_ranking_around():
    scores, targets = drawn(2000)
    assert 0 < platt_scaling(scores, ~targets).slope < 0.01


def test_without_mistakes_the_slope_is_finite_and_without_both_nothing_changes():
    scores = np.array([0.0, 0.1, 0.9, 1.0])
    found = platt_scaling(scores, scores > 0.5)
    assert np.isfinite([found.slope, found.intercept]).all()
    assert platt_scaling(scores, np.ones(4, bool)) == platt_scaling(scores, np.zeros(4, bool)) == PlattScaling()


def test_a_fit_helps_cases_that_it_was_not_fitted_on():
    scores, targets = drawn(3000, slope=1.5, intercept=2.0)
    found = fitted_activity("suction", 0, pairs(scores, targets, num_cases=12))
    assert (found.num_windows, found.num_yes) == (3000, int(targets.sum()))
    assert found.fit.calibration.slope == pytest.approx(1.5, abs=0.15)
    before, after = found.calibration_error
    assert before.estimate > 0.15
    assert after.estimate < 0.05
    f1_before, f1_after = found.f1
    assert f1_after.estimate > f1_before.estimate + 0.05


def test_answers_that_could_not_be_read_are_not_fitted_on():
    scores, targets = drawn(400, slope=2.0)
    unread = np.arange(400) % 4 == 0
    states = np.where(unread, UNPARSED, np.where(scores >= 0.5, PRESENT, ABSENT))
    scores_read, targets_read = scores[~unread], targets[~unread]
    found = fitted_activity(
        "suction", 0, pairs(scores, np.where(unread, ~targets, targets), num_cases=4, states=states)
    )
    assert found.num_windows == 300
    assert found.fit.calibration == platt_scaling(scores_read, targets_read)


def test_a_window_without_a_score_is_not_fitted_on():
    scores, targets = drawn(400)
    scores[:100] = np.nan
    assert fitted_activity("suction", 0, pairs(scores, targets, num_cases=4)).num_windows == 300


@pytest.mark.parametrize("constant", [True, False])
def test_windows_that_show_only_yes_or_only_no_fit_nothing(constant):
    scores, _ = drawn(50)
    found = fitted_activity("suction", 0, pairs(scores, np.full(50, constant), num_cases=5))
    assert found.fit is found.f1 is found.calibration_error is None


def test_one_case_tells_nothing_of_others():
    found = fitted_activity("suction", 0, pairs(*drawn(200), num_cases=1))
    assert found.fit is not None
    assert found.f1 is found.calibration_error is None
