"""A user without root's rights, whom the system does not know by name, and who has no home folder: all verbs run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipelines.relabel.test_trouble import can_unshare

# Its files are this user's, its rights are none.
AS_SOMEBODY = ("unshare", "--user", "--map-user=4711", "--map-group=4711")
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("HOME", "USER", "LOGNAME")}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not can_unshare(*AS_SOMEBODY[1:]), reason="needs the right to make a user namespace"),
]


def as_somebody(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*AS_SOMEBODY, sys.executable, "-m", "nrray", *arguments],
        cwd=cwd,
        env={**ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.mark.parametrize("home", ["/proc/nowhere", None])
def test_the_demo_runs_without_a_home(home, tmp_path):
    environment = {} if home is None else {"HOME": home}
    finished = as_somebody("demo", str(tmp_path / "demo"), "--cases", "1", cwd=tmp_path, **environment)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert finished.stderr == ""
    assert (tmp_path / "demo" / "labels" / "latest" / "labels.parquet").exists()


def test_the_doctor_has_nothing_to_mend(tmp_path):
    finished = as_somebody("doctor", cwd=tmp_path)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert finished.stderr == ""
