"""Workers that get less memory than they need: the run ends in words, and goes on where there is enough."""

import os
from pathlib import Path

import pytest

from tests.pipelines.support import SMALL_UNITS, ledger_units, make_archive, nrray, words

pytestmark = pytest.mark.harsh

# A limit of the workers' address space from their first import of torch on, which labelers alone need.
_SHORT_OF_MEMORY = """
import importlib.abc, os, resource, sys

class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "torch" and sys.argv[0].endswith("default_worker.py"):
            used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
            limit = used + int(os.environ["SPARE_MIB"]) * 2**20
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

sys.meta_path.insert(0, Watch())
"""


@pytest.mark.parametrize("spare_mib", [100, 700])
def test_labelers_short_of_memory_end_the_run_in_words_and_it_goes_on(spare_mib, tmp_path):
    archive = make_archive(tmp_path / "archive", num_videos=1, seconds=11.0)
    scanned = nrray("scan", *words(archive=archive, output=tmp_path / "scan"))
    assert scanned.returncode == 0, scanned.stderr
    (tmp_path / "short").mkdir()
    (tmp_path / "short" / "sitecustomize.py").write_text(_SHORT_OF_MEMORY)
    output = tmp_path / "out"
    small = [word for setting in SMALL_UNITS for word in ("--set", setting)]
    command = ["relabel", *words(manifest=tmp_path / "scan/manifest.parquet", output=output), *small]
    short = {"PYTHONPATH": path_with(tmp_path / "short"), "SPARE_MIB": str(spare_mib)}
    finished = nrray(*command, env=short)
    print(finished.stdout[-2000:], finished.stderr)
    assert finished.returncode in (1, 3)
    assert finished.returncode == 3 or finished.stderr.startswith("error: ")
    assert "Traceback" not in finished.stderr
    again = nrray(*command, "--retry-failed")
    assert again.returncode == 0, again.stdout + again.stderr
    assert ledger_units(output) == 5


def path_with(folder: Path) -> str:
    return os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
