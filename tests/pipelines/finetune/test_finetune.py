"""`nrray finetune` on Ray: two workers, with everything killed in turn, against the same training in one process."""

import json
import os
import re
import signal

import numpy as np
import pytest
import ray
from accelerate import Accelerator

from nrray.console.reporter import Reporter
from nrray.errors import DataError, ModelError, ResourcesError
from nrray.pipelines.finetune.job import WorkersConfig, planned_job, resolved_finetune
from nrray.pipelines.finetune.run import run_finetune
from nrray.pipelines.on_ray.pools import Capacity
from nrray.pipelines.on_ray.training_workers import WorkerLimits, planned_workers
from nrray.storage import Folder
from nrray.train.run import finetune
from nrray.train.training_plan import planned_training, read_plan, write_plan
from tests.pipelines.support import descendants, nrray, one_ray, started, wait_until, words
from tests.pipelines.training_support import config_of, losses, settings, starts


@pytest.fixture(scope="module", autouse=True)
def _ray():
    with one_ray():
        yield


@pytest.fixture
def archive(annotated_archive):
    return annotated_archive


def wait_for_step(output, step, process, log):
    """Until a state of `step` or later is there."""
    states = Folder(str(output / "checkpoints"))
    wait_until(
        lambda: states.names(".safetensors")[-1:] >= [f"step-{step:08d}"] or process.poll() is not None,
        timeout_seconds=400,
        what=f"step {step}",
    )
    assert process.poll() is None, log.read_text()


@pytest.mark.harsh
def test_two_workers_train_as_one_process_does_whatever_is_killed(archive, tmp_path):
    shared, log = tmp_path / "shared", tmp_path / "log"
    tower = {"parts__tower": "last_blocks"}  # the embedded model knows these looks, and would leave it as it is
    command = [
        "finetune",
        *words(**settings(archive, shared, workers__num_workers=2, workers__cpus_per_worker=0.5, **tower)),
    ]
    with started(*command, log=log) as process:  # a worker is killed, then the driver
        wait_for_step(shared, 4, process, log)
        workers = descendants(os.getpid(), "RayTrainWorker")
        assert len(workers) == 2, log.read_text()
        workers[1].send_signal(signal.SIGKILL)
        wait_until(lambda: len(starts(shared)) == 2, timeout_seconds=400, what="a second start")
        wait_for_step(shared, 10, process, log)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)
    assert "starts at step 0 of 24" in log.read_text()
    with started(*command, log=log) as process:  # asked to end, as by `ray job stop`
        wait_for_step(shared, 16, process, log)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 130, log.read_text()
    said = log.read_text()
    assert "training goes on at step 1" in said
    assert "step 4 of" not in said  # what an earlier call had said
    assert said.endswith("Stopped. Finished work is kept; the same command goes on from there.\n")
    finished = nrray(*command)
    assert finished.returncode == 0, finished.stderr
    assert f"Next: nrray relabel --set manifest={archive}" in finished.stdout
    assert (shared / "curves.png").stat().st_size > 1000
    assert not (shared / ".ray-train").exists()
    accelerator = Accelerator(cpu=True)
    alone = tmp_path / "alone"
    alone.mkdir()
    config, plan = config_of(settings(archive, alone, **tower)), read_plan(Folder(str(shared)))
    finetune(planned_job(resolved_finetune(config).job, config, plan.facts), accelerator)
    steps = [step for step, _ in starts(shared)]
    assert steps[0] == 0
    assert [step >= least for step, least in zip(steps[1:], (4, 10, 16), strict=True)] == [True] * 3
    ours, theirs = losses(shared), losses(alone)
    assert ours.keys() == theirs.keys()
    np.testing.assert_allclose([ours[key] for key in theirs], list(theirs.values()), rtol=1e-3, atol=1e-5)
    assert (shared / "adapter/nrray.json").is_file()
    again = nrray(*command)
    assert again.returncode == 0, again.stderr
    assert "this training is finished: nothing was trained" in again.stdout
    assert [step for step, _ in starts(shared)] == steps


@ray.remote(num_cpus=1)
class Holder:
    def held(self) -> bool:
        return True


def test_workers_that_a_busy_cluster_cannot_start_are_not_waited_for_for_ever(archive, tmp_path):
    holder = Holder.remote()  # ends with the test, when nothing names it any more
    assert ray.get(holder.held.remote(), timeout=60)
    asked = {"num_workers": 2, "decoders": 1, "start_timeout_seconds": 10}
    config = config_of(
        settings(archive, tmp_path / "out", **{f"workers__{key}": value for key, value in asked.items()})
    )
    with pytest.raises(ResourcesError, match=r"2 workers were not started within 10 s .* Other work holds the cluster"):
        run_finetune(config, Reporter(is_json=True))


def test_a_worker_that_fits_no_node_alone_is_refused():
    node = Capacity(num_cpus=2, num_gpus=0, memory_bytes=2**33)
    capacity = Capacity(num_cpus=4, num_gpus=0, memory_bytes=2**34, nodes=(node, node))
    with pytest.raises(ResourcesError, match=r"1 workers of 3 CPUs do not fit"):
        planned_workers(WorkersConfig(num_workers=1, cpus_per_worker=3), capacity)
    assert planned_workers(WorkersConfig(num_workers=2, cpus_per_worker=2), capacity) == (2, False)


def test_on_cpus_as_many_workers_train_as_a_step_has_micro_batches_and_memory_holds():
    node = Capacity(num_cpus=4, num_gpus=0, memory_bytes=8 * 2**30)
    capacity = Capacity(num_cpus=8, num_gpus=0, memory_bytes=16 * 2**30, nodes=(node, node))

    def number(micro_batches, gib, **asked):
        limits = WorkerLimits(num_micro_batches=micro_batches, worker_bytes=gib * 2**30)
        return planned_workers(WorkersConfig(**asked), capacity, limits)[0]

    assert number(1, 1) == 1
    assert number(2, 1) == 2
    assert number(32, 1) == 8
    assert number(32, 1, cpus_per_worker=3) == 2
    assert number(32, 5) == 3
    assert number(32, 50) == 1
    assert number(2, 1, num_workers=5) == 5
    on_gpus = Capacity(num_cpus=8, num_gpus=4, memory_bytes=2**34)
    assert planned_workers(WorkersConfig(), on_gpus) == (4, True)


def test_settings_that_are_wrong_are_said_before_anything_is_done(archive, tmp_path):
    output = tmp_path / "out"
    (archive / "other.json").write_text(
        json.dumps({"parts": {"train": ["nobody"], "validation": ["noone"], "test": []}})
    )
    found = nrray("finetune", *words(**settings(archive, output, split=archive / "other.json")))
    assert found.returncode == 1
    assert "cases to train and validate on are of no video here, such as 'nobody'" in found.stderr
    assert not output.exists()


def test_a_part_without_a_case_is_refused_with_what_to_do(archive, tmp_path):
    parts = json.loads((archive / "split.json").read_text())["parts"]
    (tmp_path / "none.json").write_text(json.dumps({"parts": {**parts, "validation": []}}))
    with pytest.raises(DataError, match=r"part 'validation'; expected at least 2, to choose .*Annotate more cases"):
        resolved_finetune(config_of(settings(archive, tmp_path / "out", split=tmp_path / "none.json")))


def test_blocks_that_the_tower_has_not_are_refused_before_frames_are_extracted(archive, tmp_path):
    wrong = {"parts__tower": "last_blocks", "parts__tower_blocks": 99}
    with pytest.raises(
        ModelError, match=r"found 7 blocks in its tower, expected at least the 99 of parts.tower_blocks"
    ):
        resolved_finetune(config_of(settings(archive, tmp_path / "out", **wrong)))
    assert not (tmp_path / "out").exists()


def test_a_case_that_is_in_no_part_is_said(archive, tmp_path):
    parts = json.loads((archive / "split.json").read_text())["parts"]
    (tmp_path / "fewer.json").write_text(json.dumps({"parts": {**parts, "test": []}}))
    found = nrray("finetune", "--dry-run", *words(**settings(archive, tmp_path / "out", split=tmp_path / "fewer.json")))
    assert found.returncode == 0, found.stderr
    assert f"1 cases are in no part of {tmp_path / 'fewer.json'} and are not used, such as" in " ".join(
        found.stdout.split()
    )


def test_a_dry_run_says_the_plan_and_how_long_it_takes_and_writes_nothing(archive, tmp_path):
    output = tmp_path / "out"
    command = ["finetune", "--dry-run", *words(**settings(archive, output))]
    found = nrray(*command)
    assert found.returncode == 0, found.stderr
    assert "train 2 cases" in found.stdout
    assert "GiB in" in found.stdout
    assert re.search(r"Plan: \d+ windows of 2 cases to train, 2 cases to choose on\.", found.stdout)
    assert re.search(r"about \d+ (s|min) at most, at [\d.]+ windows/s a worker", found.stdout)
    assert not output.exists()
    document = json.loads(nrray(*command, "--json").stdout)
    assert document["plan"]["training"]["num_steps"] == 24
    assert document["plan"]["reasons"][0] in found.stdout
    assert document["expected_time"]["seconds"] > 0
    assert not output.exists()


def test_a_dry_run_takes_the_facts_of_a_plan_that_is_there(archive, tmp_path):
    output = tmp_path / "out"
    config = config_of(settings(archive, output))
    job = resolved_finetune(config).job
    facts = job.facts.model_copy(update={"looks_distance": 1.23})
    output.mkdir()
    write_plan(planned_training(config.parts, config.training, facts, start=job.start), Folder(str(output)))
    found = run_finetune(config, Reporter(), dry_run=True)
    assert found.plan.facts.looks_distance == 1.23
    assert "1.23 times as far" in " ".join(found.plan.reasons)
