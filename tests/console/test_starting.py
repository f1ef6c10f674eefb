"""A verb that has nothing to say for a moment says that it starts; one that has, or that is to be silent, does not."""

import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nrray.console import reporter as module
from nrray.console.reporter import Reporter


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(module, "_SILENT_SECONDS", 0.05)


def test_a_verb_that_is_silent_for_a_moment_says_that_it_starts(capsys):
    reporter = Reporter()
    with reporter.started("scan"):
        time.sleep(0.5)
        reporter.say("a video")
    assert capsys.readouterr().out == "scan: starting\na video\n"


def test_a_verb_that_speaks_at_once_or_ends_at_once_does_not(capsys):
    reporter = Reporter()
    with reporter.started("scan"):
        reporter.say("a video")
        time.sleep(0.3)
    with pytest.raises(ValueError, match="wrong"), Reporter().started("scan"):
        raise ValueError("wrong")
    time.sleep(0.3)
    assert capsys.readouterr().out == "a video\n"


@pytest.mark.parametrize("options", [{"is_json": True}, {"is_quiet": True}])
def test_a_silent_verb_says_nothing(options, capsys):
    with Reporter(**options).started("scan"):
        time.sleep(0.3)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_a_command_says_on_a_terminal_that_it_starts_before_what_it_imports_is_there(tmp_path: Path):
    """`nrray.pipelines.scan.run` imports Ray, which takes seconds: here as many as the test wants."""
    program = tmp_path / "slow.py"
    program.write_text(
        "import sys, time\n"
        "class Slow:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'ray':\n"
        "            time.sleep(3)\n"
        "sys.meta_path.insert(0, Slow())\n"
        "from nrray.cli import main\n"
        f"sys.exit(main(['scan', '--set', 'archive={tmp_path}/none', '--set', 'output={tmp_path}/out']))\n"
    )
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, str(program)], stdout=theirs, stderr=theirs, close_fds=True) as process:
        os.close(theirs)
        said = b""
        while b"\n" not in said:
            said += os.read(ours, 4096)
        assert process.poll() is None  # it is still importing
        assert said.splitlines()[0] == b"scan: starting"
        assert process.wait(timeout=120) == 1
    os.close(ours)
