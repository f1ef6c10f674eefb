"""Runs rows in micro-batches and halves the batch when the device runs out of memory."""

from collections.abc import Callable
from typing import TypeVar

import torch

from nrray.errors import LabelMemoryError

ResultT = TypeVar("ResultT")


def micro_batched(run: Callable[[slice], ResultT], *, num_rows: int, rows_per_batch: int) -> list[ResultT]:
    """`run` over consecutive slices of `num_rows`, in order. Each call starts at `rows_per_batch` again.

    Raises LabelMemoryError where one row alone does not fit.
    """
    results: list[ResultT] = []
    start, size = 0, rows_per_batch
    while start < num_rows:
        rows = slice(start, min(start + size, num_rows))
        # The handler must end before the memory can go back: the traceback holds the failed batch's tensors.
        result, has_room = _tried(run, rows)
        if has_room and result is not None:
            results.append(result)
            start = rows.stop
            continue
        torch.cuda.empty_cache()
        if rows.stop - rows.start == 1:
            raise LabelMemoryError(
                "the device ran out of memory for a single window. Use smaller frames, fewer frames a window, "
                "bfloat16, a smaller model or a larger device."
            )
        size = (rows.stop - rows.start) // 2
    return results


def _tried(run: Callable[[slice], ResultT], rows: slice) -> tuple[ResultT | None, bool]:
    try:
        return run(rows), True
    except torch.OutOfMemoryError:
        return None, False
