"""How many bytes this process reads, as Linux counts them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

COUNTERS = Path("/proc/self/io")


@contextmanager
def bytes_read() -> Iterator[Callable[[], int]]:
    """A function that tells, after the block, how many bytes system calls read in it. Skips where the system does not count."""
    if not COUNTERS.exists():
        pytest.skip("only Linux counts the bytes that a process reads")
    spans: list[int] = [_total()]
    yield lambda: spans[1] - spans[0]
    spans.append(_total())


def _total() -> int:
    return int(COUNTERS.read_text().split("rchar: ")[1].split()[0])
