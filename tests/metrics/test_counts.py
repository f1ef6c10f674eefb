import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sklearn_metrics

from nrray.metrics import Agreement, macro_f1, window_agreement
from nrray.metrics.counts import counts_of, mean_defined, ratios_of
from tests.metrics.made_spans import close

claims = arrays(bool, st.tuples(st.integers(0, 30), st.just(3)))


def agreement(tp, fp, fn, tn):
    return Agreement(activity="a", true_positive=tp, false_positive=fp, false_negative=fn, true_negative=tn)


@given(claims, st.randoms())
def test_counts_are_those_of_a_loop_over_windows(predicted, random):
    reference = np.array([[random.random() < 0.5 for _ in row] for row in predicted], bool).reshape(predicted.shape)
    for index, found in enumerate(window_agreement(["a", "b", "c"], predicted, reference)):
        pairs = list(zip(predicted[:, index].tolist(), reference[:, index].tolist(), strict=True))
        assert found.true_positive == pairs.count((True, True))
        assert found.false_positive == pairs.count((True, False))
        assert found.false_negative == pairs.count((False, True))
        assert found.true_negative == pairs.count((False, False))
        assert found.support == sum(is_there for _, is_there in pairs)


def test_ratios_are_the_textbooks():
    found = agreement(6, 2, 4, 88)
    assert (found.precision, found.recall) == (0.75, 0.6)
    assert found.f1 == pytest.approx(2 * 0.75 * 0.6 / (0.75 + 0.6))


def test_a_ratio_without_a_denominator_is_none():
    assert agreement(0, 0, 0, 9).f1 is None
    assert agreement(0, 0, 3, 0).precision is None
    assert agreement(0, 3, 0, 0).recall is None
    assert agreement(0, 3, 0, 0).f1 == 0.0


def test_macro_f1_leaves_out_activities_without_f1():
    assert macro_f1([agreement(1, 0, 0, 0), agreement(0, 1, 0, 0), agreement(0, 0, 0, 5)]) == 0.5
    assert macro_f1([agreement(0, 0, 0, 5)]) is None
    assert macro_f1([]) is None


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_ratios_are_scikit_learn_s(rows):
    ours, theirs = (np.array([row[i] for row in rows]) for i in (0, 1))
    ratios = ratios_of(counts_of(ours, theirs).sum(axis=0))
    for name, function in (
        ("precision", sklearn_metrics.precision_score),
        ("recall", sklearn_metrics.recall_score),
        ("f1", sklearn_metrics.f1_score),
    ):
        close(getattr(ratios, name), function(theirs, ours, zero_division=np.nan))
    if len(np.unique(theirs)) == 2:
        close(ratios.balanced_accuracy, sklearn_metrics.balanced_accuracy_score(theirs, ours))
    if len(np.unique([ours, theirs])) == 2:
        close(ratios.kappa, sklearn_metrics.cohen_kappa_score(theirs, ours))


def test_a_mean_is_over_what_is_defined():
    found = mean_defined(np.array([[0.5, np.nan, 1.0], [np.nan, np.nan, np.nan]]))
    np.testing.assert_array_equal(found, [0.75, np.nan])
