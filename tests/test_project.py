"""A project: one file that every verb beside it takes its places from, and commands that run as they are printed."""

import json
import shlex
import zipfile
from pathlib import Path

import pytest
import yaml

from nrray.cli import main
from nrray.console.run_record import CONFIG_FILE, LOG_FILE
from nrray.project import PROJECT_FILE, Project, next_command, project_text, read_project, verb_settings
from tests.pipelines.support import make_archive


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """The working folder, beside an archive."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def written(capsys) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_init_writes_absolute_places_and_never_over_another_project(here, capsys):
    make_archive(here / "videos", num_videos=1, seconds=1)
    assert main(["init", "videos"]) == 0
    assert "Next: nrray scan" in written(capsys)
    assert read_project() == Project(archive=f"{here}/videos", output=f"{here}/runs")
    assert main(["init", "videos"]) == 0  # the same one
    assert main(["init", "videos", "--output", "elsewhere"]) == 1
    assert "found a project already" in capsys.readouterr().err
    assert main(["init", "nowhere"]) == 2
    assert f"found nothing at {here}/nowhere" in capsys.readouterr().err
    assert main(["init"]) == 2
    assert "found no archive" in capsys.readouterr().err


def test_every_key_stands_in_the_file_with_what_it_is():
    project = Project(archive="/data/a: b#c", cases="/data/cases.csv", output="s3://bucket/runs")
    text = project_text(project)
    assert Project.model_validate(yaml.safe_load(text)) == project
    for name, field in Project.model_fields.items():
        assert any(name in line and field.description in line for line in text.splitlines())


def test_a_verb_gets_what_the_project_has_and_a_file_that_it_can_do_without_once_it_is_there(here):
    project = Project(archive="/data", output=str(here / "runs"))
    assert verb_settings(project, "relabel") == {
        "manifest": f"{here}/runs/scan/manifest.parquet",
        "output": f"{here}/runs/labels",
    }
    assert "split" not in verb_settings(project, "evaluate")
    assert "annotations" not in verb_settings(project, "split")
    assert verb_settings(project, "finetune")["split"] == f"{here}/runs/split.json"  # it cannot do without
    (here / "runs/annotations").mkdir(parents=True)
    (here / "runs/split.json").write_text("{}")
    assert verb_settings(project, "evaluate")["split"] == f"{here}/runs/split.json"
    assert verb_settings(project, "split")["annotations"] == f"{here}/runs/annotations"
    assert verb_settings(project.model_copy(update={"annotations": "/mine"}), "evaluate")["reference"] == "/mine"


def test_a_printed_command_names_what_the_project_does_not(here):
    manifest = f"{here}/runs/scan/manifest.parquet"
    alone = next_command("relabel", {"manifest": manifest, "model.path": None}, output="scan-labels")
    assert alone == f"nrray relabel --set manifest={manifest} --set output=scan-labels"
    (here / PROJECT_FILE).write_text("archive: /data\n")
    assert next_command("relabel", {"manifest": manifest}, output="scan-labels") == "nrray relabel"
    assert next_command("relabel", {"manifest": "/other.parquet"}, output="x") == (
        "nrray relabel --set manifest=/other.parquet"
    )


def test_a_project_with_an_unknown_key_is_refused_by_every_verb(here, capsys):
    (here / PROJECT_FILE).write_text("archive: /data\nlabelset: mine.yaml\n")
    assert main(["relabel"]) == 2
    assert "did you mean 'label_set'?" in capsys.readouterr().err


def test_what_is_missing_without_a_project_says_how_to_begin_one(here, capsys):
    assert main(["relabel"]) == 2
    said = capsys.readouterr().err
    assert "manifest: is required and was not given" in said
    assert "nrray init" in said


def test_a_project_elsewhere_changes_nothing(here, monkeypatch):
    (here / PROJECT_FILE).write_text("archive: /data\n")
    (here / "inside").mkdir()
    monkeypatch.chdir(here / "inside")
    assert read_project() is None


@pytest.mark.parametrize("name", ["scan", "relabel", "finetune", "tune", "evaluate", "simulate", "labels"])
def test_init_writes_a_config_that_its_verb_reads(here, name, capsys):
    assert main(["init", "--config", name]) == 0
    assert isinstance(yaml.safe_load((here / f"{name}.yaml").read_text()), dict)
    assert main(["init", "--config", name]) == 1  # there is one now
    assert "found a file already" in capsys.readouterr().err


def test_a_config_of_no_verb_is_refused_by_name(here, capsys):
    assert main(["init", "--config", "relabl"]) == 2
    assert "expected one of evaluate, finetune, labels, relabel, scan" in capsys.readouterr().err


def test_scan_takes_the_project_says_so_and_leaves_its_record(here, capsys):
    """The command that it prints at the end runs as printed: it is asked for its plan."""
    make_archive(here / "videos", num_videos=2, seconds=1)
    assert main(["init", "videos"]) == 0
    capsys.readouterr()
    assert main(["scan"]) == 0
    said = written(capsys)
    assert f"{PROJECT_FILE}: archive={here}/videos, output={here}/runs/scan" in said
    following = said.partition("Next: ")[2].partition(" Page:")[0]
    assert following == "nrray relabel"
    scanned = here / "runs/scan"
    assert yaml.safe_load((scanned / CONFIG_FILE).read_text())["archive"] == f"{here}/videos"
    log = (scanned / LOG_FILE).read_text()
    assert "INFO nrray scan\n" in log
    assert "2 video files" in log
    assert main(["scan", str(scanned / CONFIG_FILE), "--quiet"]) == 0  # the kept config runs it again
    assert capsys.readouterr().out == ""
    assert (scanned / LOG_FILE).read_text().startswith(log)
    assert main([*shlex.split(following)[1:], "--dry-run"]) == 0
    assert f"manifest={scanned}/manifest.parquet" in written(capsys)
    assert main(["scan", "--set", "archive=nowhere", "--json"]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"error": captured.err.removeprefix("error: ").strip(), "exit_code": 1}
    assert main(["status", "--json"]) == 1
    assert "not an output of nrray relabel" in json.loads(capsys.readouterr().out)["error"]


def test_json_says_wrong_usage_and_wrong_settings_too(here, capsys):
    for words in (["scan", "--no-such-option"], ["scan", "--set", "archiv=x"]):
        assert main([*words, "--json"]) == 2
        assert json.loads(capsys.readouterr().out)["exit_code"] == 2


def test_verbose_shows_where_an_error_came_from(here, capsys):
    assert main(["scan", "--set", "archive=nowhere", "--set", "output=out"]) == 1
    assert "Traceback" not in capsys.readouterr().err
    assert main(["scan", "--set", "archive=nowhere", "--set", "output=out", "--verbose"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_status_without_an_output_or_a_project_says_what_it_needs(here, capsys):
    assert main(["status"]) == 2
    assert "give the output" in capsys.readouterr().err


@pytest.mark.harsh
def test_configs_are_in_the_wheel(tmp_path):
    import subprocess
    import sys

    root = Path(__file__).parents[1]
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(root)], check=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if name.startswith("nrray/configs/")} == {
        f"nrray/configs/{file.name}" for file in (root / "configs").iterdir()
    }
