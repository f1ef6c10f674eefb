"""A server's model in relabel, without Ray: the job that it is, and rows of units whatever the server does."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nrray.archive.manifest import manifest_table
from nrray.config import load_config
from nrray.decode import DecodeConfig, GuardedDecoder
from nrray.errors import ConfigError, ErrorKind, ModelError
from nrray.pipelines.relabel.graph import stages_of
from nrray.pipelines.relabel.job import RelabelConfig, RelabelJob, resolved_job
from nrray.pipelines.relabel.run import unit_requests
from nrray.pipelines.scan.listing import listed_files
from nrray.pipelines.scan.run import probed_video
from nrray.results.journal import Journal
from nrray.tables import rows_from_table
from nrray.types import STATE_INDEX, LabelState, UnitResult, UnitStatus
from tests.openai_server import hanging_up, refusing, saying, serving, well
from tests.pipelines.support import make_archive

SAMPLING = ("frames_per_second=2", "window_seconds=2", "stride_seconds=2")


@pytest.fixture
def server():
    with serving() as fake:
        yield fake


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("archive")
    archive = make_archive(root / "videos", num_videos=3, seconds=2.0)
    decoder = GuardedDecoder(DecodeConfig())
    listed = listed_files(str(archive), {".mp4"}).files
    pq.write_table(manifest_table([probed_video(file, decoder) for file in listed]), root / "manifest.parquet")
    return root / "manifest.parquet"


def config_of(manifest: Path, output: Path, fake, *more: str) -> RelabelConfig:
    engine = (f"url={fake.url}", "kind=openai", "retries=0", "timeout_seconds=10", "concurrency=1")
    settings = [f"manifest={manifest}", f"output={output}", "strategy.kind=yes_no"]
    settings += [f"strategy.engine.{setting}" for setting in engine] + [f"sampling.{each}" for each in SAMPLING]
    return load_config(RelabelConfig, None, [*settings, *more])


def results_of(job: RelabelJob) -> list[UnitResult]:
    """Rows of all units, by the stages as their workers make them."""
    Journal(job.output, job.run_id).create()
    decode, label = (stage.actor(**stage.arguments) for stage in stages_of(job, on_gpu=True))
    units = job.plan.units.append_column("attempts", pa.array([0] * job.plan.units.num_rows, pa.int32()))
    requests = unit_requests(units, job.manifest)
    return [
        row
        for number in range(requests.num_rows)
        for decoded in decode(requests.slice(number, 1))
        for labelled in label(decoded)
        for row in rows_from_table(labelled, UnitResult)
    ]


def test_answers_of_a_server_are_labels_with_scores(manifest, tmp_path, server):
    job = resolved_job(config_of(manifest, tmp_path / "out", server))
    results = results_of(job)
    assert [row.status for row in results] == [UnitStatus.OK] * 3
    for row in results:
        assert set(row.states.tolist()) == {STATE_INDEX[LabelState.PRESENT]}
        assert ((row.scores > 0.9) & (row.scores < 0.92)).all()
        assert row.answers == ["yes"] * len(job.label_set.activities)
        assert row.device == "server/served"


@pytest.mark.parametrize(
    ("manner", "kind"),
    [
        (refusing(503), ErrorKind.SERVER_REFUSED),
        (hanging_up, ErrorKind.SERVER_UNREACHABLE),
        (saying(b"<html>"), ErrorKind.SERVER_REPLY),
    ],
)
def test_a_unit_that_the_server_fails_is_a_row_and_those_after_it_are_labelled(
    manifest, tmp_path, server, manner, kind
):
    job = resolved_job(config_of(manifest, tmp_path / "out", server))
    server.manners = (manner, well)
    first, *others = results_of(job)
    assert (first.status, first.error_kind) == (UnitStatus.FAILED, kind)
    assert server.url in first.error
    assert not first.window_labelled.any()
    assert [row.status for row in others] == [UnitStatus.OK] * 2


def test_a_server_that_dies_in_mid_run_leaves_rows_with_the_reason(manifest, tmp_path):
    with serving() as fake:
        job = resolved_job(config_of(manifest, tmp_path / "out", fake))
    assert [row.error_kind for row in results_of(job)] == [ErrorKind.SERVER_UNREACHABLE] * 3


def test_the_job_says_where_frames_go_and_what_is_not_known(manifest, tmp_path, server):
    job = resolved_job(config_of(manifest, tmp_path / "out", server))
    said = " ".join(job.notes)
    assert f"small-vlm, as {server.url} serves it (owner: tests)" in said
    assert "frame_width_px, frame_height_px are nrray's choice" in said
    assert job.domain_rule is None
    assert job.identity.dtype == "served"


def test_labelers_of_a_server_take_no_gpu(manifest, tmp_path, server):
    _, label = stages_of(resolved_job(config_of(manifest, tmp_path / "out", server)), on_gpu=True)
    assert not label.pool.needs_gpu


def test_the_record_has_the_server_and_names_no_folder_of_a_model(manifest, tmp_path, server):
    job = resolved_job(config_of(manifest, tmp_path / "out", server))
    assert job.checkpoint.record()["url"] == server.url
    assert job.checkpoint.record()["model"]["root"] == "weights-1"
    assert job.config.model.path == server.url


def test_the_same_model_at_another_address_goes_on_and_another_one_does_not(manifest, tmp_path, server):
    job = resolved_job(config_of(manifest, tmp_path / "out", server))
    with serving() as moved:
        assert resolved_job(config_of(manifest, tmp_path / "out", moved)).identity == job.identity
    with serving() as other:
        other.models[0]["root"] = "weights-2"
        assert resolved_job(config_of(manifest, tmp_path / "out", other)).identity.model != job.identity.model


def test_a_checkpoint_beside_a_server_is_an_error(manifest, tmp_path, server):
    with pytest.raises(ConfigError, match=r"model\.path: found embedded-base beside"):
        resolved_job(config_of(manifest, tmp_path / "out", server, "model.path=embedded-base"))


def test_a_server_outside_the_house_is_refused_before_anything_is_made(manifest, tmp_path, server):
    config = config_of(manifest, tmp_path / "out", server, "strategy.engine.url=http://203.0.113.5:8000/v1")
    with pytest.raises(ModelError, match="--allow-remote"):
        resolved_job(config)
    assert not (tmp_path / "out").exists()
