"""Where Ray itself ends, a run ends in seconds, with what was lost, what is kept, and the command that goes on."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from nrray.errors import RayLostError
from nrray.pipelines.on_ray.lost_ray import ClusterLoss, command_line, ended_with_ray, how_it_ended

PREAMBLE = """
import atexit, signal, sys, threading, time
from nrray.errors import RayLostError
from nrray.pipelines.on_ray.lost_ray import ended_with_ray
times = dict(grace_seconds=1.0, exit_seconds=1.0)
began = time.monotonic()
lost = lambda: "it is gone" if time.monotonic() - began > 0.3 else None
"""


def run(script: str, *, timeout_seconds: float = 100) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PREAMBLE + script], capture_output=True, text=True, timeout=timeout_seconds, check=False
    )


def test_a_block_is_ended_where_ray_is_lost_and_what_it_has_pending_is_written():
    finished = run("""
try:
    with ended_with_ray(lost, **times):
        try:
            time.sleep(1000)
        finally:
            print("written")
except RayLostError as error:
    print(error)
""")
    assert finished.stdout == "written\nit is gone\n", finished.stderr
    assert finished.returncode == 0


def test_a_block_that_hangs_is_ended_with_the_sentence():
    finished = run("""
with ended_with_ray(lost, **times):
    while True:
        try:
            time.sleep(1000)
        except KeyboardInterrupt:
            pass
""")
    assert (finished.returncode, finished.stderr) == (1, "error: it is gone\n")


def test_where_a_shell_has_the_run_ignore_sigint_it_is_ended_all_the_same():
    finished = run("""
signal.signal(signal.SIGINT, signal.SIG_IGN)
try:
    with ended_with_ray(lost, **times):
        time.sleep(1000)
except RayLostError as error:
    print(error)
""")
    assert (finished.returncode, finished.stdout) == (0, "it is gone\n")


def test_ray_s_own_error_waits_for_the_loss_that_it_tells_of():
    script = """
from ray.exceptions import LocalRayletDiedError
from nrray.errors import NrrayError
later = lambda: "it is gone" if time.monotonic() - began > 2 else None
try:
    with ended_with_ray(later, **times):
        try:
            raise CAUSE
        except Exception as error:
            raise NrrayError("Ray ended the run") from error
except NrrayError as error:
    print(error)
"""
    assert run(script.replace("CAUSE", "LocalRayletDiedError()")).stdout == "it is gone\n"
    assert run(script.replace("CAUSE", "ValueError()")).stdout == "Ray ended the run\n"


def test_exit_hooks_that_hang_do_not_keep_the_process():
    finished = run("""
atexit.register(lambda: time.sleep(1000))
try:
    with ended_with_ray(lost, **times):
        time.sleep(1000)
except RayLostError as error:
    print(error)
""")
    assert (finished.returncode, finished.stdout) == (1, "it is gone\n")


def test_where_the_user_interrupted_the_run_nothing_is_said():
    finished = run("""
try:
    with ended_with_ray(lost, is_interrupted=lambda: True, **times):
        time.sleep(3)
        print("goes on")
except RayLostError as error:
    print(error)
""")
    assert finished.stdout == "goes on\n"


def test_an_error_that_comes_before_the_loss_is_seen_is_told_as_the_loss():
    with pytest.raises(RayLostError, match="it is gone"), ended_with_ray(lambda: "it is gone"):
        raise ValueError("no node")
    with pytest.raises(ValueError, match="no node"), ended_with_ray(lambda: None):
        raise ValueError("no node")
    with pytest.raises(RayLostError, match="full"), ended_with_ray(lambda: None, explained=lambda _: "full"):
        raise ValueError("no node")


def test_ctrl_c_stays_what_it_is():
    with pytest.raises(KeyboardInterrupt), ended_with_ray(lambda: None):
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("code", "said", "expected"),
    [
        (-signal.SIGKILL, "", "was killed by SIGKILL: by somebody, or by the system where memory ran out"),
        (-signal.SIGABRT, "open: Too many open files [system:24]", "was killed by SIGABRT: it had too many files open"),
        (1, "write: No space left on device", "ended with exit code 1: its disk was full"),
        (1, "another reason", "ended with exit code 1; its log is "),
    ],
)
def test_the_end_of_a_process_is_told_with_its_reason(code, said, expected, tmp_path):
    (tmp_path / "raylet.err").write_text(said)
    assert how_it_ended(code, tmp_path / "raylet.out").startswith(expected)


@pytest.fixture
def listening():
    """A state store and a raylet: sockets that somebody listens at."""
    with (
        tempfile.TemporaryDirectory(prefix="nrr") as folder,
        socket.create_server(("127.0.0.1", 0)) as gcs,
        socket.socket(socket.AF_UNIX) as raylet,
    ):
        raylet.bind(f"{folder}/raylet")
        raylet.listen()
        yield (
            gcs,
            raylet,
            ClusterLoss(
                gcs_address=f"127.0.0.1:{gcs.getsockname()[1]}",
                raylet_socket=f"{folder}/raylet",
                logs=Path(folder),
                patience_seconds=0.0,
            ),
        )


def test_a_cluster_that_answers_is_not_lost(listening):
    _, _, loss = listening
    assert loss() is None


def test_a_cluster_whose_head_is_silent_for_long_is_lost(listening):
    gcs, _, loss = listening
    gcs.close()
    assert "the head of the cluster at 127.0.0.1" in loss()


def test_a_node_whose_raylet_is_gone_is_lost(listening):
    _, raylet, loss = listening
    raylet.close()
    assert "the raylet of this machine" in loss()


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("/usr/bin/nrray", "nrray relabel 'a b.yaml'"),
        ("/somewhere/nrray/__main__.py", "python -m nrray relabel 'a b.yaml'"),
        ("jobs/relabel.py", "python jobs/relabel.py relabel 'a b.yaml'"),
    ],
)
def test_the_command_is_given_as_it_was_typed(program, expected, monkeypatch):
    monkeypatch.setattr(sys, "argv", [program, "relabel", "a b.yaml"])
    assert command_line() == expected


REAL = """
import os, signal, sys, time
import psutil, ray
from nrray.errors import RayLostError
from nrray.pipelines.on_ray.session import ray_session
try:
    with ray_session():
        pending = ray.remote(lambda: time.sleep(1000)).options(num_cpus=0.1).remote()
        for child in psutil.Process().children():
            if child.name() == sys.argv[1]:
                child.kill()
        began = time.monotonic()
        ray.get(pending)
except RayLostError as error:
    print(error)
    print(time.monotonic() - began < 10)
"""


@pytest.mark.parametrize("name", ["raylet", pytest.param("gcs_server", marks=pytest.mark.harsh)])
def test_a_killed_process_of_ray_is_named_in_seconds(name):
    environment = {**os.environ, "RAY_ADDRESS": "", "RAY_raylet_start_wait_time_s": "300"}
    finished = subprocess.run(
        [sys.executable, "-c", REAL, name], env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    sentence, is_quick = finished.stdout.splitlines()
    assert sentence.startswith(f"Ray was lost: its {name}, which "), finished.stderr
    assert "was killed by SIGKILL" in sentence
    assert "All that was written is kept; the same command goes on from there: " in sentence
    assert is_quick == "True"


@pytest.mark.harsh
@pytest.mark.parametrize("after_seconds", [0.0, 0.5, 2.0])
def test_where_an_agent_of_ray_is_killed_the_run_is_ended_in_one_sentence(after_seconds):
    script = REAL.replace(
        "for child in psutil.Process().children():", "time.sleep(float(sys.argv[2]))\n        for child in agents():"
    )
    script = script.replace(
        "try:\n",
        """
def agents():
    return [child for child in psutil.Process().children(recursive=True) if child.name() == sys.argv[1]]

try:
""",
        1,
    )
    finished = subprocess.run(
        [sys.executable, "-c", script, "ray::DashboardAgent", str(after_seconds)],
        env={**os.environ, "RAY_ADDRESS": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    said = [line for line in (finished.stdout + finished.stderr).splitlines() if "All that was written is kept" in line]
    assert len(said) == 1, finished.stdout + finished.stderr
    assert "Traceback" not in finished.stderr
