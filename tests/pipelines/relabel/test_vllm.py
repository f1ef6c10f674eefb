"""The engine of vLLM in relabel, without Ray and over a stand-in: what is refused before Ray starts, the memory that a labeler is
given, rows of units, and the end of a run whose labelers all die."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from nrray.config import load_config
from nrray.errors import ConfigError, ErrorKind, ModelError, ResourcesError
from nrray.labels import read_label_set
from nrray.pipelines.on_ray.pools import Capacity, Pool, planned_pools
from nrray.pipelines.relabel.dying import DyingLabelers
from nrray.pipelines.relabel.graph import arguments_in, check_engine, stages_of
from nrray.pipelines.relabel.job import RelabelConfig, RelabelJob, resolved_job
from nrray.pipelines.relabel.run import unit_requests
from nrray.results.journal import Journal
from nrray.tables import rows_from_table
from nrray.types import UnitResult, UnitStatus
from tests.checkpoints import llama_judge, qwen2_5_vl
from tests.pipelines.relabel.test_served import manifest  # noqa: F401  (a fixture)
from tests.pipelines.relabel.test_stages import unlabelled
from tests.vllm_stand_in import installed

ONE_GPU = Capacity(num_cpus=4, num_gpus=1, memory_bytes=64 * 2**30)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return qwen2_5_vl(tmp_path_factory.mktemp("model") / "tiny", read_label_set())


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return llama_judge(tmp_path_factory.mktemp("judge"), read_label_set())


@pytest.fixture
def job_of(manifest, tmp_path, model):  # noqa: F811
    """A function from settings to a job with the engine of vLLM."""

    def of(*more: str, kind: str = "yes_no") -> RelabelJob:
        settings = [f"manifest={manifest}", f"output={tmp_path / 'out'}", f"model.path={model}"]
        settings += [f"strategy.kind={kind}", "strategy.engine.kind=vllm", "sampling.frames_per_second=2"]
        settings += ["sampling.window_seconds=2", "sampling.stride_seconds=2"]
        return resolved_job(load_config(RelabelConfig, None, [*settings, *more]))

    return of


def test_without_vllm_the_run_is_refused_before_ray_starts(job_of):
    with pytest.raises(ModelError, match=r"nrray\[vllm\]"):
        job_of()


@pytest.mark.parametrize("setting", ["model.device=cpu", "model.dtype=nf4"])
def test_a_way_to_run_it_that_vllm_has_not_is_refused_before_ray_starts(setting, job_of):
    with installed() as seen, pytest.raises(ModelError, match=r"model\.(device|dtype): found"):
        job_of(setting)
    assert not seen.arguments


def test_a_cluster_without_gpus_is_refused_before_a_worker_starts(job_of):
    with installed():
        job = job_of()
    check_engine(job, ONE_GPU)
    with pytest.raises(ResourcesError, match=r"strategy\.engine=vllm needs a GPU for every labeler"):
        check_engine(job, Capacity(num_cpus=4, num_gpus=0, memory_bytes=2**30))


def memory_of(job: RelabelJob) -> list[float]:
    """What the engine of each stage's strategy takes of a GPU."""
    stages = stages_of(job, on_gpu=True)
    pools = planned_pools([stage.pool for stage in stages], ONE_GPU, num_units=100)
    found = [arguments_in(pool, stage).get("strategy") for pool, stage in zip(pools, stages, strict=True)]
    return [strategy.engine.gpu_memory_fraction for strategy in found if strategy is not None]


def test_a_labeler_that_shares_its_gpu_with_a_judge_takes_half_the_memory(job_of, judge):
    judged = f"strategy.judge.model={judge}"
    with installed():
        assert memory_of(job_of()) == [0.9]
        assert memory_of(job_of(kind="judge"))[0] == 0.9  # judged by words, without a pool
        assert memory_of(job_of(judged, kind="judge"))[0] == 0.45
        with pytest.raises(ConfigError, match=r"memory_fraction: found 0\.8"):
            memory_of(job_of(judged, "strategy.engine.memory_fraction=0.8", kind="judge"))


def test_units_get_labels_with_scores_and_answers(job_of):
    with installed():
        job = job_of()
        Journal(job.output, job.run_id).create()
        pool = Pool(name="labelers", count=1, cpus=0.0, gpus=1.0, memory_bytes=0)
        decode, label = (stage.actor(**arguments_in(pool, stage)) for stage in stages_of(job, on_gpu=True))
        units = job.plan.units.append_column("attempts", pa.array([0] * job.plan.units.num_rows, pa.int32()))
        [row] = [
            row
            for decoded in decode(unit_requests(units, job.manifest).slice(0, 1))
            for labelled in label(decoded)
            for row in rows_from_table(labelled, UnitResult)
        ]
    assert (row.status, row.device) == (UnitStatus.OK, "cuda/bfloat16")
    assert len(row.answers) == len(job.label_set.activities)
    assert job.identity.strategy["engine"] == "vllm"


class TestDyingLabelers:
    def result(self, number: int, killed: bool) -> UnitResult:
        kind = ErrorKind.KILLED_LABELER if killed else None
        status = UnitStatus.QUARANTINED if killed else UnitStatus.OK
        return replace(unlabelled([True]), unit_id=f"u{number}", error_kind=kind, status=status)

    def test_three_units_in_a_row_end_the_run_with_their_names(self):
        dying = DyingLabelers()
        dying.check(self.result(0, killed=True))
        dying.check(self.result(1, killed=True))
        with pytest.raises(ResourcesError, match=r"3 units in a row .*\(u0, u1, u2\).*--retry-failed"):
            dying.check(self.result(2, killed=True))

    def test_a_unit_that_kills_among_others_that_do_not_is_its_own_trouble(self):
        dying = DyingLabelers()
        for number in range(12):
            dying.check(self.result(number, killed=number % 3 != 0))
