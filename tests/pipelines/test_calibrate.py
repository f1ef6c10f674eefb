"""The verb calibrate, from scored answers to labels that are read again: no model, no Ray."""

import json
import shlex

import pyarrow.parquet as pq
import pytest
import yaml

from nrray.archive.annotations import write_annotations
from nrray.cli import main
from nrray.cli.exit_codes import EXIT_ERROR, EXIT_USAGE
from nrray.models.strategies.answers import scored_answer
from nrray.storage import Folder
from nrray.types import Extent, Origin, Segment
from tests.made_answers import LABELS, VIDEOS, answered, config

SCORED = {"kind": "yes_no", "answer_tokens": 0}
WITH_SUCTION, WITHOUT = VIDEOS


def said(window):
    """Suction is likelier where it is, in the six windows of the first video, but never likely; the newborn is always seen."""
    suction = 0.3 if window < 6 else 0.05 + 0.01 * window
    return [scored_answer(("yes", "no"), (yes, 1 - yes)) for yes in (0.9, 0.1, 0.1, suction)]


@pytest.fixture
def reference(tmp_path):
    extents = [Extent(path=video.path, start_us=0, end_us=video.duration_us, source="jane") for video in VIDEOS]
    segments = [
        Segment(path=path, activity=activity, start_us=0, end_us=20_000_000, source="jane", origin=Origin.HUMAN)
        for path, activity in ((WITH_SUCTION.path, "suction"), *((video.path, "baby_visible") for video in VIDEOS))
    ]
    write_annotations(Folder(str(tmp_path / "truth")), segments, extents, activities=LABELS.names)
    return tmp_path / "truth"


def calibrate(tmp_path, labels, reference, *settings):
    given = [f"labels={labels}", f"reference={reference}", f"output={tmp_path / 'calibration'}", *settings]
    return main(["calibrate", *(word for setting in given for word in ("--set", setting))])


def present(output, version):
    """(path, activity) of windows that are present."""
    labels = pq.read_table(output.path(f"versions/{version}/labels.parquet")).to_pylist()
    return {(row["path"], row["activity"]) for row in labels if row["state"] == "present"}


@pytest.fixture
def labels(tmp_path, capsys):
    made = config(tmp_path, strategy=SCORED)
    output = answered(made, said)
    (tmp_path / "relabel.yaml").write_text(yaml.safe_dump(json.loads(made.model_dump_json(exclude_none=True))))
    assert main(["relabel", str(tmp_path / "relabel.yaml"), "--restate"]) == 0
    capsys.readouterr()
    return output


def test_the_command_that_it_prints_reads_the_answers_with_what_was_fitted(tmp_path, labels, reference, capsys):
    visible = {(video.path, "baby_visible") for video in VIDEOS}
    assert present(labels, "v0001") == visible
    assert calibrate(tmp_path, labels.uri, reference) == 0
    printed = capsys.readouterr().out
    assert "Without a split all cases are fitted on" in printed
    assert "baby_visible, ventilation, stimulation: left as it is" in printed
    command = next(line for line in printed.splitlines() if line.startswith("Next: ")).removeprefix("Next: nrray ")
    assert main(shlex.split(command)) == 0
    assert present(labels, "v0002") == {*visible, (WITH_SUCTION.path, "suction")}
    document = json.loads((tmp_path / "calibration" / "calibration.json").read_text())
    assert document["num_cases"] == 2
    suction = document["activities"][3]
    assert (suction["name"], suction["num_windows"], suction["num_yes"]) == ("suction", 9, 6)
    assert (tmp_path / "calibration" / "index.html").is_file()


def test_a_fit_of_calibrated_scores_goes_on_from_them(tmp_path, labels, reference):
    assert calibrate(tmp_path, labels.uri, reference) == 0
    first = yaml.safe_load((tmp_path / "calibration" / "relabel.yaml").read_text())["strategy"]["calibration"]
    assert main(["relabel", str(tmp_path / "calibration" / "relabel.yaml"), "--restate"]) == 0
    assert calibrate(tmp_path, labels.uri, reference) == 0
    again = yaml.safe_load((tmp_path / "calibration" / "relabel.yaml").read_text())["strategy"]["calibration"]
    assert again["suction"] == pytest.approx(first["suction"], rel=0.02, abs=0.02)


def test_labels_that_are_no_scored_answers_are_refused(tmp_path, reference, capsys):
    made = config(tmp_path)
    output = answered(made, ["yes", "no", "no", "no"])
    (tmp_path / "relabel.yaml").write_text(yaml.safe_dump(json.loads(made.model_dump_json(exclude_none=True))))
    assert main(["relabel", str(tmp_path / "relabel.yaml"), "--restate"]) == 0
    assert calibrate(tmp_path, output.uri, reference) == EXIT_ERROR
    assert "kind=yes_no, answer_tokens=8, expected kind=yes_no with answer_tokens=0" in capsys.readouterr().err
    assert calibrate(tmp_path, reference, reference) == EXIT_ERROR
    assert "is no label version" in capsys.readouterr().err


def test_cases_that_show_nothing_are_refused(tmp_path, labels, reference, capsys):
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"parts": {"train": [], "validation": [WITHOUT.path], "test": [WITH_SUCTION.path]}}))
    assert calibrate(tmp_path, labels.uri, reference, f"split={split}") == EXIT_ERROR
    assert "no activity with and without it in the 1 case to fit on" in capsys.readouterr().err
    assert not (tmp_path / "calibration").exists()


def test_a_part_without_a_split_is_refused(tmp_path, labels, reference, capsys):
    assert calibrate(tmp_path, labels.uri, reference, "part=test") == EXIT_USAGE
    assert "without a split" in capsys.readouterr().err
