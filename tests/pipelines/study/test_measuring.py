"""Rows of made labels: figures are those of evaluate and compare, and means over seeds."""

from dataclasses import replace

import numpy as np
import pytest

from nrray.archive.cases import read_cases
from nrray.documents import document_from
from nrray.errors import DataError
from nrray.evaluate.comparison import compare
from nrray.evaluate.config import CompareConfig
from nrray.evaluate.labelling import read_labelling
from nrray.labels import read_label_set
from nrray.metrics.jackknife import Value
from nrray.pipelines.study.answer import answer
from nrray.pipelines.study.document import RowCosts, RowFigures, StudyDocument
from nrray.pipelines.study.job import METRIC, StudyConfig
from nrray.pipelines.study.measuring import MeasuredRows, measured_rows
from nrray.pipelines.study.tables import cells, header, latex, markdown, parquet_rows
from tests.evaluate.archives import PATHS, TRUTH, archive, evaluated

LABELS = read_label_set()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folders of three labellings of eight cases, and the reference."""
    root = tmp_path_factory.mktemp("archive")
    good, reference = archive(root, right=0.97, name="good", seed=1)
    again, _ = archive(root, right=0.93, name="again", seed=4)
    bad, _ = archive(root, right=0.7, name="bad", seed=2)
    return {"good": good, "again": again, "bad": bad}, reference, root


def is_true(activity, window):
    return any(start <= window < end for start, end in TRUTH[activity])


def measured(rows, reference) -> MeasuredRows:
    def read(uri):
        return read_labelling(str(uri), activities=LABELS.names)

    cases = read_cases(None)
    return measured_rows(
        {name: [read(uri) for uri in uris] for name, uris in rows.items()},
        read(reference),
        cases,
        case_ids=frozenset(cases.case_ids(PATHS)),
        label_set=LABELS,
        balanced_windows=60,
    )


def test_a_row_of_one_seed_has_the_figures_of_evaluate_and_compare(made, tmp_path):
    uris, reference, _ = made
    found = measured({"good": [uris["good"]], "bad": [uris["bad"]]}, reference)
    document = evaluated(tmp_path, uris["good"], reference, balanced_windows=60)
    row = found.rows["good"]
    assert row.f1[found.scopes[0]] == document.macro_row.values[METRIC]
    for name in LABELS.names:
        assert row.f1[name] == document.row(name).values[METRIC]
        specificity = document.row(name).values["windows specificity"]
        assert row.false_yes[name].estimate == pytest.approx(1 - specificity.estimate)
        assert row.false_yes[name].low == pytest.approx(1 - specificity.high)
    assert row.broken_rules == pytest.approx(document.hallucination.broken_rules.estimate)
    wanted = [document.balanced.rows[name].f1 for name in ("ventilation", "stimulation", "suction")]
    assert row.balanced_macro_f1 == pytest.approx(np.mean(wanted))
    comparison = compare(
        CompareConfig(
            candidates=(uris["good"], uris["bad"]),
            names=("good", "bad"),
            reference=reference,
            output=str(tmp_path / "compared"),
            metric=METRIC,
        )
    )
    assert found.differences == comparison.differences
    assert found.baselines == comparison.baselines


def test_several_seeds_are_their_mean_and_no_more_cases(made):
    uris, reference, _ = made
    alone = measured({"good": [uris["good"]], "again": [uris["again"]]}, reference)
    both = measured({"tuned": [uris["good"], uris["again"]], "bad": [uris["bad"]]}, reference)
    macro, row = both.scopes[0], both.rows["tuned"]
    first, second = (alone.rows[name].f1[macro].estimate for name in ("good", "again"))
    assert row.macro_by_seed == pytest.approx((first, second))
    assert row.f1[macro].estimate == pytest.approx((first + second) / 2)
    assert row.f1[macro].low < row.f1[macro].estimate < row.f1[macro].high
    assert both.num_cases == alone.num_cases == 8
    twice = measured({"tuned": [uris["good"], uris["good"]], "bad": [uris["bad"]]}, reference)
    once = measured({"tuned": [uris["good"]], "bad": [uris["bad"]]}, reference)
    assert twice.rows["tuned"].f1[macro] == once.rows["tuned"].f1[macro]
    assert twice.differences == once.differences


def row(name, macro_f1, *, rate=None, seeds=()):
    value = Value(estimate=macro_f1, low=macro_f1 - 0.1, high=macro_f1 + 0.1)
    return RowFigures(
        name=name, model="embedded", strategy="head", seeds=seeds, versions=(), num_windows=9,
        f1={"macro over suction": value, "suction": value}, macro_by_seed=(macro_f1,), false_yes={"suction": value},
        calibration_error=None, unparsed=0.0, unsure=0.0, broken_rules=None, balanced_macro_f1=None,
        costs=RowCosts(windows_per_second=rate, labeling_hours=0.1, training_hours=None, trained_parameters=None, size_mib=1.0),
        settings={}, notes=(), reliability=None,
    )  # fmt: skip


def told(rows, differences=(), chance=0.3):
    return answer(rows, differences, macro="macro over suction", num_cases=24, chance=chance)


def test_the_answer_names_the_best_row_and_what_may_be_claimed_of_it(made):
    uris, reference, _ = made
    found = measured({"good": [uris["good"]], "again": [uris["again"]], "bad": [uris["bad"]]}, reference)
    macro = found.scopes[0]
    rows = [
        RowFigures(
            **vars(found.rows[name]), name=name, model="m", strategy="head", seeds=(0,) if name == "good" else (),
            versions=(), costs=row(name, 0.5, rate={"good": 2.0, "again": 8.0, "bad": 9.0}[name]).costs, settings={}, notes=(),
        )
        for name in ("bad", "good", "again")
    ]  # fmt: skip
    first, *rest = answer(rows, found.differences, macro=macro, num_cases=8, chance=0.2)
    assert first.startswith(
        f"Use 'good': its F1 of windows is the highest, {found.rows['good'].f1[macro].estimate:.2f} ("
    )
    assert "It may be claimed to be better than 'bad'." in rest
    assert any(sentence.startswith("Of 'again' these cases do not tell") for sentence in rest)
    assert "Of these 'again' labels fastest: 8.0 windows/s a labeler, against 2.0." in rest
    assert "Of these 'again' need no training." in rest


def test_a_best_row_that_chance_reaches_is_said_to_be_no_better(made):
    assert "It may not be claimed to be better than answering yes always, 0.45." in told(
        [row("only", 0.5)], chance=0.45
    )
    assert "It is the only row: nothing is compared." in told([row("only", 0.5)])


def test_a_best_row_that_is_often_unsure_is_said_to_be_so(made):
    unsure = replace(row("only", 0.5), unsure=0.4)
    assert "Of its labels 40% are unsure and 0% could not be read, which count as no." in " ".join(told([unsure]))
    assert "unsure" not in " ".join(told([row("only", 0.5)]))


def test_what_a_row_is_unsure_of_counts_as_no(made, tmp_path):
    uris, reference, _ = made
    alone = measured({"good": [uris["good"]]}, reference)
    # Of suction it says yes alone, and nothing elsewhere: without the windows that it leaves open its F1 would be 1.
    half = {(window, "suction"): "unsure" for window in range(60) if window % 2 or not is_true("suction", window)}
    coy, _ = archive(tmp_path, right=1.0, name="coy", states=dict.fromkeys(PATHS, half))
    everything = {(window, activity): "unsure" for window in range(60) for activity in LABELS.names}
    silent, _ = archive(tmp_path, name="silent", states=dict.fromkeys(PATHS, everything))
    found = measured({"good": [uris["good"]], "coy": [coy], "silent": [silent]}, reference)
    assert found.rows["good"] == alone.rows["good"]
    num_true = sum(is_true("suction", window) for window in range(60))
    num_found = sum(is_true("suction", window) and window % 2 == 0 for window in range(60))
    assert found.rows["coy"].f1["suction"].estimate == pytest.approx(2 * num_found / (num_true + num_found))
    assert found.rows["coy"].false_yes["suction"].estimate == 0
    assert {found.rows["silent"].f1[scope].estimate for scope in found.scopes} == {0.0}
    assert found.rows["silent"].unsure == 1


def document(*rows) -> StudyDocument:
    settings = StudyConfig.model_validate(
        {
            "manifest": "m",
            "annotations": "a",
            "split": "s",
            "output": "o",
            "rows": [{"name": each.name} for each in rows],
        }
    )
    return StudyDocument(
        schema_version=1, settings=settings, num_cases=24, hours=0.4, scopes=("macro over suction", "suction"),
        macro_activities=("suction",), rows=rows,
        missing={}, baselines={}, differences=(), answer=("Use it.",), reads="", notes=(),
    )  # fmt: skip


def test_tables_have_a_line_per_row_the_best_first_and_no_sign_that_breaks_them():
    study = document(row("a | b", 0.4), row("50 % & _x_", 0.8, rate=3.0, seeds=(0, 1)))
    assert [line[0] for line in cells(study)] == ["50 % & _x_", "a | b"]
    assert all(len(line) == len(header(study)) for line in cells(study))
    lines = [line for line in markdown(study).splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
    assert r"50 \% \& \_x\_" in latex(study)
    table = parquet_rows(study)
    assert table.num_rows == 4
    assert set(table["num_seeds"].to_pylist()) == {1, 2}


def test_the_document_is_read_back_as_it_was_written():
    study = document(row("only", 0.4))
    assert StudyDocument.model_validate(study.model_dump(mode="json", by_alias=True)) == study


def test_a_document_without_reliability_is_still_read_and_one_of_a_newer_release_is_not():
    written = document(row("only", 0.4)).model_dump(mode="json", by_alias=True)
    older = {**written, "rows": [{key: value for key, value in written["rows"][0].items() if key != "reliability"}]}
    read = document_from(StudyDocument, older, name="study.json", folder="here")
    assert read.rows[0].reliability is None
    with pytest.raises(DataError, match="A newer nrray wrote"):
        document_from(StudyDocument, {**written, "schema_version": 2}, name="study.json", folder="here")
