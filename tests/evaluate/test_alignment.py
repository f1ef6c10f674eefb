import numpy as np
import pytest

from nrray.errors import DataError
from nrray.evaluate.comparison import compare
from nrray.evaluate.config import CompareConfig
from nrray.evaluate.confusion import Mistake
from nrray.evaluate.verdicts import Verdict, verdicts
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


@pytest.mark.parametrize(("num_unsure", "is_told"), [(3, False), (4, True)])  # of 8 x 60 windows 5 % are 24
def test_many_undecided_windows_are_told_by_activity(num_unsure, is_told, tmp_path):
    states = {path: {(window, "suction"): "unsure" for window in range(num_unsure)} for path in PATHS}
    document = evaluated(tmp_path, *archive(tmp_path, states=states))
    assert document.left_out.undecided == 8 * num_unsure
    told = [note for note in document.notes if "unsure" in note]
    sentence = "is unsure of 7% of the windows of suction, or cannot assess them: no metric of windows counts these"
    assert [sentence in note for note in told] == ([True] if is_told else [])


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


def unlabelled_suction(tmp_path):
    """A reference whose annotator did not look for suction."""
    without = {name: spans for name, spans in TRUTH.items() if name != "suction"}
    extents = {path: [(0, 60)] for path in PATHS}
    return write_annotations(tmp_path / "partly", dict.fromkeys(PATHS, without), extents, "anna", activities=())


def test_figures_of_an_activity_that_one_side_does_not_label_are_undefined_and_never_0(tmp_path):
    labels, whole = archive(tmp_path)
    document = evaluated(tmp_path, labels, unlabelled_suction(tmp_path), balanced_windows=40)
    row = document.row("suction")
    assert {(value.estimate, value.low, value.high) for value in row.values.values()} == {(None, None, None)}
    assert (row.support_windows, row.support_us, row.num_segments, row.num_cases_with) == (None,) * 4
    assert {value for base in document.baselines["suction"].values() for value in base.values()} == {None}
    assert document.alpha["suction"] is None
    assert document.onset_errors["suction"].num_segments is None
    judged = {each.row.name: each for each in verdicts(document)}["suction"]
    assert (judged.verdict, judged.reason, judged.chance) == (Verdict.UNDECIDED, "not labelled by both", None)
    assert "suction" not in document.confusion
    assert "suction" not in document.confusion["ventilation"][Mistake.MISSED]
    assert "suction" not in document.balanced.rows
    assert all(case.f1["suction"] is None for case in document.cases)
    assert "suction" not in document.cases[0].videos[0].lanes
    assert "stimulation" in document.cases[0].videos[0].lanes
    assert any(note.startswith("anna does not label suction: ") for note in document.notes)
    assert not any("suction in no case of the reference" in note for note in document.notes)
    others = evaluated(tmp_path, labels, whole)
    assert document.row("ventilation").values == others.row("ventilation").values
    assert document.hours == others.hours
    assert document.left_out.undecided == 0


def test_indicators_of_an_activity_that_a_source_does_not_label_are_not_labelled(tmp_path):
    labels, _ = archive(tmp_path)
    clinical = evaluated(tmp_path, labels, unlabelled_suction(tmp_path)).clinical
    theirs = {row.name: row for row in clinical.reference}
    assert (
        theirs["suction episodes"].reason == theirs["interruption during suction"].reason == "suction is not labelled"
    )
    assert theirs["suction episodes"].median.estimate is None
    assert theirs["stimulation episodes"].num_known > 0
    values = clinical.cases.reference[PATHS[0]]
    assert (values["total suction"].value, values["total suction"].reason) == (None, "suction is not labelled")
    assert clinical.cases.candidate[PATHS[0]]["total suction"].value is not None
    assert "<td>suction is not labelled</td>" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_an_activity_that_was_looked_for_and_never_found_is_absent(tmp_path):
    truth = {name: spans for name, spans in TRUTH.items() if name != "suction"}
    extents = {path: [(0, 60)] for path in PATHS}
    reference = write_annotations(tmp_path / "none", dict.fromkeys(PATHS, truth), extents, activities=("suction",))
    labels, _ = archive(tmp_path)
    document = evaluated(tmp_path, labels, reference)
    assert estimate(document, "suction", "time precision") == 0
    assert {row.name: row for row in document.clinical.reference}["suction episodes"].median.estimate == 0
    assert any(note.startswith("suction in no case of the reference") for note in document.notes)


def test_a_candidate_without_an_activity_is_not_compared_on_it(tmp_path):
    labels, reference = archive(tmp_path)
    partly = unlabelled_suction(tmp_path)
    config = CompareConfig(
        candidates=(labels, partly), names=("model", "anna"), reference=reference, output=str(tmp_path / "out")
    )
    found = compare(config)
    assert found.values["anna"]["suction"].estimate is None
    assert found.values["model"]["suction"].estimate > 0
    assert "suction" not in found.scopes[0]
    assert any(note.startswith("anna does not label suction") for note in found.notes)
    assert 0.5 < found.alpha["suction"] < 1, "of the two that label it"
