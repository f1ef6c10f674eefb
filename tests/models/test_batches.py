import pytest
import torch

from nrray.models import LabelMemoryError
from nrray.models.batches import micro_batched


def rows_that_fit(limit, calls):
    def run(rows):
        calls.append(rows.stop - rows.start)
        if rows.stop - rows.start > limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return list(range(rows.start, rows.stop))

    return run


def test_rows_come_back_in_order_and_once():
    batches = micro_batched(rows_that_fit(100, []), num_rows=10, rows_per_batch=4)
    assert [row for batch in batches for row in batch] == list(range(10))


def test_out_of_memory_halves_the_batch_and_loses_nothing():
    calls = []
    batches = micro_batched(rows_that_fit(3, calls), num_rows=10, rows_per_batch=8)
    assert [row for batch in batches for row in batch] == list(range(10))
    assert calls[:3] == [8, 4, 2]


def test_what_is_halved_is_the_batch_that_was_tried_and_not_the_one_that_was_asked_for():
    calls = []
    micro_batched(rows_that_fit(1, calls), num_rows=3, rows_per_batch=8)
    assert calls == [3, 1, 1, 1]


def test_each_call_starts_at_the_batch_that_is_asked_for():
    calls = []
    for limit in (2, 8):
        micro_batched(rows_that_fit(limit, calls), num_rows=8, rows_per_batch=8)
    assert calls == [8, 4, 2, 2, 2, 2, 8]


def test_a_single_row_that_does_not_fit_is_a_label_memory_error():
    with pytest.raises(LabelMemoryError, match="single window"):
        micro_batched(rows_that_fit(0, []), num_rows=3, rows_per_batch=4)
