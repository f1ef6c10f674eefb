import numpy as np
import pytest

from nrray.errors import DataError
from nrray.evaluate.comparison import compare
from nrray.evaluate.config import CompareConfig
from tests.evaluate.archives import (
    PATHS,
    TRUTH,
    archive,
    estimate,
    evaluated,
    scores_of,
    write_annotations,
    write_labels,
)


def test_time_that_failed_or_that_nobody_annotated_is_left_out_and_counted(tmp_path):
    failed = {(PATHS[0], window) for window in range(30, 40)}
    document = evaluated(tmp_path, *archive(tmp_path, right=1.0, extents=(0, 50), failed=failed))
    assert document.num_windows == 8 * 50 - 10
    assert document.hours == pytest.approx((8 * 50 - 10) / 3600)
    assert document.left_out.failed_us == 10_000_000
    assert document.left_out.candidate_alone_us == 8 * 10 * 1_000_000
    assert document.left_out.windows_across_borders == 8 * 10
    assert estimate(document, "ventilation", "windows f1") == 1.0


def test_undecided_windows_do_not_count_and_unparsed_ones_count_as_no(tmp_path):
    states = {PATHS[0]: {(12, "ventilation"): "unsure", (13, "ventilation"): "unparsed"}}
    document = evaluated(tmp_path, *archive(tmp_path, right=1.0, states=states))
    assert document.left_out.undecided == 1
    assert document.unparsed["ventilation"] == 1
    assert document.row("ventilation").support_windows == 8 * 20 - 1
    recall = estimate(document, "ventilation", "windows recall")
    assert recall == pytest.approx((8 * 20 - 2) / (8 * 20 - 1))


def test_labellings_of_different_archives_are_refused(tmp_path):
    reference = write_annotations(tmp_path / "truth", {"other.mp4": TRUTH}, {"other.mp4": [(0, 60)]})
    labels = write_labels(tmp_path / "labels", {PATHS[0]: scores_of(TRUTH, 60)})
    with pytest.raises(DataError, match="no time that both looked at"):
        evaluated(tmp_path, labels, reference)


def test_disjoint_extents_are_refused(tmp_path):
    labels, reference = archive(tmp_path, extents=(100, 120))
    with pytest.raises(DataError, match="no time that both looked at"):
        evaluated(tmp_path, labels, reference)


def test_a_case_that_was_not_examined_is_no_case(tmp_path):
    reference = write_annotations(tmp_path / "truth", dict.fromkeys(PATHS, TRUTH), {path: [(0, 60)] for path in PATHS})
    failed = [(path, window) for path in PATHS[3:] for window in range(60)]
    scores = {path: scores_of(TRUTH, 60, right=0.9, random=np.random.default_rng(3)) for path in PATHS}
    labels = {name: write_labels(tmp_path / name, scores, source=name, failed=failed) for name in ("one", "two")}
    document = evaluated(tmp_path, labels["one"], reference)
    assert document.num_cases == 3
    config = CompareConfig(candidates=tuple(labels.values()), reference=reference, output=str(tmp_path / "out"))
    assert compare(config).num_cases == 3
