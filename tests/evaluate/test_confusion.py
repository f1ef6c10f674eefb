import pytest

from nrray.evaluate.confusion import ALL_WINDOWS, NOTHING_ELSE, Mistake
from tests.evaluate.archives import PATHS, TRUTH, archive, evaluated, write_annotations


def test_confusion_has_intervals_over_cases(tmp_path):
    document = evaluated(tmp_path, *archive(tmp_path, right=0.8))
    cell = document.confusion["ventilation"][Mistake.MISSED][ALL_WINDOWS]
    values = document.row("ventilation").values
    missed = (1 - values["windows recall"].estimate) * 8 * 20
    assert cell.estimate == pytest.approx(missed)
    assert cell.low < cell.estimate < cell.high


def test_an_activity_is_confused_with_the_others_alone(tmp_path):
    """Every second of suction is claimed as stimulation."""
    extents = {path: [(0, 60)] for path in PATHS}
    reference = write_annotations(tmp_path / "truth", dict.fromkeys(PATHS, TRUTH), extents)
    swapped = {**TRUTH, "stimulation": [*TRUTH["stimulation"], *TRUTH["suction"]], "suction": []}
    candidate = write_annotations(tmp_path / "swapped", dict.fromkeys(PATHS, swapped), extents, source="swapped")
    document = evaluated(tmp_path, candidate, reference)
    missed = document.confusion["suction"][Mistake.MISSED]
    assert set(missed) == {"baby_visible", "ventilation", "stimulation", NOTHING_ELSE, ALL_WINDOWS}
    assert missed["stimulation"].estimate == missed[ALL_WINDOWS].estimate > 0
    assert missed[NOTHING_ELSE].estimate == 0
    wrong = document.confusion["stimulation"][Mistake.CLAIMED_WRONGLY]
    assert wrong["suction"].estimate == wrong[ALL_WINDOWS].estimate == missed[ALL_WINDOWS].estimate
