"""Labels that claim nothing, on real Ray: videos outside the model's domain, and answers that are neither yes nor no."""

import json
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest

from nrray.cli import main
from nrray.console.reporter import Reporter
from nrray.labels import read_label_set
from nrray.models import ModelConfig, YesNoStrategy
from nrray.pipelines.on_ray.session import ray_session
from nrray.pipelines.relabel.job import RelabelConfig
from nrray.pipelines.relabel.report import Relabelled, report_relabel
from nrray.pipelines.relabel.run import RelabelOptions, relabel
from nrray.pipelines.relabel.status import output_status, report_status
from nrray.pipelines.scan.run import ScanConfig, scan
from nrray.pipelines.simulate import simulate
from nrray.pipelines.workers import Pools
from nrray.results.domain import OUTSIDE_MARK, OutsideDomain
from nrray.simulate import SimulateConfig
from nrray.storage import Folder
from tests.checkpoints import CHECKPOINTS
from tests.pipelines.support import tables
from tests.videos import write_video

QUIET = Reporter(is_json=True)
DRAWN, BARCODES = "drawn", "barcodes.mp4"


@pytest.fixture(scope="module", autouse=True)
def _ray():
    with ray_session():
        yield


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> str:
    """A drawn case, and a video of barcodes."""
    root = tmp_path_factory.mktemp("archive")
    drawing = SimulateConfig(
        output=str(root), num_cases=1, case_seconds=12, videos_per_case=1, frames_per_second=4, seed=3
    )
    simulate(drawing, QUIET)
    write_video(root / "videos" / BARCODES, fps=12.5, num_frames=125)
    return scan(ScanConfig(archive=str(root / "videos"), output=str(root / "scan")), QUIET).manifest


def run(manifest: str, output: Path, **changed: Any) -> Relabelled:
    pools = Pools(decoders=1, labelers=1, stall_timeout_seconds=200)
    return relabel(
        RelabelConfig(manifest=manifest, output=str(output), pools=pools, **changed), RelabelOptions(), QUIET
    )


def printed(capsys: pytest.CaptureFixture[str], result: Relabelled) -> str:
    capsys.readouterr()
    report_relabel(result, [], "nrray relabel a.yaml", Reporter())
    return " ".join(capsys.readouterr().out.split())


@pytest.fixture(scope="module")
def refused(manifest, tmp_path_factory) -> tuple[Path, Relabelled]:
    output = tmp_path_factory.mktemp("labels")
    return output, run(manifest, output)


def test_nothing_is_claimed_of_a_video_unlike_the_model_s_training_and_it_is_said(refused, capsys):
    output, result = refused
    found = tables(output)
    states = {BARCODES: set(), DRAWN: set()}
    for row in found["labels"].to_pylist():
        states[BARCODES if row["path"] == BARCODES else DRAWN].add(row["state"])
    assert states[BARCODES] == {"not_assessable"}
    assert states[DRAWN] <= {"present", "absent"}
    assert BARCODES not in pc.unique(found["segments"]["path"]).to_pylist()
    distances = found["coverage"].filter(pc.equal(found["coverage"]["path"].cast("string"), BARCODES))["looks_distance"]
    assert pc.min(distances).as_py() > result.record.domain.far > 1
    said = printed(capsys, result)
    assert "1 of 2 videos are unlike those that embedded was trained on" in said
    assert "outside_domain=label" in said
    assert result.falls_short
    report_status(output_status(Folder(str(output))), Reporter())
    status = " ".join(capsys.readouterr().out.split())
    assert "1 of 2 videos are unlike" in status
    assert "not_assessable" in status


def test_another_setting_is_another_version_and_computes_nothing_again(refused, manifest, capsys):
    output, first = refused
    result = run(manifest, output, outside_domain=OutsideDomain.LABEL)
    assert result.measured is None
    assert result.published is not None
    assert result.published.name != first.published.name
    marked = {
        row["source"].endswith(OUTSIDE_MARK) for row in tables(output)["labels"].to_pylist() if row["path"] == BARCODES
    }
    assert marked == {True}
    assert not result.falls_short
    assert "labelled all the same" in printed(capsys, result)
    again = run(manifest, output, outside_domain=OutsideDomain.LABEL)
    assert again.published is None
    assert again.record == result.record


@pytest.fixture(scope="module")
def unparsed(manifest, tmp_path_factory) -> tuple[Path, Relabelled, dict[str, Any]]:
    """By a random model, whose words are no answers."""
    output = tmp_path_factory.mktemp("words")
    checkpoint = CHECKPOINTS["fast_vlm"](tmp_path_factory.mktemp("fast_vlm"), read_label_set())
    sampling = {"frames_per_second": 2, "window_seconds": 3, "frame_width_px": 64, "frame_height_px": 64}
    settings = {
        "model": ModelConfig(path=str(checkpoint)),
        "strategy": YesNoStrategy(answer_tokens=3),
        "sampling": sampling,
    }
    return output, run(manifest, output, **settings), settings


def test_answers_that_are_no_answers_are_counted_shown_and_fall_short(unparsed, capsys):
    output, result, _ = unparsed
    labels = tables(output)["labels"]
    answers = set(labels.filter(pc.equal(labels["state"].cast("string"), "unparsed"))["answer"].to_pylist())
    assert result.record.unparsed_share > 0.9
    assert result.falls_short
    assert result.record.unparsed_answers
    assert set(result.record.unparsed_answers) <= answers
    said = printed(capsys, result)
    assert json.dumps(result.record.unparsed_answers[0], ensure_ascii=False) in said
    assert "the model does not answer the questions" in said
    assert "does not say what it was trained on" in said
    assert "answers that are not plainly one of those asked for" in said


def test_a_share_of_unparsed_answers_that_was_asked_for_does_not_fall_short_and_a_rerun_says_the_same(
    unparsed, manifest
):
    output, first, settings = unparsed
    again = run(manifest, output, **settings)
    assert again.published is None
    assert again.record == first.record
    assert again.falls_short
    assert not run(manifest, output, **settings, max_unparsed_share=1.0).falls_short


def test_the_command_ends_with_3_where_nothing_is_claimed(refused, manifest, capsys):
    output, _ = refused
    words = ["relabel", "--set", f"manifest={manifest}", "--set", f"output={output}"]
    assert main([*words, "--set", "pools.labelers=1", "--json"]) == 3
    found = json.loads(capsys.readouterr().out)
    assert found["domain"]["num_outside"] == 1
    assert found["states"]["suction"]["not_assessable"] > 0
    assert main([*words, "--set", "outside_domain=label", "--json"]) == 0
