"""The cross-fitted figure of a validation against the truth, where the truth is known."""

import time

import numpy as np

from nrray.labels import Activity, LabelSet
from nrray.train.cross_fitting import cross_fitted
from nrray.train.thresholds import fitted_decision, validation_scores

LABELS = LabelSet(
    name="two",
    activities=tuple(Activity(name=name, definition="", starts="", ends="", question="") for name in ("often", "rare")),
)
START = {"cuts": np.zeros(2), "temperatures": np.ones(2)}


def drawn(random, *, num_cases, windows_per_case=40, num_steps=12):
    """Logits of equal quality at every step, each step and case with a shift of its own: (logits, targets, cases)."""
    cases = np.repeat(np.arange(num_cases), windows_per_case)
    targets = random.random((len(cases), 2)) < (0.4, 0.15)
    logits = []
    for _ in range(num_steps):
        shift = random.normal(0, 0.7, (num_cases, 2))[cases]
        logits.append((1.5 * targets - 1 + shift + random.normal(0, 1.0, targets.shape)).astype(np.float16))
    return logits, targets, cases


def figures(seed):
    """Macro F1 as chosen, cross-fitted, and of the same choice on many other cases."""
    random = np.random.default_rng(seed)
    logits, targets, cases = drawn(random, num_cases=6)
    scores = [validation_scores(each, targets, LABELS) for each in logits]
    best = int(np.argmax([each.macro_f1 for each in scores]))
    decision = fitted_decision(logits[best], targets, cases, **START)
    others, truth, _ = drawn(random, num_cases=100, num_steps=1)
    claimed = decision.claims(others[0], LABELS)
    f1 = 2 * (claimed & truth).sum(axis=0) / (claimed.sum(axis=0) + truth.sum(axis=0))
    found = cross_fitted(logits, targets, cases, label_set=LABELS, **START)
    return scores[best].macro_f1, found.macro_f1.estimate, f1.mean()


def test_it_is_unbiased_where_the_figure_as_chosen_is_too_high():
    chosen, fitted, true = np.array([figures(seed) for seed in range(60)]).T
    bias, error = (fitted - true).mean(), (fitted - true).std() / np.sqrt(60)
    assert abs(bias) < 2 * error + 0.005
    assert (chosen - true).mean() > 0.05
    assert (chosen - true).mean() > 5 * error


def test_its_interval_holds_the_truth_and_narrows_with_cases():
    random = np.random.default_rng(0)
    widths = []
    for num_cases in (6, 40):
        logits, targets, cases = drawn(random, num_cases=num_cases, num_steps=3)
        found = cross_fitted(logits, targets, cases, label_set=LABELS, **START)
        assert found.num_cases == num_cases
        assert found.macro_f1.low < found.macro_f1.estimate < found.macro_f1.high
        assert set(found.f1) == set(LABELS.names)
        widths.append(found.macro_f1.high - found.macro_f1.low)
    assert widths[1] < widths[0]


def test_a_step_that_is_best_in_one_case_alone_is_not_chosen_for_that_case():
    random = np.random.default_rng(1)
    _, targets, cases = drawn(random, num_cases=4, num_steps=1)
    right = (20 * targets - 10.0).astype(np.float16)
    wrong = -right
    logits = [np.where(cases[:, None] == case, right, wrong).astype(np.float16) for case in range(4)]
    found = cross_fitted(logits, targets, cases, label_set=LABELS, **START)
    assert found.macro_f1.estimate < 0.5  # each case is labelled by a step that is wrong there


def test_of_a_single_case_there_is_none():
    logits, targets, cases = drawn(np.random.default_rng(0), num_cases=1, num_steps=2)
    found = cross_fitted(logits, targets, cases, label_set=LABELS, **START)
    assert (found.num_cases, found.macro_f1, found.f1) == (1, None, {})


def test_many_windows_take_seconds():
    logits, targets, cases = drawn(np.random.default_rng(0), num_cases=50, windows_per_case=100)
    started = time.perf_counter()
    cross_fitted(logits, targets, cases, label_set=LABELS, **START)
    assert time.perf_counter() - started < 20
