"""Memory of a worker process that computes on a CPU."""

import contextlib
import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # of malloc.h
_KEPT_BYTES = 1 << 30
_MAPPED_BYTES = 32 << 20  # glibc's limit for a block of a heap; a thread's heap is twice as large


def keep_freed_memory() -> None:
    """Let this process keep freed memory. A forward pass frees and takes the same megabytes again and again; glibc gives
    them back to the kernel each time, which clears every page anew: a fifth of the embedded model's time on a CPU.
    Elsewhere than with glibc nothing is changed."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            library = ctypes.CDLL(None)
            library.mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)
            library.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
            library.mallopt(_M_TOP_PAD, 2 * _MAPPED_BYTES)
