"""A study on real Ray: rows that are done stay, one that fails does not end the others, a changed one is refused by name."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from nrray.archive.splits import READS_SUFFIX
from nrray.cli import main
from nrray.config import validate_mapping
from nrray.console.reporter import Reporter
from nrray.console.transcript import Transcript
from nrray.errors import ConfigError, DataError, IdentityError
from nrray.labels import read_label_set
from nrray.pipelines.on_ray.session import ray_session
from nrray.pipelines.study.dry_run import expected_rows
from nrray.pipelines.study.job import StudyConfig
from nrray.pipelines.study.report import report_study, study_page, write_tables
from nrray.pipelines.study.run import NOT_RUN, Studied, run_study
from nrray.pipelines.study.status import study_status
from nrray.report.run_page import write_run_page
from nrray.storage import Folder
from tests.pipelines.study.made_study import study_settings
from tests.report.pages import check_self_contained

QUIET = Reporter(is_json=True)


@pytest.fixture(scope="module", autouse=True)
def _ray():
    with ray_session():
        yield


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> dict[str, object]:
    """A study with three rows: a tiny model trained, asked, and one that is not there."""
    made = study_settings(tmp_path_factory.mktemp("archive"), output=tmp_path_factory.mktemp("study"))
    return {**made, "rows": [*made["rows"], {"name": "gone", "model": {"path": "/nowhere"}}]}


def config_of(settings, **changed) -> StudyConfig:
    return validate_mapping(StudyConfig, {**settings, **changed}, where="test")


@pytest.fixture(scope="module")
def studied(settings) -> Studied:
    return run_study(config_of(settings), QUIET)


def num_reads(settings) -> int:
    with open(settings["split"] + READS_SUFFIX, encoding="utf-8") as reads:
        return len(reads.readlines())


def test_rows_are_measured_and_the_one_that_failed_says_why(studied, settings):
    assert [row.name for row in studied.document.rows] == ["trained", "asked"], studied.document.missing
    assert list(studied.failures) == list(studied.document.missing) == ["gone"]
    assert "nowhere" in studied.document.missing["gone"]
    assert studied.document.num_cases == 2
    for row in studied.document.rows:
        labels = pq.read_table(
            f"{studied.folder}/rows/{row.name}{'/seed-0' if row.seeds else ''}/labels/latest/labels.parquet"
        )
        assert len(set(labels["path"].to_pylist())) == 2  # the videos of the test part alone
        assert row.costs.windows_per_second > 0
    trained, asked = studied.document.rows
    assert trained.costs.trained_parameters > 0
    assert trained.costs.training_hours > 0
    assert asked.costs.training_hours is asked.costs.trained_parameters is None
    assert asked.settings["strategy"]["prompts"].keys() == set(read_label_set().names)
    assert num_reads(settings) == 1


def test_a_study_that_is_done_is_measured_again_without_a_read_or_a_training(studied, settings):
    again = run_study(config_of(settings), QUIET)
    assert again.document.rows == studied.document.rows
    assert again.document.notes == studied.document.notes
    assert again.document.reads == studied.document.reads
    assert num_reads(settings) == 1


def test_every_row_has_an_evaluation_of_its_own_which_agrees_and_is_made_once(studied, settings):
    written = {}
    for row in studied.document.rows:
        folder = Path(studied.folder) / "rows" / row.name / "evaluation"
        document = json.loads((folder / "evaluation.json").read_text())
        told = next(each for each in document["rows"] if each["name"] == "baby_visible")["values"]["windows f1"]
        assert told["estimate"] == row.f1["baby_visible"].estimate
        written[folder / "report.html"] = (folder / "report.html").stat().st_mtime_ns
    run_study(config_of(settings), QUIET)
    assert {file: file.stat().st_mtime_ns for file in written} == written
    lost = next(iter(written))
    lost.unlink()
    run_study(config_of(settings), QUIET)
    assert lost.exists()
    assert num_reads(settings) == 1


def test_a_row_that_has_changed_is_refused_by_name_with_what_changed(studied, settings):
    trained, asked, gone = settings["rows"]
    other = {**asked, "strategy": {**asked["strategy"], "instruction": "Only yes or no."}}
    changed = run_study(config_of(settings, rows=[trained, other, gone]), QUIET, only=["asked"])
    assert list(changed.failures) == ["asked"]
    assert "Only yes or no." in changed.failures["asked"]
    assert [row.name for row in changed.document.rows] == ["trained"]
    elsewhere = {**trained, "finetune": {**trained["finetune"], "adapter": {"rank": 3}}}
    unseen = run_study(config_of(settings, rows=[elsewhere, asked, gone]), QUIET, only=["asked"])
    assert unseen.document.missing["trained"].startswith("adapter changed since it was run")
    back = run_study(config_of(settings), QUIET, only=["asked"])
    assert [row.name for row in back.document.rows] == ["trained", "asked"]


def test_a_row_that_is_added_leaves_the_others_as_they_are(studied, settings):
    more = {**settings["rows"][1], "name": "more", "strategy": {"kind": "list"}}
    rows = [*settings["rows"][:2], more]
    before = run_study(config_of(settings, rows=rows), QUIET, only=["asked"])
    assert before.document.missing == {"more": NOT_RUN}
    found = run_study(config_of(settings, rows=rows), QUIET, only=["more"])
    assert [row.name for row in found.document.rows] == ["trained", "asked", "more"]
    assert [row.versions for row in found.document.rows[:2]] == [row.versions for row in studied.document.rows]


def test_files_and_page_say_what_the_document_says(studied, capsys):
    write_tables(studied)
    reporter = Reporter()
    reporter.transcript = Transcript(folder="/here")
    report_study(studied, reporter)
    printed = capsys.readouterr().out
    assert studied.document.answer[0][:30] in printed
    assert "'gone' has no figures" in printed
    write_run_page(Folder(studied.folder), study_page(studied, reporter.transcript))
    with open(f"{studied.folder}/index.html", encoding="utf-8") as file:
        page = check_self_contained(file.read(), folder=Path(studied.folder))
    assert studied.document.answer[0][:30] in page.text
    for picture in ("f1.png", "reliability.png"):
        assert (Path(studied.folder) / picture).read_bytes().startswith(b"\x89PNG")
    assert "rows/trained/evaluation/report.html" in page.text
    markdown = Folder(studied.folder).read_bytes("table.md").decode()
    assert "| trained |" in markdown
    assert pq.read_table(f"{studied.folder}/rows.parquet").num_rows == 2 * len(studied.document.scopes)


def test_status_tells_how_far_each_row_is(studied, settings, capsys):
    run_study(config_of(settings), QUIET, only=["asked"])  # its rows are those of the last call
    assert main(["status", studied.folder]) == 0
    printed = capsys.readouterr().out
    assert f"{studied.folder}: not running" in printed
    found = study_status(Folder(studied.folder))
    states = {(row.row, row.seed): (row.training, row.labels) for row in found.rows}
    assert states.keys() == {("trained", 0), ("trained", 1), ("asked", None), ("gone", None)}
    assert states["trained", 1][0] == "finished"
    training, labels = states["asked", None]
    assert training == "-"
    assert labels.endswith(" ok")
    assert states["gone", None] == ("-", "not begun")


def test_a_dry_run_tells_hours_and_failures_and_writes_nothing(settings, tmp_path):
    rows = expected_rows(config_of(settings, output=str(tmp_path / "study")), QUIET)
    by_name = {row.name: row for row in rows}
    assert by_name["asked"].labeling_seconds > 0
    assert by_name["trained"].training_seconds > 0
    assert "nowhere" in by_name["gone"].error
    assert not (tmp_path / "study").exists()


def test_unknown_rows_an_empty_part_and_other_videos_are_refused(studied, settings, tmp_path):
    with pytest.raises(ConfigError, match="--only: found 'nobody', expected some of 'trained'"):
        run_study(config_of(settings), QUIET, only=["nobody"])
    parts = {"train": [], "validation": [], "test": []}
    (tmp_path / "empty.json").write_text(json.dumps({"parts": parts}))
    with pytest.raises(DataError, match="the test part has no case"):
        run_study(config_of(settings, split=str(tmp_path / "empty.json")), QUIET)
    (tmp_path / "other.json").write_text(json.dumps({"parts": {**parts, "test": ["case-1-00000"]}}))
    with pytest.raises(IdentityError, match="measured on 2 test videos"):
        run_study(config_of(settings, split=str(tmp_path / "other.json")), QUIET)


def test_a_study_without_a_row_that_can_be_measured_is_an_error(settings, tmp_path):
    with pytest.raises(DataError, match=r"no row has labels of the test part\. gone: "):
        run_study(config_of(settings, rows=settings["rows"][2:], output=str(tmp_path / "study")), QUIET)
