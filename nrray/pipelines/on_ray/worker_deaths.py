"""Workers that die again and again, as where the kernel ends them for want of memory: Ray starts each anew without end and
without a word."""

import time
from collections.abc import Mapping
from typing import Any

import ray
from ray._private import state

from nrray.errors import ResourcesError

_CHECK_SECONDS = 2.0


class WorkerDeaths:
    """Ends a graph of Ray Data in which a worker died `max_deaths` times while no row came out. A unit that kills its worker
    has come out as a failure before, where fewer tries of it are allowed.

    In a `DataContext` it stands for a class of callbacks, whose instance it is itself.
    """

    def __init__(self, pools: Mapping[str, str], *, max_deaths: int) -> None:
        """pools: names of pools, by the name of the class of their workers."""
        self._pools, self._max_deaths = dict(pools), max_deaths
        self._restarts: dict[str, int] | None = (
            None  # by worker, when the last row came out; None before the first look
        )
        self._num_rows = self._num_rows_seen = 0
        self._checked_at = 0.0

    def __call__(self) -> "WorkerDeaths":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "WorkerDeaths":
        """Ray Data copies contexts; whoever gets the rows and the graph's own thread count in the same one."""
        return self

    def row_came(self) -> None:
        """Note that a row came out."""
        self._num_rows += 1

    def before_execution_starts(self, executor: Any) -> None:
        """Nothing."""

    def on_execution_step(self, executor: Any) -> None:
        """Raises ResourcesError; Ray Data hands it to whoever waits for rows."""
        if time.monotonic() - self._checked_at < _CHECK_SECONDS:
            return
        self._checked_at = time.monotonic()
        try:
            workers = self._workers()
        except Exception:  # Ray's state is away for a while, and whoever watches it says so where it stays away
            return
        if self._restarts is None or self._num_rows != self._num_rows_seen:
            self._num_rows_seen = self._num_rows
            self._restarts = {key: restarts for key, (_, restarts) in workers.items()}
        for key, (pool, restarts) in workers.items():
            if restarts - self._restarts.get(key, 0) >= self._max_deaths:
                raise ResourcesError(
                    f"{pool} die as soon as they start or work: found one that died {self._max_deaths} times, and nothing "
                    f"finished between. Most often memory is short. The run was ended; its results so far are kept. The "
                    f"reasons stand in the workers' logs: give {pool} more memory, or take fewer, then run the same command."
                )

    def after_execution_succeeds(self, executor: Any) -> None:
        """Nothing."""

    def after_execution_fails(self, executor: Any, error: Exception) -> None:
        """Nothing."""

    def _workers(self) -> dict[str, tuple[str, int]]:
        """Of this job's workers, by id: the pool's name, and how often they were started again."""
        job = ray.JobID.from_hex(ray.get_runtime_context().get_job_id())
        found = {}
        for key, actor in state.actors(job_id=job).items():
            for worker, pool in self._pools.items():
                if f"({worker})" in actor["ActorClassName"]:  # MapWorker(MapBatches(worker))
                    found[key] = (pool, int(actor["NumRestarts"]))
        return found
