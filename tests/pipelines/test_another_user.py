"""A user without root's rights, without a home folder, on a machine whose folder of Ray is somebody else's: all verbs run."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

NOBODY = 65534
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "XDG_", "HOME"))}


def as_nobody(*command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    dropped = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs"]
    return subprocess.run(
        [*dropped, sys.executable, *command],
        cwd=cwd,
        env={**ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.fixture
def own():
    """A folder of that user's."""
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root, who can become somebody else, and setpriv")
    with tempfile.TemporaryDirectory(prefix="nrr") as folder:
        os.chown(folder, NOBODY, NOBODY)
        if as_nobody("-c", "import nrray.cli", cwd=Path(folder)).returncode:
            pytest.skip("the packages are for root alone")
        yield Path(folder)


@pytest.mark.harsh
@pytest.mark.parametrize("home", ["/nonexistent", None])
def test_the_demo_runs_for_a_user_without_a_home(own, home):
    environment = {} if home is None else {"HOME": home}
    finished = as_nobody("-m", "nrray", "demo", str(own / "demo"), "--cases", "1", cwd=own, **environment)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert finished.stderr == ""
    assert (own / "demo" / "labels" / "latest" / "labels.parquet").exists()


@pytest.mark.harsh
def test_the_doctor_finds_nothing_to_mend(own):
    finished = as_nobody("-m", "nrray", "doctor", cwd=own, HOME="/nonexistent")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "Traceback" not in finished.stderr
