"""A probe on real Ray: every condition is a run of relabel, and the document says what its tables say."""

import pyarrow.parquet as pq
import pytest

from nrray.config import validate_mapping
from nrray.console.reporter import Reporter
from nrray.errors import ConfigError, DataError
from nrray.labels import read_label_set
from nrray.models.shown import Shown
from nrray.pipelines.on_ray.session import ray_session
from nrray.pipelines.probe.document import read_probe
from nrray.pipelines.probe.job import ProbeConfig
from nrray.pipelines.probe.report import probe_page, probe_sentence, report_probe
from nrray.pipelines.probe.run import Probed, probe
from nrray.pipelines.scan.run import ScanConfig, scan
from nrray.pipelines.simulate import simulate
from nrray.simulate import SimulateConfig
from tests.checkpoints import CHECKPOINTS

QUIET = Reporter(is_json=True)


@pytest.fixture(scope="module", autouse=True)
def _ray():
    with ray_session():
        yield


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> dict[str, object]:
    """Three drawn cases, scanned, and a tiny model that is asked in words."""
    root = tmp_path_factory.mktemp("archive")
    drawing = SimulateConfig(
        output=str(root), num_cases=3, case_seconds=10, videos_per_case=1, frames_per_second=4, seed=3
    )
    simulate(drawing, QUIET)
    manifest = scan(ScanConfig(archive=str(root / "videos"), output=str(root / "scan")), QUIET).manifest
    return {
        "manifest": manifest,
        "reference": str(root / "truth"),
        "cases": str(root / "cases.csv"),
        "model": {"path": str(CHECKPOINTS["fast_vlm"](root / "model", read_label_set()))},
        "sampling": {"frames_per_second": 2, "window_seconds": 2, "frame_width_px": 64, "frame_height_px": 64},
        "pools": {"decoders": 1, "labelers": 1, "stall_timeout_seconds": 200},
        "max_unparsed_share": 1.0,
        "max_cases": 2,
        "conditions": ["blank", "frozen"],
    }


@pytest.fixture(scope="module")
def probed(settings, tmp_path_factory) -> Probed:
    return probe(config_of(settings, tmp_path_factory.mktemp("probe")), QUIET)


def config_of(settings, output, **changed) -> ProbeConfig:
    return validate_mapping(ProbeConfig, {**settings, "output": str(output), **changed}, where="test")


def answers_of(probed: Probed, name: str) -> list[dict[str, object]]:
    return pq.read_table(f"{probed.folder}/{name}/latest/answers.parquet").to_pylist()


def test_every_condition_has_labels_of_the_same_windows(probed):
    names = ["filmed", "blank", "frozen", "reworded"]
    keys = [{(row["path"], row["start_us"], row["question"]) for row in answers_of(probed, name)} for name in names]
    assert all(each == keys[0] for each in keys)
    assert len({path for path, _, _ in keys[0]}) == probed.document.num_cases == 2
    assert len(keys[0]) == 4 * probed.document.num_windows
    assert not probed.has_failures


def test_all_windows_of_blank_frames_get_one_answer_to_a_question(probed):
    answers = {}
    for row in answers_of(probed, "blank"):
        answers.setdefault(row["question"], set()).add(row["answer"])
    assert all(len(texts) == 1 for texts in answers.values())


def test_the_document_is_what_the_tables_say_and_is_read_again(probed):
    document = read_probe(probed.folder)
    assert document == probed.document
    assert set(document.shown) == {Shown.FILMED, Shown.BLANK, Shown.FROZEN}
    rows = answers_of(probed, "frozen")
    for activity, rates in document.shown[Shown.FROZEN].items():
        states = [row["state"] for row in rows if row["question"] == activity]
        assert rates.unparsed.estimate == pytest.approx(states.count("unparsed") / len(states))
    assert set(document.contradiction) == {"baby_visible", "ventilation", "stimulation", "suction"}


def test_the_same_command_goes_on_and_labels_nothing_again(probed, settings, capsys):
    again = probe(config_of(settings, probed.folder), Reporter())
    said = capsys.readouterr().out
    assert said.count("0 to do") == 4
    assert again.document == probed.document


def test_what_was_found_is_told_and_has_a_page(probed, capsys):
    report_probe(probed, Reporter())
    said = " ".join(capsys.readouterr().out.split())
    assert "2 of 3 cases, drawn by seed 0." in said
    assert probe_sentence(probed.document) in said
    page = probe_page(probed, Reporter().transcript)
    assert page.outcome == probe_sentence(probed.document)


def test_a_reference_of_another_archive_is_refused(settings, tmp_path):
    other = tmp_path / "other"
    drawing = SimulateConfig(output=str(other), num_cases=1, case_seconds=10, videos_per_case=2, frames_per_second=4)
    simulate(drawing, QUIET)
    truth = {"reference": str(other / "truth"), "cases": None, "manifest": settings["manifest"]}
    (other / "videos").rename(other / "gone")
    with pytest.raises(DataError, match="has no video of the 2 cases"):
        probe(config_of(settings, tmp_path / "out", **{**truth, "max_cases": None}), QUIET)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"shown": "blank"}, "shown=blank, expected `conditions`"),
        ({"conditions": ["filmed"]}, "found filmed among the conditions"),
        ({"conditions": ["blank", "blank"]}, "expected each condition once"),
    ],
)
def test_conditions_are_other_frames_than_the_video(settings, tmp_path, changed, problem):
    with pytest.raises(ConfigError, match=problem):
        config_of(settings, tmp_path, **changed)
