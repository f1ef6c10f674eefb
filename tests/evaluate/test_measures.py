"""An archive without one of its cases, and a case alone, give what they would give if they alone were measured."""

import numpy as np

from nrray.archive.cases import Cases
from nrray.evaluate.alignment import aligned, shared_time
from nrray.evaluate.labelling import read_labelling
from nrray.evaluate.measures import bounds_of, macro_average, measures_of
from tests.evaluate.archives import LABELS, TRUTH, scores_of, write_annotations, write_labels

NUM_CASES = 4


def measured(folder, cases):
    """The measures of an archive of some of the cases, a video each."""
    scores = {
        f"{case}.mp4": scores_of(TRUTH, 60, right=0.7 + 0.05 * case, random=np.random.default_rng(case))
        for case in cases
    }
    write_annotations(folder / "truth", dict.fromkeys(scores, TRUTH), {path: [(0, 60)] for path in scores})
    write_labels(folder / "labels", scores)
    both = [read_labelling(str(folder / name), activities=LABELS.names) for name in ("labels", "truth")]
    shared = shared_time(both, Cases(), only_cases=None)
    return measures_of(aligned(*both, shared, activities=LABELS.activities, cases=Cases()))


def test_rows_are_all_cases_all_but_each_and_each_alone(tmp_path):
    found = measured(tmp_path / "all", range(NUM_CASES))
    without = measured(tmp_path / "without", [0, 1, 3])
    alone = measured(tmp_path / "alone", [2])
    for metric, rows in found.values.items():
        # Without a case average precision is over steps of the ranking; everything else is exact.
        tolerance = 0.02 if "average precision" in metric else 1e-12
        np.testing.assert_allclose(rows[1 + 2], without.estimates[metric], atol=tolerance, err_msg=metric)
        tolerance = 0.05 if "average precision" in metric else 1e-12
        np.testing.assert_allclose(rows[1 + NUM_CASES + 2], alone.estimates[metric], atol=tolerance, err_msg=metric)
        assert rows.shape == (1 + 2 * NUM_CASES, len(LABELS.names))
    macro = macro_average(found, "time f1", [1, 2, 3])
    assert macro[3] == macro_average(without, "time f1", [1, 2, 3])[0]


def test_every_metric_lies_within_its_bounds(tmp_path):
    found = measured(tmp_path, range(NUM_CASES))
    assert bounds_of("windows kappa") == (-1, 1)
    assert bounds_of("windows f1") == (0, 1)
    assert bounds_of("false alarms per hour") == (0, np.inf)
    for metric, values in found.estimates.items():
        low, high = bounds_of(metric)
        assert (low <= values).all(), metric
        assert (values <= high).all(), metric
