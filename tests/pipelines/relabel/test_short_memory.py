"""Workers that get less memory than they need: the run ends in words, and goes on where there is enough."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.pipelines.support import SMALL_UNITS, ledger_units, make_archive, nrray, wait_until, words

MIB = 2**20
_GROUPS = Path("/sys/fs/cgroup/memory")  # version 1
_UNIFIED = Path("/sys/fs/cgroup")  # version 2

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


@pytest.mark.harsh
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


@pytest.fixture
def limited() -> Iterator[Callable[[int], list[str]]]:
    """A function that makes a control group with so many bytes of memory, and gives the words that start a command in it."""
    top, name = (_GROUPS, "memory.limit_in_bytes") if _GROUPS.is_dir() else (_UNIFIED, "memory.max")
    groups: list[Path] = []

    def words_of(num_bytes: int) -> list[str]:
        group = top / f"nrray-test-{os.getpid()}-{len(groups)}"
        try:
            group.mkdir()
            (group / name).write_text(str(num_bytes))
        except OSError as error:
            pytest.skip(f"control groups of memory cannot be made here: {error}")
        groups.append(group)
        return ["bash", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "bash"]

    yield words_of
    for group in groups:
        wait_until(lambda group=group: not (group / "cgroup.procs").read_text(), what="the group's processes to end")
        group.rmdir()


@pytest.mark.slow  # needs root
def test_a_control_group_is_planned_in_and_where_the_plan_is_wrong_the_kernel_ends_the_run_in_words(limited, tmp_path):
    archive = make_archive(tmp_path / "archive", num_videos=1, seconds=11.0)
    scanned = nrray("scan", *words(archive=archive, output=tmp_path / "scan"))
    assert scanned.returncode == 0, scanned.stderr
    output = tmp_path / "out"
    small = [word for setting in SMALL_UNITS for word in ("--set", setting)]
    command = ["relabel", *words(manifest=tmp_path / "scan/manifest.parquet", output=output), *small]
    script = shutil.which("nrray", path=str(Path(sys.executable).parent))

    def run_in(mib: int, *more: str) -> subprocess.CompletedProcess[str]:
        whole = [*limited(mib * MIB), script, *command, *more]
        return subprocess.run(whole, capture_output=True, text=True, timeout=400, check=False)

    refused = run_in(1800)
    assert refused.returncode == 1
    assert "1 decoder and 1 labeler on CPU do not fit: they ask for 2.25 GiB of memory of 1." in refused.stderr
    assert "batch systems and containers limit it" in refused.stderr
    killed = run_in(1400, *words(pools__labeler_memory_mib=100, pools__decoder_memory_mib=100))
    assert killed.returncode == 1
    assert killed.stderr.startswith("error: labelers die as soon as they start or work"), killed.stderr
    finished = run_in(3600)
    assert finished.returncode == 0, finished.stderr
    assert "1 decoder and 1 labeler on CPU" in finished.stdout
    assert ledger_units(output) == 5


def path_with(folder: Path) -> str:
    return os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
