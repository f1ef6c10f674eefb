"""Where Ray's core ends this process, or keeps all of its threads from running while Ray starts, somebody else says so."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_storage import mounted_tmpfs

# `PyDLL` keeps the interpreter's lock for the time of a call, as Ray's core does while it connects.
PREAMBLE = """
import ctypes, os, shutil, signal, subprocess, sys, time
from nrray.pipelines.on_ray.watcher import Start, watched

def start(**changes):
    folder = sys.argv[1]
    return Start(**{**dict(needed=("raylet",), folder=folder, way_on="Go on.", limit_seconds=60.0, loss_seconds=0.5), **changes})

def dead_raylet():
    os.symlink(shutil.which("sleep"), sys.argv[1] + "/raylet")
    child = subprocess.Popen([sys.argv[1] + "/raylet", "1000"])
    while os.readlink(f"/proc/{child.pid}/exe") == os.readlink("/proc/self/exe"):
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)

hang = lambda: ctypes.PyDLL(None).sleep(1000)
"""


def run(script: str, folder: Path, *, hang_ups: str = "SIG_DFL") -> subprocess.CompletedProcess[str]:
    """hang_ups: what the script does of them; else it would inherit what these tests do, which nohup may have started."""
    disposition = f"signal.signal(signal.SIGHUP, signal.{hang_ups})\n"
    return subprocess.run(
        [sys.executable, "-c", PREAMBLE + disposition + script, str(folder)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize(
    ("block", "end"),
    [("pass", (0, "", "")), ("raise SystemExit(7)", (7, "", "")), ("print('well')", (0, "well\n", ""))],
)
def test_nothing_is_said_of_a_block_that_ends_by_itself(block, end, tmp_path):
    finished = run(f"with watched(start()): {block}", tmp_path)
    assert (finished.returncode, finished.stdout, finished.stderr) == end


def test_a_process_that_is_ended_without_a_word_gets_one(tmp_path):
    finished = run("with watched(start()): os._exit(1)", tmp_path)
    assert finished.returncode == 1
    assert finished.stderr == "error: Ray could not start: it ended this process, or somebody else did. Go on.\n"


def test_a_run_that_is_ended_without_a_word_gets_one_too(tmp_path):
    begun = "os.mkdir(f'{sys.argv[1]}/session_2026_{os.getpid()}'); watcher.has_started()"
    for end in ("os._exit(1)", "os.kill(os.getpid(), signal.SIGKILL)"):
        finished = run(f"with watched(start()) as watcher: {begun}; {end}", tmp_path)
        *_, session = sorted(tmp_path.glob("session_2026_*"), key=lambda path: path.stat().st_ctime_ns)
        ended = f"this run was ended by Ray's core, or from outside; Ray's logs are in {session}/logs"
        assert finished.stderr == f"error: {ended}. Go on.\n"
    finished = run("with watched(start()) as watcher: watcher.has_started(); watcher.is_over(); os._exit(1)", tmp_path)
    assert (finished.returncode, finished.stderr) == (1, "")


def test_a_process_whose_start_failed_in_words_goes_on_for_as_long_as_it_likes(tmp_path):
    finished = run(
        """
try:
    with watched(start(limit_seconds=1.0)):
        raise ValueError
except ValueError:
    time.sleep(4)
    print("goes on")
""",
        tmp_path,
    )
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "goes on\n", "")


def test_a_start_that_takes_too_long_is_ended_though_no_thread_can_run(tmp_path):
    finished = run("with watched(start(limit_seconds=1.0)): hang()", tmp_path)
    assert (finished.returncode, finished.stderr) == (1, "error: Ray could not start: it took more than 1 s. Go on.\n")


def test_a_start_that_has_lost_a_process_is_ended_with_its_name(tmp_path):
    begun = "os.mkdir(f'{sys.argv[1]}/session_2026_{os.getpid()}')"
    finished = run(f"with watched(start()): {begun}; dead_raylet(); hang()", tmp_path)
    assert finished.returncode == 1
    (session,) = tmp_path.glob("session_2026_*")
    lost = f"its raylet was killed, or ended by itself; Ray's logs are in {session}/logs"
    assert finished.stderr == f"error: Ray could not start: {lost}. Go on.\n"


def test_a_loss_of_the_first_try_does_not_end_the_second(tmp_path):
    finished = run(
        """
with watched(start(loss_seconds=2.0)) as watcher:
    dead_raylet()
    watcher.begin_again()
    time.sleep(5)
    print("started")
""",
        tmp_path,
    )
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "started\n", "")


def test_a_full_disk_is_told_before_all_else(tmp_path):
    with mounted_tmpfs(tmp_path / "disk", kib=64):
        finished = run("with watched(start()): os._exit(1)", tmp_path / "disk")
    assert f"the disk of its folder {tmp_path / 'disk'} is full. Make room there" in finished.stderr


def test_a_process_that_ignores_hang_ups_goes_on_to(tmp_path):
    script = """
with watched(start()):
    os.kill(os.getpid(), signal.SIGHUP)
    print("goes on")
"""
    assert run(script, tmp_path, hang_ups="SIG_IGN").stdout == "goes on\n"
    finished = run(script + "os.kill(os.getpid(), signal.SIGHUP)", tmp_path)
    assert (finished.returncode, finished.stdout) == (1, "")


def test_a_watcher_that_was_killed_is_done_without(tmp_path):
    finished = run(
        """
import psutil
with watched(start()):
    for child in psutil.Process().children():
        child.kill()
    time.sleep(0.2)
print("started")
""",
        tmp_path,
    )
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "started\n", "")


# The process of Ray that is named is killed as often as a function of Ray's is called: before it, while Ray starts.
REAL = """
import sys
import psutil
from nrray.pipelines.on_ray.session import ray_session
import ray
from ray._private import node, services, worker

victim, place, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
owner = {"CoreWorker": ray._raylet, "connect": worker, "start_raylet": services, "start_monitor": services}[place]
original, calls = getattr(owner, place), []

def killing(*arguments, **keywords):
    calls.append(1)
    for child in psutil.Process().children():
        if len(calls) <= times and child.name() == victim and child.status() != psutil.STATUS_ZOMBIE:
            child.kill()
    return original(*arguments, **keywords)

setattr(owner, place, killing)
with ray_session():
    print(ray.get(ray.remote(lambda: 7).remote(), timeout=100))
"""


def run_real(victim: str, place: str, times: int) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "RAY_ADDRESS": ""}
    command = [sys.executable, "-c", REAL, victim, place, str(times)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("victim", "place"),
    [
        ("raylet", "CoreWorker"),
        ("raylet", "connect"),
        ("gcs_server", "CoreWorker"),
        ("gcs_server", "connect"),
        ("gcs_server", "start_monitor"),
    ],
)
def test_a_process_of_ray_that_is_killed_where_ray_waits_for_it_ends_the_run_in_words(victim, place):
    finished = run_real(victim, place, 1)
    assert finished.returncode == 1, finished.stdout
    assert finished.stderr.startswith("error: Ray could not start: ")
    assert finished.stderr.count("\n") == 1
    assert "All that was written is kept; the same command goes on from there: " in finished.stderr


@pytest.mark.slow
def test_one_whose_loss_ray_sees_is_started_once_more():
    finished = run_real("gcs_server", "start_raylet", 1)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "7\n", "")
