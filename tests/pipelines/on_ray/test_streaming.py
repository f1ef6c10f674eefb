"""Rows through stages on a real Ray: each stage has processes of its own, and a run ends with one sentence."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from ray.data import DataContext

from nrray.errors import ConfigError, NrrayError, ResourcesError
from nrray.pipelines.on_ray.pools import Pool, PoolRequest, cluster_capacity, planned_pools
from nrray.pipelines.on_ray.streaming import PooledStage, data_context, streamed_rows
from nrray.pipelines.on_ray.tasks import completed_calls
from tests.pipelines.support import one_ray

pytestmark = pytest.mark.usefixtures("running_ray")


@pytest.fixture(scope="module")
def running_ray() -> Iterator[None]:
    with one_ray(num_gpus=1):
        yield


class Append:
    """Adds its name and its process to each row."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        assert batch.num_rows == 1
        yield batch.append_column(self._name, [[os.getpid()]])


class Misconfigured:
    """Raises an error of nrray's."""

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        raise ConfigError("model.path: found nothing")
        yield batch


class Broken:
    """Raises another error."""

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        yield pa.table({"share": [1 / 0]})


class Stuck:
    """Never comes to an end."""

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        time.sleep(600)
        yield batch


class Stillborn:
    """Dies while it starts."""

    def __init__(self) -> None:
        os._exit(1)

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        yield batch


class Fragile:
    """Dies of two rows of three, as often as it is asked, but for the third time."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        number = batch["number"][0].as_py()
        tries = self._folder / str(number)
        with tries.open("ab") as file:
            file.write(b".")
        if number % 3 and tries.stat().st_size < 3:
            os._exit(1)
        yield batch


def stage(actor: type, *, cpus: float = 0.5, **arguments: object) -> PooledStage:
    pool = Pool(name="workers", count=1, cpus=cpus, gpus=0.0, memory_bytes=0)
    return PooledStage(actor=actor, arguments=arguments, pool=pool)


def streamed(*stages: PooledStage, num_rows: int = 1, stall_timeout_seconds: int = 200) -> list[pa.Table]:
    blocks = [pa.table({"number": [number]}) for number in range(num_rows)]
    return list(streamed_rows(blocks, stages, stall_timeout_seconds=stall_timeout_seconds))


def test_workers_that_die_while_they_start_end_the_run_in_words(tmp_path):
    with pytest.raises(ResourcesError, match=r"workers die as soon as they start or work: found one that died 6 times"):
        streamed(stage(Append, name="first"), stage(Stillborn))


def test_rows_that_cost_a_worker_now_and_then_end_no_run_and_no_later_one(tmp_path):
    tables = streamed(stage(Fragile, folder=str(tmp_path)), num_rows=6)
    assert sorted(table["number"][0].as_py() for table in tables) == list(range(6))
    assert [(tmp_path / str(number)).stat().st_size for number in range(6)] == [1, 3, 3, 1, 3, 3]
    assert len(streamed(stage(Fragile, folder=str(tmp_path)), num_rows=6)) == 6


@pytest.mark.parametrize("on_gpu", [False, True])
def test_every_row_passes_all_planned_pools_once_and_no_two_of_them_share_a_process(on_gpu):
    requests = [
        PoolRequest(name="decoders", count="auto"),
        PoolRequest(name="labelers", count=1, needs_gpu=on_gpu),
        PoolRequest(name="judges", count=1, needs_gpu=on_gpu),
    ]
    pools = planned_pools(requests, cluster_capacity(), num_units=6)
    rows = streamed(
        *(PooledStage(actor=Append, arguments={"name": pool.name}, pool=pool) for pool in pools), num_rows=6
    )
    table = pa.concat_tables(rows)
    assert all(row.num_rows == 1 for row in rows)
    assert sorted(table["number"].to_pylist()) == list(range(6))
    processes = [set(table[pool.name].to_pylist()) for pool in pools]
    assert len(set.union(*processes)) == sum(map(len, processes))


def test_an_error_of_nrray_ends_the_run_with_its_own_message():
    with pytest.raises(ConfigError, match=r"^model\.path: found nothing$"):
        streamed(stage(Misconfigured))


def test_another_error_ends_the_run_with_one_line_that_names_it():
    with pytest.raises(
        NrrayError, match=r"^Ray ended the run; its results so far are kept\. ZeroDivisionError: division by zero$"
    ):
        streamed(stage(Broken))


def test_a_run_in_which_nothing_moves_ends_after_its_timeout():
    started = time.monotonic()
    with pytest.raises(ResourcesError, match=r"^nothing moved for 8 s"):
        streamed(stage(Append, name="first"), stage(Stuck), stall_timeout_seconds=8)
    assert time.monotonic() - started < 60


def test_a_worker_that_no_node_has_room_for_ends_the_run_after_its_timeout():
    with pytest.raises(ResourcesError, match="nothing moved for 5 s"):
        streamed(stage(Append, cpus=3.0, name="first"), stall_timeout_seconds=5)


def test_a_run_bounds_its_stalls_its_crashes_and_what_waits_between_its_stages():
    context = data_context(stall_timeout_seconds=77, store_bytes=2**20)
    assert context.execution_no_progress_timeout_s == 77
    assert context.execution_options.resource_limits.object_store_memory == 2**20
    assert DataContext.get_current().execution_no_progress_timeout_s != 77, "others' runs are bounded as well"


def half(number: int) -> float:
    if number < 0:
        raise ConfigError("expected a positive number")
    return 1 / number


def test_calls_are_completed_with_their_arguments():
    found = completed_calls(half, [1, 2, 4], described=str)
    assert {call.argument: call.result for call in found} == {1: 1.0, 2: 0.5, 4: 0.25}


def test_a_call_that_fails_is_named():
    with pytest.raises(NrrayError, match=r"^half of 0 failed: ZeroDivisionError: division by zero$"):
        list(completed_calls(half, [0], described=lambda number: f"half of {number}"))
    with pytest.raises(ConfigError, match=r"^expected a positive number$"):
        list(completed_calls(half, [-1], described=str))
