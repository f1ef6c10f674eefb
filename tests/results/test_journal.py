import os
import signal
import subprocess
import sys

import pytest

from nrray.results.journal import Entries, EntryLimits, Journal, is_exhausted
from nrray.storage import Folder


@pytest.fixture(params=["local", "memory"])
def output(request, tmp_path):
    if request.param == "local":
        return Folder(str(tmp_path))
    return Folder(f"memory://{tmp_path.name}")


def journal(output, run_id="run1"):
    made = Journal(output, run_id)
    made.create()
    return made


def test_a_unit_that_was_left_leaves_no_trace(output):
    mine = journal(output)
    entry = mine.enter("video-0000001", "decode")
    mine.leave(entry)
    assert mine.entries("video-0000001") == Entries(this_run=0, all_runs=0)
    assert mine.suspects() == set()


def test_one_process_may_enter_a_unit_twice_at_a_time(output):
    mine = journal(output)
    first, _ = mine.enter("u", "decode"), mine.enter("u", "decode")
    assert mine.entries("u") == Entries(this_run=2, all_runs=2)
    mine.leave(first)
    assert mine.entries("u") == Entries(this_run=1, all_runs=1)


def test_leaving_twice_is_fine(output):
    mine = journal(output)
    entry = mine.enter("u", "label")
    mine.leave(entry)
    mine.leave(entry)


def test_entries_that_stay_behind_are_counted_by_run(output):
    journal(output, "run1").enter("u", "decode")
    journal(output, "run1").enter("u", "label")
    journal(output, "run2").enter("u", "decode")
    journal(output, "run2").enter("u2", "decode")
    assert journal(output, "run2").entries("u") == Entries(this_run=1, all_runs=3)
    assert journal(output, "run3").entries("u") == Entries(this_run=0, all_runs=3)
    assert journal(output).suspects() == {"u", "u2"}


def test_a_unit_whose_id_starts_like_anothers_is_another(output):
    journal(output).enter("video-00000010", "decode")
    assert journal(output).entries("video-0000001") == Entries(this_run=0, all_runs=0)


def test_units_with_an_outcome_are_forgotten(output):
    mine = journal(output)
    for unit in ("a", "a", "b"):
        mine.enter(unit, "decode")
    mine.forget({"a"})
    assert mine.suspects() == {"b"}


def test_a_journal_that_was_never_written_is_empty(output):
    assert Journal(output, "run").suspects() == set()
    assert Journal(output, "run").entries("u") == Entries(this_run=0, all_runs=0)


def test_a_killed_process_leaves_its_entry(tmp_path):
    program = (
        "import os, signal; from nrray.results.journal import Journal; from nrray.storage import Folder\n"
        f"journal = Journal(Folder({str(tmp_path)!r}), 'run1'); journal.create(); journal.enter('u', 'label')\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL
    assert journal(Folder(str(tmp_path))).entries("u") == Entries(this_run=1, all_runs=1)


def test_entries_are_private(tmp_path):
    entry = journal(Folder(str(tmp_path))).enter("u", "decode")
    assert os.stat(tmp_path / "journal" / entry).st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("this_run", "all_runs", "expected"), [(0, 0, False), (2, 9, False), (3, 3, True), (0, 10, True)]
)
def test_a_unit_is_exhausted_at_either_limit(this_run, all_runs, expected):
    entries = Entries(this_run=this_run, all_runs=all_runs)
    assert is_exhausted(entries, EntryLimits(per_run=3, in_all=10)) is expected
