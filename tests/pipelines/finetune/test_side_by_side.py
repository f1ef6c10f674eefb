"""Trainings side by side: each is what it would be alone, and one that fails ends no other."""

import pytest

from nrray.console.reporter import Reporter
from nrray.errors import OutputBusyError
from nrray.pipelines.finetune.run import run_finetune
from nrray.pipelines.finetune.side_by_side import num_side_by_side, train_side_by_side, workers_of_share
from nrray.pipelines.on_ray.pools import Capacity
from nrray.pipelines.on_ray.training_workers import WorkerLimits
from nrray.pipelines.workers import WorkersConfig
from nrray.storage import Folder
from nrray.train.output import finished_model_folder
from nrray.writer_lock import WriterLock
from tests.pipelines.support import one_ray
from tests.pipelines.training_support import config_of, losses, settings, starts

QUIET = Reporter(is_json=True)
GIB = 2**30


@pytest.fixture(scope="module", autouse=True)
def _ray():
    with one_ray():
        yield


def training(archive, output, **changes):
    changed = {"training__num_steps": 8, "workers__num_workers": "auto", "parts__tower": "frozen", **changes}
    return config_of(settings(archive, output, **changed))


def test_each_is_what_it_would_be_alone_and_one_that_fails_ends_no_other(annotated_archive, tmp_path, capsys):
    archive = annotated_archive
    trainings = {
        "first": training(archive, tmp_path / "first"),
        "second": training(archive, tmp_path / "second", training__seed=1),
        "gone": training(archive, tmp_path / "gone", split="/nowhere.json"),
        "crowd": training(archive, tmp_path / "crowd", workers__num_workers=99),
        "hopeless": training(archive, tmp_path / "hopeless", training__head_learning_rate=1e30),
        "broad": training(archive, tmp_path / "broad", workers__num_workers=2),  # takes both CPUs: waits for its turn
    }
    failures = train_side_by_side(trainings, Reporter())
    assert failures.keys() == {"gone", "crowd", "hopeless"}
    assert "99 workers of 1 CPUs do not fit" in str(failures["crowd"])
    assert "/nowhere.json" in str(failures["gone"])
    assert "3 trainings, 2 at once" in (said := capsys.readouterr().out)
    assert "second: training starts at step 0 of 8" in said
    assert starts(tmp_path / "first") == [(0, 1)]
    assert not (tmp_path / "broad").exists()
    assert losses(tmp_path / "first") != losses(tmp_path / "second")
    alone = run_finetune(training(archive, tmp_path / "alone", training__seed=1, workers__num_workers=1), QUIET)
    assert alone.trained_model is not None
    assert losses(tmp_path / "alone") == losses(tmp_path / "second")
    mine = finished_model_folder(tmp_path / "second") / "adapter_model.safetensors"
    assert mine.read_bytes() == (alone.trained_model / "adapter_model.safetensors").read_bytes()
    assert run_finetune(trainings["second"], QUIET).trained_model == mine.parent
    assert starts(tmp_path / "second") == [(0, 1)]


def test_one_that_is_left_is_not_begun_and_one_at_work_is_not_touched(annotated_archive, tmp_path):
    first = training(annotated_archive, tmp_path / "first")
    assert train_side_by_side({"first": first}, QUIET) == {}
    assert not (tmp_path / "first").exists()
    (tmp_path / "second").mkdir()
    both = {"first": first, "second": training(annotated_archive, tmp_path / "second", training__seed=1)}
    with WriterLock(Folder(str(tmp_path / "second"))), pytest.raises(OutputBusyError):
        train_side_by_side(both, QUIET)


def test_as_many_at_once_as_their_workers_fit_and_each_has_its_share():
    node = Capacity(num_cpus=16, num_gpus=4, memory_bytes=64 * GIB)
    gpus = Capacity(num_cpus=32, num_gpus=8, memory_bytes=128 * GIB, nodes=(node, node))
    small = Capacity(num_cpus=4, num_gpus=0, memory_bytes=16 * GIB)
    limits = WorkerLimits(num_micro_batches=2, worker_bytes=3 * GIB)
    auto, pair = WorkersConfig(), WorkersConfig(num_workers=2)
    assert num_side_by_side(auto, gpus, limits) == 8
    assert num_side_by_side(pair, gpus, limits) == 4
    assert num_side_by_side(auto, small, limits) == 4
    assert num_side_by_side(pair, small, limits) == 2
    assert num_side_by_side(auto, small, WorkerLimits(num_micro_batches=2, worker_bytes=6 * GIB)) == 2
    assert workers_of_share(auto, gpus, limits, at_once=3) == (2, True)
    assert workers_of_share(pair, gpus, limits, at_once=3) == (2, True)
    assert workers_of_share(auto, gpus, limits, at_once=8) == (1, True)
    assert workers_of_share(auto, small, limits, at_once=2) == (2, False)
    assert workers_of_share(auto, small, limits, at_once=4) == (1, False)


def test_workers_that_take_more_than_a_cpu_fit_whole_nodes_alone():
    node = Capacity(num_cpus=3, num_gpus=0, memory_bytes=16 * GIB)
    four = Capacity(num_cpus=12, num_gpus=0, memory_bytes=64 * GIB, nodes=(node,) * 4)
    asked = WorkersConfig(cpus_per_worker=2)
    limits = WorkerLimits(num_micro_batches=8, worker_bytes=GIB)
    assert num_side_by_side(asked, four, limits) == 4
    assert workers_of_share(asked, four, limits, at_once=2) == (2, False)
