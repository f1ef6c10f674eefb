"""Decode, caption, judge: three pools, whose labels are those of a plain loop, whatever dies."""

import os
import shutil
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nrray.archive.manifest import manifest_table
from nrray.console.reporter import Reporter
from nrray.decode import DecodeConfig, GuardedDecoder
from nrray.errors import ErrorKind, ModelError, ResourcesError
from nrray.labels import read_label_set
from nrray.models import Device, JudgeStrategy
from nrray.models.judges import JudgeSection
from nrray.pipelines.on_ray.pools import Capacity, planned_pools
from nrray.pipelines.relabel.captions import CaptionStage, JudgeStage
from nrray.pipelines.relabel.graph import stages_of
from nrray.pipelines.relabel.job import RelabelConfig, RelabelJob, resolved_job
from nrray.pipelines.relabel.run import RelabelOptions, relabel, unit_requests
from nrray.pipelines.relabel.stages import DecodeStage, LabelStage
from nrray.pipelines.scan.listing import listed_files
from nrray.pipelines.scan.run import probed_video
from nrray.pipelines.workers import Pools
from nrray.plan import Packing
from nrray.results.domain import OutsideDomain
from nrray.results.journal import Journal
from nrray.results.version_tables import answer_rows, label_rows
from nrray.storage import Folder
from nrray.tables import rows_from_table, table_from_rows
from nrray.types import CaptionedUnit, DecodedUnit, UnitRequest, UnitResult, UnitStatus
from tests.checkpoints import llama_judge
from tests.pipelines.support import (
    SMALL_UNITS,
    assert_same_answers,
    descendants,
    ledger_units,
    make_archive,
    nrray,
    one_ray,
    started,
    tables,
    wait_until,
    words,
)

QUIET = Reporter(is_json=True)
NUM_UNITS = 6  # of two windows, in two videos of 8 s


@pytest.fixture(scope="module")
def judge_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return llama_judge(tmp_path_factory.mktemp("judge"), read_label_set())


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("archive")
    archive = make_archive(root / "videos", num_videos=2, seconds=8.0)
    decoder = GuardedDecoder(DecodeConfig())
    listed = listed_files(str(archive), {".mp4"}).files
    table = manifest_table([probed_video(file, decoder) for file in listed])
    pq.write_table(table, root / "manifest.parquet")
    return root / "manifest.parquet"


def strategy_of(judge_folder: Path, **settings) -> JudgeStrategy:
    section = JudgeSection(model=str(judge_folder), batch_prompts=8)
    return JudgeStrategy(judge=section, caption_tokens=12, **settings)


def config_of(manifest: Path, output: Path, strategy: JudgeStrategy) -> RelabelConfig:
    return RelabelConfig(
        manifest=str(manifest),
        output=str(output),
        strategy=strategy,
        packing=Packing(max_unit_windows=2),
        outside_domain=OutsideDomain.LABEL,
        pools=Pools(decoders=1, labelers=1, judges=1, judge_units=3, stall_timeout_seconds=900),
    )


def stages_without_ray(job: RelabelJob) -> list:
    """The stages of the graph, made as its workers make them."""
    Journal(job.output, job.run_id).create()
    return [stage.actor(**stage.arguments) for stage in stages_of(job, on_gpu=False)]


def untried(job: RelabelJob) -> pa.Table:
    """All units of the plan, as a ledger that is empty leaves them."""
    units = job.plan.units
    return units.append_column("attempts", pa.array([0] * units.num_rows, pa.int32()))


def plain_loop(job: RelabelJob) -> list[UnitResult]:
    """Every unit decoded and labelled in turn by captioner and judge in one process."""
    (decode, *_) = stages_without_ray(job)
    execution = job.config.model.model_copy(update={"device": Device.CPU})
    stage = LabelStage(
        output=job.output.uri,
        run_id=job.run_id,
        checkpoint=job.checkpoint,
        strategy=job.strategy,
        execution=execution,
        label_set=job.label_set,
        sampling=job.sampling,
        limits=job.config.entries,
    )
    requests = unit_requests(untried(job), job.manifest)
    return [
        row
        for request in range(requests.num_rows)
        for decoded in decode(requests.slice(request, 1))
        for labelled in stage(decoded)
        for row in rows_from_table(labelled, UnitResult)
    ]


def sorted_rows(table: pa.Table, *keys: str) -> list[dict]:
    """Rows in the order of their keys, without what differs between runs, or in last digits."""
    rows = sorted(table.to_pylist(), key=lambda row: [row[key] for key in keys])
    return [{name: value for name, value in row.items() if name not in ("seconds", "score", "source")} for row in rows]


def test_words_need_no_pool_and_a_model_has_one_of_its_own(manifest, tmp_path, judge_folder):
    def pools(strategy):
        return stages_of(resolved_job(config_of(manifest, tmp_path, strategy)), on_gpu=False)

    assert [stage.actor for stage in pools(JudgeStrategy())] == [DecodeStage, LabelStage]
    judged = pools(strategy_of(judge_folder))
    assert [stage.actor for stage in judged] == [DecodeStage, CaptionStage, JudgeStage]
    assert [stage.pool.name for stage in judged] == ["decoders", "labelers", "judges"]
    assert [stage.batch_units for stage in judged] == [1, 1, 3]
    two_cpus = Capacity(num_cpus=2, num_gpus=0, memory_bytes=16 * 2**30)
    assert [pool.count for pool in planned_pools([stage.pool for stage in judged], two_cpus, num_units=99)] == [1, 1, 1]
    small = Capacity(num_cpus=1, num_gpus=0, memory_bytes=2**30)
    with pytest.raises(ResourcesError, match=r"pools\.judges.*pools\.judge_memory_mib"):
        planned_pools([stage.pool for stage in judged], small, num_units=99)


def test_a_failed_unit_passes_untried_and_the_others_are_judged_together(manifest, tmp_path, judge_folder):
    job = resolved_job(config_of(manifest, tmp_path / "out", strategy_of(judge_folder, votes=2, temperature=0.5)))
    decode, caption, judge = stages_without_ray(job)
    requests = unit_requests(untried(job), job.manifest)
    request = rows_from_table(requests.slice(0, 1), UnitRequest)[0]
    gone = replace(request, uri=str(tmp_path / "gone.mp4"), unit_id="gone")
    captioned = [
        row
        for unit in (request, gone)
        for decoded in decode(table_from_rows([unit], UnitRequest))
        for table in caption(decoded)
        for row in rows_from_table(table, CaptionedUnit)
    ]
    good, failed = captioned
    assert (failed.status, failed.error_kind, failed.captions) == (UnitStatus.FAILED, ErrorKind.MISSING, [])
    assert len(good.captions) == 2 * 2, "two windows, two votes"
    assert "pixels" not in set(vars(good))
    results = [
        row
        for table in judge(table_from_rows([failed, good, replace(good, unit_id="again")], CaptionedUnit))
        for row in rows_from_table(table, UnitResult)
    ]
    assert [row.unit_id for row in results] == ["gone", good.unit_id, "again"]
    assert (results[0].error_kind, results[0].answers, results[0].window_labelled.any()) == (
        ErrorKind.MISSING,
        None,
        False,
    )
    assert results[1].questions[:2] == ["caption", "judge: baby_visible"]
    assert len(results[1].questions) == 2 * 5
    assert results[1].answers == results[2].answers
    assert [results[1].answers[place] for place in (0, 5, 10, 15)] == good.captions
    np.testing.assert_allclose(results[1].scores, results[2].scores, atol=1e-5)
    assert results[1].device.startswith("cpu/float32, judge cpu/float32")
    assert results[1].num_frames > 0


def test_a_unit_of_which_nothing_was_decoded_has_no_caption(manifest, tmp_path, judge_folder):
    job = resolved_job(config_of(manifest, tmp_path / "out", strategy_of(judge_folder)))
    decode, caption, judge = stages_without_ray(job)
    requests = unit_requests(untried(job), job.manifest)
    (table,) = decode(requests.slice(0, 1))
    half = rows_from_table(table, DecodedUnit)[0]
    half = replace(
        half,
        window_decoded=np.array([True, False]),
        window_frames=half.window_frames[: len(half.window_frames) // 2],
    )
    (captioned,) = caption(table_from_rows([half], DecodedUnit))
    (judged,) = judge(captioned)
    (row,) = rows_from_table(judged, UnitResult)
    assert row.window_labelled.tolist() == [True, False]
    assert row.answers[5:] == [None] * 5
    assert all(answer is not None for answer in row.answers[:5])


def test_a_judge_that_is_missing_on_a_node_ends_the_run_with_a_sentence(manifest, tmp_path, judge_folder):
    folder = shutil.copytree(judge_folder, tmp_path / "judge")
    job = resolved_job(config_of(manifest, tmp_path / "out", strategy_of(folder)))
    (*_, judge) = stages_of(job, on_gpu=False)
    shutil.rmtree(folder)
    with pytest.raises(ModelError, match=rf"the judge is missing on node {socket.gethostname()}: .*found nothing"):
        judge.actor(**judge.arguments)


@pytest.fixture(scope="module")
def running_ray() -> Iterator[None]:
    with one_ray():
        yield


@pytest.mark.usefixtures("running_ray")
def test_three_pools_label_as_a_plain_loop_does(manifest, tmp_path, judge_folder):
    config = config_of(manifest, tmp_path / "out", strategy_of(judge_folder))
    relabelled = relabel(config, RelabelOptions(), QUIET)
    assert relabelled.counts["ok"] == sum(relabelled.counts.values()) == NUM_UNITS
    assert relabelled.measured.pools == "1 decoder, 1 labeler and 1 judge on CPU"
    job = resolved_job(config.model_copy(update={"output": str(tmp_path / "alone")}))
    expected = table_from_rows(plain_loop(job), UnitResult)
    paths = dict(zip(job.manifest["video_id"].to_pylist(), job.manifest["path"].to_pylist(), strict=True))
    published = {name: pq.read_table(tmp_path / "out" / "latest" / f"{name}.parquet") for name in ("labels", "answers")}
    answers = answer_rows(expected, paths=paths, source="alone")
    assert sorted_rows(published["answers"], "video_id", "start_us", "question") == sorted_rows(
        answers, "video_id", "start_us", "question"
    )
    assert answers.num_rows == 2 * NUM_UNITS * 5
    labels = label_rows(expected, paths=paths, activities=job.label_set.names, source="alone")
    keys = ("video_id", "start_us", "activity")
    assert sorted_rows(published["labels"], *keys) == sorted_rows(labels, *keys)
    ours, theirs = (
        [row["score"] for row in sorted(table.to_pylist(), key=lambda row: [row[key] for key in keys])]
        for table in (published["labels"], labels)
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    said = {(row["start_us"], row["question"], row["video_id"]): row["answer"] for row in answers.to_pylist()}
    for row in published["labels"].to_pylist():
        assert row["answer"] == said[row["start_us"], f"judge: {row['activity']}", row["video_id"]]


@pytest.mark.harsh
@pytest.mark.usefixtures("running_ray")
def test_a_killed_captioner_and_a_killed_judge_cost_nothing(manifest, tmp_path, judge_folder):
    def command(output: Path) -> list[str]:
        chosen = words(strategy__kind="judge", strategy__judge__model=judge_folder, strategy__caption_tokens=12)
        small = [word for setting in (*SMALL_UNITS, "pools.judge_units=2") for word in ("--set", setting)]
        return ["relabel", *words(manifest=manifest, output=output), *chosen, *small]

    undisturbed, output = tmp_path / "undisturbed", tmp_path / "out"
    finished = nrray(*command(undisturbed))
    assert finished.returncode == 0, finished.stdout + finished.stderr
    with started(*command(output), log=tmp_path / "log") as driver:
        moments = {
            "CaptionStage": lambda: any("~caption~" in entry for entry in journal(output)),
            # Its tries are short; the units that wait for the new captioner are still to come.
            "JudgeStage": lambda: ledger_units(output) or any("~judge~" in entry for entry in journal(output)),
        }
        for stage, moment in moments.items():
            wait_until(moment, what=f"work of {stage}")
            victim = wait_until(lambda stage=stage: descendants(os.getpid(), f"({stage})"), what=stage)[-1]
            victim.send_signal(signal.SIGKILL)
        assert driver.wait(timeout=400) == 0
    assert ledger_units(output) == ledger_units(undisturbed) == NUM_UNITS
    assert_close_tables(output, undisturbed)
    assert_same_answers(output, undisturbed)
    assert not journal(output)


def journal(output: Path) -> list[str]:
    return Folder(str(output / "journal")).names()


def assert_close_tables(found: Path, expected: Path) -> None:
    """Tables are equal, scores to what batches of another make-up change in their last digits."""
    ours, theirs = tables(found), tables(expected)
    assert set(ours) == set(theirs)
    for name, table in ours.items():
        if "score" in table.column_names:
            pairs = (np.array(each["score"].to_pylist(), float) for each in (table, theirs[name]))
            np.testing.assert_allclose(*pairs, atol=1e-4)
            table, theirs[name] = table.drop_columns("score"), theirs[name].drop_columns("score")
        assert table.equals(theirs[name]), name
