import pytest

from tests.evaluate.archives import archive, evaluated


def test_a_curve_rises_in_recall_and_ends_with_all_windows(tmp_path):
    document = evaluated(tmp_path, *archive(tmp_path))
    curve = document.precision_recall["ventilation"]
    recalls = [recall for recall, _ in curve]
    assert recalls == sorted(recalls)
    assert len(curve) <= 200
    assert curve[-1] == (1.0, pytest.approx(20 / 60))


def test_reliability_bins_hold_every_scored_window_once(tmp_path):
    document = evaluated(tmp_path, *archive(tmp_path))
    bins = document.reliability["ventilation"]
    assert len(bins) == 10
    assert sum(each.count for each in bins) == document.num_windows
    for number, each in enumerate(bins):
        if each.count:
            assert number / 10 <= each.mean_score <= (number + 1) / 10
        else:
            assert (each.mean_score, each.observed) == (None, None)
