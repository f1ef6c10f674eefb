"""Rows of a Ray Data graph, one at a time, as they are done."""

from collections.abc import Iterator

import pyarrow as pa
import ray.data
from ray.data import DataContext, ExecutionResources
from ray.data.exceptions import RayDataUserCodeException, SystemException
from ray.exceptions import RayError

from nrray.errors import NrrayError, ResourcesError
from nrray.pipelines.on_ray.session import error_of_ours


def streamed_rows(dataset: ray.data.Dataset, *, stall_timeout_seconds: int) -> Iterator[pa.Table]:
    """The rows of `dataset`, one at a time, in order of completion. Raises the error of ours that ended it, or one
    that says in a sentence what Ray said in pages."""
    try:
        # No prefetch: Ray fills that window before it hands out the first row, and a killed driver would lose the window.
        for batch in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            for index in range(batch.num_rows):
                yield batch.slice(index, 1)
    except (RayError, RayDataUserCodeException, SystemException) as error:
        ours = error_of_ours(error)
        if ours is not None:
            raise ours from error
        if "ExecutionTimeout" in type(error).__name__ or "no progress" in str(error).lower():
            raise ResourcesError(
                f"nothing moved for {stall_timeout_seconds} s, so the run was ended; what was done is kept. Either the "
                f"cluster lost what it needs, or one unit takes longer than pools.stall_timeout_seconds."
            ) from error
        raise NrrayError(
            f"Ray ended the run; what was done is kept. {type(error).__name__}: {_last_line(error)}"
        ) from error


def data_context(*, stall_timeout_seconds: int, store_bytes: int | None = None) -> DataContext:
    """Ray Data as both stages of a run want it: silent, bounded, every row a block of its own, so that it moves on as
    soon as it is done. `store_bytes` bounds what waits between the stages; Ray's own bound is half the object store.
    """
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


def _last_line(error: BaseException) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip() and not line.startswith(" ")]
    return lines[-1] if lines else "no reason given"
