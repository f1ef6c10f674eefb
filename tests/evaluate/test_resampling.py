"""A resample of cases gives what the same cases, each as often as it was drawn, would give if they were measured."""

import numpy as np
import pytest

from nrray.archive.cases import Cases
from nrray.evaluate.alignment import aligned, shared_time
from nrray.evaluate.labelling import read_labelling
from nrray.evaluate.measures import measures_of
from nrray.evaluate.resampling import Resamples, resampled_quantiles, resamples_of, value_of
from tests.evaluate.archives import LABELS, TRUTH, scores_of, write_annotations, write_labels

NUM_CASES = 5


def measured_archive(folder, cases, weights):
    """Videos of `cases`, a case may stand there several times; figures for one row of weights over them."""
    random = [np.random.default_rng(case) for case in range(NUM_CASES)]
    scores = [scores_of(TRUTH, 60, right=0.7 + 0.05 * case, random=random[case]) for case in range(NUM_CASES)]
    paths = [f"{number}-of-{case}.mp4" for number, case in enumerate(cases)]
    truth = dict.fromkeys(paths, TRUTH)
    write_annotations(folder / "truth", truth, {path: [(0, 60)] for path in paths})
    write_labels(folder / "labels", {path: scores[case] for path, case in zip(paths, cases, strict=True)})
    both = [read_labelling(str(folder / name), activities=LABELS.names) for name in ("labels", "truth")]
    shared = shared_time(both, Cases(), only_cases=None)
    alignment = aligned(*both, shared, activities=LABELS.activities, cases=Cases())
    return measures_of(alignment, Resamples(weights=np.array([weights], float)))


def test_a_resample_is_the_archive_with_its_cases_as_often_as_drawn(tmp_path):
    drawn = [0, 0, 2, 3, 3]
    weights = np.bincount(drawn, minlength=NUM_CASES)
    resampled = measured_archive(tmp_path / "all", range(NUM_CASES), weights).resampled
    repeated = measured_archive(tmp_path / "drawn", drawn, np.ones(len(drawn))).estimates
    for metric, values in repeated.items():
        # Average precision is resampled over steps of the ranking; everything else is exact.
        tolerance = 0.02 if "average precision" in metric else 1e-12
        np.testing.assert_allclose(resampled[metric][0], values, atol=tolerance, err_msg=metric)


def test_resamples_draw_as_many_cases_as_there_are_and_are_seeded():
    weights = resamples_of(7, num_resamples=50, seed=1).weights
    assert (weights.sum(axis=1) == 7).all()
    assert np.array_equal(weights, resamples_of(7, num_resamples=50, seed=1).weights)
    assert not np.array_equal(weights, resamples_of(7, num_resamples=50, seed=2).weights)


def test_an_interval_is_the_percentiles_of_the_defined_resamples():
    spread = np.append(np.arange(1001.0), np.nan)
    value = value_of(500.0, spread)
    assert (value.low, value.high) == (pytest.approx(25), pytest.approx(975))
    assert value_of(float("nan"), spread).estimate is None
    undefined = value_of(1.0, np.full(10, np.nan))
    assert (undefined.low, undefined.high) == (None, None)


@pytest.mark.parametrize(("num_defined", "has_interval"), [(5, True), (4, False)])
def test_a_metric_that_under_half_of_the_resamples_define_has_no_interval(num_defined, has_interval):
    value = value_of(1.0, np.append(np.arange(float(num_defined)), np.full(10 - num_defined, np.nan)))
    assert value.estimate == 1.0
    assert (value.low is not None, value.high is not None) == (has_interval, has_interval)


@pytest.mark.parametrize("num_values", [40, 1024, 5000])
def test_quantiles_of_a_resample_are_those_of_its_cases_as_often_as_drawn(num_values):
    random = np.random.default_rng(num_values)
    values, case = random.normal(size=num_values), random.integers(0, 6, num_values)
    weights = np.array([[1, 1, 1, 1, 1, 1], [0, 3, 0, 2, 1, 0], [0, 0, 0, 0, 0, 0]], float)
    found = resampled_quantiles(values, case, Resamples(weights=weights), [0.25, 0.5])
    for row, weight in zip(found[:2], weights[:2].astype(int), strict=True):
        expected = np.quantile(np.repeat(values, weight[case]), [0.25, 0.5], method="inverted_cdf")
        ranks = np.abs(np.searchsorted(np.sort(values), row) - np.searchsorted(np.sort(values), expected))
        assert ranks.max() <= num_values // 1024 + 1 if num_values > 1024 else (row == expected).all()
    assert np.isnan(found[2]).all()
