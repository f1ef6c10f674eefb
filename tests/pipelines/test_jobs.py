"""scan and relabel as Ray jobs, over HTTP, on a local cluster of separate processes: a head and a worker node."""

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from tests.pipelines.support import SMALL_UNITS, make_archive, run_json, tables, words

pytestmark = pytest.mark.harsh  # no other Ray may take the ports of its agents meanwhile

ROOT = Path(__file__).parents[2]
NUM_UNITS = 6


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def local_sh(*arguments: str, env: dict[str, str]) -> str:
    finished = subprocess.run(
        [str(ROOT / "cluster" / "local.sh"), *arguments],
        capture_output=True,
        text=True,
        timeout=180,
        env=env,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[dict[str, str]]:
    """The environment of somebody who started `cluster/local.sh` and exported what it printed."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
        "NRRAY_CLUSTER_DIR": str(tmp_path_factory.mktemp("cluster")),
        "NRRAY_GCS_PORT": str(free_port()),
        "NRRAY_DASHBOARD_PORT": str(free_port()),
        "NRRAY_NODE_CPUS": "1",
        "NRRAY_PYTHON": sys.executable,
    }
    try:
        exported = local_sh("start", "1", env=environment)
        for word in shlex.split(exported)[1:]:
            name, _, value = word.partition("=")
            environment[name] = value
        yield environment
    finally:
        local_sh("stop", env=environment)


def submitted(job: str, *arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ray.scripts.scripts", "job", "submit", "--working-dir", ".", "--"]
    return subprocess.run(
        [*command, "python", job, *arguments],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_no_process_of_the_cluster_listens_beyond_loopback(cluster):
    found, pids = [], Path(cluster["NRRAY_CLUSTER_DIR"]).glob("*.pid")
    for node in [psutil.Process(int(file.read_text())) for file in pids]:
        for process in (node, *node.children(recursive=True)):
            with suppress(psutil.Error):
                found += [c.laddr.ip for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert len(found) >= 10, "the store of state, the jobs server, two raylets and their agents"
    assert set(found) <= {"127.0.0.1", "::ffff:127.0.0.1"}


def test_jobs_scan_and_relabel_an_archive(cluster, tmp_path):
    archive = make_archive(tmp_path / "archive", num_videos=2, seconds=8.0)
    (archive / "broken.mp4").write_text("not a video")
    scanned = submitted("jobs/scan.py", *words(archive=archive, output=tmp_path / "scan"), env=cluster)
    assert "exit code 3" in scanned.stdout + scanned.stderr  # one file is unreadable, and that is said
    assert pq.read_table(tmp_path / "scan" / "manifest.parquet").num_rows == 3
    small = [word for setting in SMALL_UNITS for word in ("--set", setting)]
    output = tmp_path / "labels"
    arguments = [*words(manifest=tmp_path / "scan" / "manifest.parquet", output=output), *small]
    relabelled = submitted("jobs/relabel.py", *arguments, env=cluster)
    assert relabelled.returncode == 0, relabelled.stdout + relabelled.stderr
    run = run_json(output)
    assert run["state"]["units"] == {"ok": NUM_UNITS, "failed": 0, "quarantined": 0, "not_run": 0}
    assert run["measured"]["capacity"].startswith("2 CPUs")  # both nodes
    coverage = tables(output)["coverage"].to_pylist()
    assert {row["status"] for row in coverage if row["path"] != "broken.mp4"} == {"ok"}
    assert {row["status"] for row in coverage if row["path"] == "broken.mp4"} == {"failed"}


def test_nobody_without_the_token_gets_in(cluster):
    without = {name: value for name, value in cluster.items() if not name.startswith("RAY_AUTH")}
    refused = submitted("jobs/scan.py", env={**without, "RAY_AUTH_MODE": "disabled"})
    assert refused.returncode != 0
