"""What a process frees, it has at hand: counted in pages that the kernel had to clear."""

import subprocess
import sys

import pytest

_COUNTED = """
import resource, threading
import numpy as np
from nrray.pipelines.on_ray.allocator import keep_freed_memory

{keep}

def passes(count):
    for _ in range(count):
        layers = [np.ones(5 * 2**20, np.float32) for _ in range(2)]
        del layers

def counted():
    passes(3)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    passes(20)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

{how}
"""


def page_faults(*, keep: bool, how: str) -> int:
    script = _COUNTED.format(keep="keep_freed_memory()" if keep else "", how=how)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_memory_that_is_freed_is_not_asked_for_again():
    in_thread = "thread = threading.Thread(target=counted); thread.start(); thread.join()"
    assert page_faults(keep=False, how="counted()") > 20_000
    assert page_faults(keep=True, how="counted()") < 2_000
    assert page_faults(keep=True, how=in_thread) < 2_000
