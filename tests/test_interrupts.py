"""A main thread that waits is interrupted, also where a shell had the process ignore SIGINT, and never ended by it."""

import subprocess
import sys

import pytest

SCRIPT = """
import signal, sys, threading, time
from nrray.interrupts import be_interruptible, interrupt_main_thread
if {ready}:
    be_interruptible()
threading.Timer(0.5, interrupt_main_thread).start()
try:
    time.sleep({seconds})
    print("waited")
except KeyboardInterrupt:
    print("interrupted")
"""


def run(script: str) -> str:
    """What a script prints that a shell starts in the background."""
    shell = ["sh", "-c", '"$0" -c "$1" & wait $!', sys.executable, script]
    return subprocess.run(shell, capture_output=True, text=True, timeout=100, check=True).stdout


@pytest.mark.parametrize(("ready", "seconds", "expected"), [(True, 90, "interrupted"), (False, 2, "waited")])
def test_a_command_in_the_background_of_a_script_is_interrupted_once_it_asked_for_that(ready, seconds, expected):
    assert run(SCRIPT.format(ready=ready, seconds=seconds)) == f"{expected}\n"


def test_where_nobody_handles_it_no_signal_is_sent():
    handled = "import signal; signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
    assert run(handled + SCRIPT.format(ready=True, seconds=2)) == "waited\n"
