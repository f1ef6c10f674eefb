import numpy as np
import pytest

from nrray.train.thresholds import best_thresholds, steady_temperatures, steady_thresholds


def test_the_threshold_separates_where_scores_do():
    scores = np.array([[0.1], [0.2], [0.7], [0.9]], dtype=np.float32)
    targets = np.array([[False], [False], [True], [True]])
    assert 0.2 < best_thresholds(scores, targets)[0] <= 0.7
    assert best_thresholds(scores, targets)[0] == pytest.approx(0.45, abs=0.02)  # the middle of all that are as good


def test_an_activity_that_never_happens_keeps_one_half():
    assert best_thresholds(np.array([[0.3]], dtype=np.float32), np.array([[False]]))[0] == 0.5


def steady(scores, targets, cases, near=0.5):
    found = steady_thresholds(
        np.array(scores, np.float32)[:, None],
        np.array(targets)[:, None],
        np.array(cases),
        near=np.array([near], np.float32),
    )
    return float(found[0])


def test_a_threshold_moves_where_all_cases_say_so():
    scores, targets = [0.6, 0.7, 0.9, 0.95] * 6, [False, False, True, True] * 6
    threshold = steady(scores, targets, np.repeat(np.arange(6), 4))
    assert 0.7 < threshold < 0.72  # as far as it must, and no further


def test_a_threshold_moves_less_where_one_case_alone_says_so():
    rng = np.random.default_rng(0)
    scores, targets, cases = [], [], []
    for case in range(6):  # one long case alone would have it higher
        size, shift = (200, 0.2) if case == 0 else (30, 0.0)
        truth = rng.random(size) < 0.3
        scores.append(np.where(truth, 0.7, 0.35) + shift + rng.uniform(-0.1, 0.1, size))
        targets.append(truth)
        cases.append(np.full(size, case))
    parts = [np.concatenate(part) for part in (scores, targets, cases)]
    best = best_thresholds(parts[0].astype(np.float32)[:, None], parts[1][:, None])[0]
    assert 0.5 <= steady(*parts) < best - 0.02


def test_a_threshold_of_a_single_case_stays_however_wrong_it_is_there():
    scores, targets = [0.4, 0.9] * 6, [False, True] * 6
    assert steady(scores, targets, [0] * 12, near=0.3) == pytest.approx(0.3)
    assert steady(scores, targets, np.repeat([0, 1], 6), near=0.3) > 0.4


def test_a_threshold_without_positives_stays():
    assert steady([0.1, 0.9], [False, False], [0, 1], near=0.3) == pytest.approx(0.3)


def temperature(logits, targets, cases, near=1.0):
    found = steady_temperatures(
        np.asarray(logits, np.float32)[:, None],
        np.asarray(targets)[:, None],
        np.asarray(cases),
        near=np.float32([near]),
    )
    return float(found[0])


def test_a_temperature_moves_where_many_cases_say_so():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=6000)
    targets = rng.random(6000) < 1 / (1 + np.exp(-logits))  # these are right as they are
    cases = np.repeat(np.arange(60), 100)
    assert temperature(3 * logits, targets, cases) == pytest.approx(3, rel=0.15)
    assert temperature(logits / 3, targets, cases) == pytest.approx(1 / 3, rel=0.15)
    assert temperature(logits, targets, cases) == pytest.approx(1, rel=0.05)


def test_a_few_cases_without_a_mistake_do_not_make_certain():
    logits, targets = [-6.0, -4.0, -5.0, 4.0, 3.0] * 6, [False, False, False, True, True] * 6
    assert 0.7 < temperature(logits, targets, np.repeat([0, 1], 15)) < 2.5


def test_a_temperature_of_a_single_case_stays_however_wrong_it_is_there():
    logits, targets = [-1.0, 1.0, 1.0, -1.0] * 20, [False, True, False, True] * 20
    assert temperature(logits, targets, [0] * 80, near=0.3) == pytest.approx(0.3)
    assert temperature(logits, targets, np.repeat([0, 1], 40), near=0.3) > 1


@pytest.mark.parametrize("is_there", [False, True])
def test_a_temperature_of_an_activity_in_no_or_in_all_windows_stays(is_there):
    logits = [-1.0, 1.0, 1.0, -1.0] * 20
    assert temperature(logits, [is_there] * 80, np.repeat([0, 1], 40), near=0.3) == pytest.approx(0.3)
