from nrray.metrics.jackknife import Value
from tests.evaluate.archives import PATHS, evaluated, scores_of, write_annotations, write_labels


def test_an_activity_that_never_occurs_has_no_recall(tmp_path):
    truth = {path: {"baby_visible": [(0, 60)]} for path in PATHS}
    reference = write_annotations(tmp_path / "truth", truth, {key: [(0, 60)] for key in PATHS})
    labels = write_labels(tmp_path / "labels", {path: scores_of(truth[path], 60, right=1.0) for path in PATHS})
    document = evaluated(tmp_path, labels, reference)
    values = document.row("suction").values
    assert values["windows recall"] == Value(estimate=None, low=None, high=None)
    assert values["windows f1"].estimate is None
