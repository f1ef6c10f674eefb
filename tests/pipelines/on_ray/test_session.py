"""Calls that are watched from the main thread, and signals that end a run."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

from nrray.pipelines.on_ray.session import terminated_as_interrupt, watched_call


def test_a_watched_call_runs_beside_the_ticks_of_the_calling_thread():
    threads = []
    is_over = threading.Event()

    def tick() -> None:
        threads.append(threading.current_thread())
        if len(threads) == 3:
            is_over.set()

    watched_call(lambda: is_over.wait(timeout=60), tick=tick, every_seconds=0.01)
    assert len(threads) >= 3
    assert set(threads) == {threading.current_thread()}


def test_the_exception_of_a_watched_call_is_raised_in_the_calling_thread():
    def fail() -> None:
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        watched_call(fail, tick=lambda: None, every_seconds=0.01)


def test_sigterm_ends_a_run_as_ctrl_c_does_and_only_within_the_block():
    def terminate_this() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)  # the handler is called at once

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), terminated_as_interrupt():
        terminate_this()
    assert signal.getsignal(signal.SIGTERM) is before


def test_in_another_thread_signals_are_left_alone():
    handlers = []

    def run() -> None:
        with terminated_as_interrupt():
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGTERM)]


def test_a_block_that_raises_leaves_ray_to_the_end_of_the_process_and_another_one_ends_it():
    script = """
import ray
from nrray.pipelines.on_ray.session import ray_session
with ray_session():
    pass
print(ray.is_initialized())
try:
    with ray_session():
        raise ValueError
except ValueError:
    print(ray.is_initialized())
"""
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=200, check=False)
    assert finished.stdout == "False\nTrue\n", finished.stderr


def test_ray_starts_all_the_same_where_one_of_its_processes_is_stuck_between_fork_and_exec():
    script = """
import os
import time
import ray
from nrray.pipelines.on_ray import session
session._STUCK_AFTER_SECONDS = 2.0
forks = []
os.register_at_fork(
    before=lambda: forks.append(os.getpid()),
    after_in_child=lambda: len(forks) == 1 and time.sleep(1000),
)
with session.ray_session():
    print(ray.is_initialized(), len(forks) > 1)
"""
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=200, check=False)
    assert finished.stdout == "True True\n", finished.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_a_library_caught_ends_a_watched_call_all_the_same(number):
    caught, is_over = [], threading.Event()

    def tick():
        if not caught:
            with suppress(KeyboardInterrupt):
                caught.append(number)
                signal.raise_signal(number)

    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), terminated_as_interrupt():
        watched_call(lambda: is_over.wait(timeout=60), tick=tick, every_seconds=0.01)
    is_over.set()
    assert caught == [number]
    assert signal.getsignal(number) is before
    watched_call(lambda: None, tick=lambda: None, every_seconds=0.01)  # and is forgotten after the run
