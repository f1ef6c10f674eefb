"""Tables through stages of Ray Data, each with a pool of workers of its own; rows come back one at a time, as they are done."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
import ray.data
from ray.data import ActorPoolStrategy, DataContext, ExecutionResources
from ray.data.exceptions import ExecutionTimeoutError
from ray.exceptions import RayError

from nrray.errors import NrrayError, ResourcesError
from nrray.pipelines.on_ray.pools import Pool
from nrray.pipelines.on_ray.ray_errors import error_of_ours, reason_of
from nrray.pipelines.on_ray.worker_deaths import WorkerDeaths


class RowActor(Protocol):
    """A stage in a worker: tables of one row, or of a batch, in; one-row tables out."""

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        """The rows that the rows of `batch` become."""


@dataclass(frozen=True, kw_only=True)
class PooledStage:
    """A stage and its pool: each worker makes an `actor` of `arguments`, and keeps it. batch_rows: so many rows at most, and at
    the end fewer, are handed to a worker at once."""

    actor: type[RowActor]
    arguments: Mapping[str, Any]
    pool: Pool
    batch_rows: int = 1


def streamed_rows(
    blocks: Sequence[pa.Table],
    stages: Sequence[PooledStage],
    *,
    stall_timeout_seconds: int,
    store_bytes: int | None = None,
    max_deaths: int = 6,
) -> Iterator[pa.Table]:
    """The rows of `blocks` after all `stages`, one at a time, in order of completion. Ray keeps track of blocks,
    and a lost worker's blocks are done again. `store_bytes` bounds the rows that wait between stages; Ray's own bound is half
    the object store. A worker that dies `max_deaths` times while no row comes out ends the run.

    Raises the error of ours that ended the run, else a ResourcesError or NrrayError with one sentence for Ray's pages.
    """
    deaths = WorkerDeaths({stage.actor.__name__: stage.pool.name for stage in stages}, max_deaths=max_deaths)
    context = data_context(stall_timeout_seconds=stall_timeout_seconds, store_bytes=store_bytes)
    context.custom_execution_callback_classes = [deaths]
    with DataContext.current(context):
        try:
            dataset = ray.data.from_arrow(list(blocks))
            for stage in stages:
                dataset = dataset.map_batches(
                    stage.actor,
                    fn_constructor_kwargs=dict(stage.arguments),
                    batch_size=stage.batch_rows,
                    batch_format="pyarrow",
                    # A pool of its own for every stage: without it Ray may fuse a stage into the next one's workers.
                    compute=ActorPoolStrategy(size=stage.pool.count),
                    num_cpus=stage.pool.cpus,
                    num_gpus=stage.pool.gpus,
                    memory=stage.pool.memory_bytes or None,
                )
            # No prefetch: Ray fills that window before it hands out the first row, and a killed driver would lose the window.
            for batch in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                deaths.row_came()
                for index in range(batch.num_rows):
                    yield batch.slice(index, 1)
        except ExecutionTimeoutError as error:
            raise ResourcesError(
                f"nothing moved for {stall_timeout_seconds} s, so the run was ended; its results so far are kept. Either "
                f"the cluster lost nodes that it needs, or one unit takes longer than stall_timeout_seconds."
            ) from error
        except RayError as error:
            raise error_of_ours(error) or NrrayError(
                f"Ray ended the run; its results so far are kept. {reason_of(error)}"
            ) from error


def data_context(*, stall_timeout_seconds: int, store_bytes: int | None) -> DataContext:
    """Ray Data as all stages want it: silent, bounded, every row a block of its own, so that it moves on as soon as it is
    done."""
    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_no_progress_timeout_s = stall_timeout_seconds
    context.max_consecutive_actor_init_deaths = 3
    context.max_errored_blocks = 0
    context.target_max_block_size = 1
    context.target_min_block_size = 1
    if store_bytes is not None:
        context.execution_options.resource_limits = ExecutionResources.for_limits(object_store_memory=store_bytes)
    return context
