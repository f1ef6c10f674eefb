import pytest

from tests.evaluate.archives import archive, evaluated


def test_baselines_have_the_metrics_of_claims_without_looking(tmp_path):
    document = evaluated(tmp_path, *archive(tmp_path))
    share = 8 * 20 / (8 * 60)
    baselines = document.baselines["ventilation"]
    yes, no, random = baselines["always yes"], baselines["always no"], baselines["at random by prevalence"]
    assert yes["windows precision"] == pytest.approx(share)
    assert yes["windows recall"] == 1.0
    assert no["windows precision"] is None
    assert (no["windows f1"], no["windows balanced_accuracy"]) == (0.0, 0.5)
    assert random["windows f1"] == random["time f1"] == pytest.approx(share)
    for baseline in baselines.values():  # one score for all ranks nothing
        assert baseline["windows average precision"] == pytest.approx(share)
    assert (yes["windows brier"], no["windows brier"]) == (pytest.approx(1 - share), pytest.approx(share))
    assert random["windows brier"] == pytest.approx(share * (1 - share))
    assert random["windows ece"] == pytest.approx(0)
    # One segment of 60 s against two of 10 s in each case: tIoU 1/6 with either.
    assert yes["segments f1 at tIoU 0.1"] == pytest.approx(2 / 3)
    assert yes["segments f1 at tIoU 0.25"] == 0.0
    assert yes["segments average precision at tIoU 0.1"] == 0.5
    assert yes["events onset f1 within 0.5 s"] == 0.0
    assert (no["segments f1 at tIoU 0.1"], no["false alarms per hour"]) == (0.0, 0.0)
    assert 0 < random["segments f1 at tIoU 0.1"] < 1
    names = set(document.row("ventilation").values)
    assert all(set(baseline) == names for baseline in baselines.values())
