"""Whatever dies, the same command completes the output to the tables of an undisturbed run."""

import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from nrray.storage import Folder
from tests.pipelines.support import (
    SMALL_UNITS,
    assert_same_tables,
    descendants,
    ledger_units,
    make_archive,
    nrray,
    started,
    wait_until,
    words,
)

NUM_UNITS = 40


class Undisturbed:
    """An archive, its manifest, and an output that nothing disturbed."""

    def __init__(self, root: Path) -> None:
        archive = make_archive(root / "archive", num_videos=4, seconds=21.0)
        scanned = nrray("scan", *words(archive=archive, output=root / "scan"))
        assert scanned.returncode == 0, scanned.stderr
        self.manifest = root / "scan" / "manifest.parquet"
        self.output = root / "undisturbed"
        finished = nrray(*self.command(self.output))
        assert finished.returncode == 0, finished.stderr
        assert ledger_units(self.output) == NUM_UNITS

    def command(self, output: Path) -> list[str]:
        return [
            "relabel",
            *words(manifest=self.manifest, output=output),
            *(w for s in SMALL_UNITS for w in ("--set", s)),
        ]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return Undisturbed(tmp_path_factory.mktemp("kill"))


def _killed_driver_then_completed(undisturbed: Undisturbed, output: Path, kill_at: list[int]) -> None:
    for units in kill_at:
        with started(*undisturbed.command(output), log=output.with_suffix(".log")) as driver:
            wait_until(lambda units=units: ledger_units(output) >= units, what=f"{units} units in the ledger")
            driver.send_signal(signal.SIGKILL)
            driver.wait(timeout=30)
        assert ledger_units(output) < NUM_UNITS
    finished = nrray(*undisturbed.command(output))
    assert finished.returncode == 0, finished.stderr
    assert ledger_units(output) == NUM_UNITS
    assert_same_tables(output, undisturbed.output)
    assert not Folder(str(output / "journal")).names()


def test_a_run_whose_driver_was_killed_is_completed_to_the_same_tables(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    _killed_driver_then_completed(undisturbed, tmp_path / "out", [random.Random(1).randint(4, 30)])


@pytest.mark.slow
def test_five_kills_of_the_driver_at_random_moments_change_nothing(undisturbed: Undisturbed, tmp_path: Path) -> None:
    moments = sorted(random.Random(2).sample(range(NUM_UNITS // 10, NUM_UNITS * 9 // 10), 5))
    _killed_driver_then_completed(undisturbed, tmp_path / "out", moments)


def _killed_worker_then_completed(
    undisturbed: Undisturbed, output: Path, text: str, moment: Callable[[], bool]
) -> None:
    with started(*undisturbed.command(output), log=output.with_suffix(".log")) as driver:
        wait_until(moment, what="the moment to kill")
        victim = wait_until(lambda: descendants(driver.pid, text), what=text)[0]
        victim.send_signal(signal.SIGKILL)
        driver.wait(timeout=400)
    # A unit that was in the killed child is a failed row that names the crash; it is tried again on request.
    finished = nrray(*undisturbed.command(output), "--retry-failed")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert_same_tables(output, undisturbed.output)


def _is_decoding(output: Path) -> bool:
    """Decoders are far ahead of labelers: when the ledger has its first units, they may be done and gone."""
    return any("~decode~" in name for name in Folder(str(output / "journal")).names())


def test_a_killed_labeler_costs_nothing(undisturbed: Undisturbed, tmp_path: Path) -> None:
    output = tmp_path / "out"
    _killed_worker_then_completed(undisturbed, output, "LabelStage", lambda: ledger_units(output) >= 5)


@pytest.mark.slow
def test_a_killed_decode_worker_costs_nothing(undisturbed: Undisturbed, tmp_path: Path) -> None:
    output = tmp_path / "out"
    _killed_worker_then_completed(undisturbed, output, "DecodeStage", lambda: _is_decoding(output))


@pytest.mark.slow
def test_a_killed_decode_child_costs_nothing(undisturbed: Undisturbed, tmp_path: Path) -> None:
    output = tmp_path / "out"
    _killed_worker_then_completed(undisturbed, output, "nrray.decode.child", lambda: _is_decoding(output))


def test_a_unit_that_kills_its_labeler_is_quarantined_and_the_rest_is_done(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    journal = Folder(str(output / "journal"))
    with started(*undisturbed.command(output), log=output.with_suffix(".log")) as driver:
        wait_until(lambda: ledger_units(output) >= 3, what="3 units in the ledger")
        victim, tried = "", set[str]()
        deaths = 0
        while deaths < 3:
            # Whoever enters the victim's labelling dies, as if the unit had killed it.
            entry = wait_until(
                lambda victim=victim: _label_entry(journal, victim, tried), what="an entry of the victim"
            )
            tried.add(entry)
            if _killed_in(entry, journal):
                victim = entry.split("~")[0]
                deaths += 1
            else:  # it was done before the signal came: another one has to die three times
                victim, deaths = "", 0
        assert driver.wait(timeout=400) == 3
    status = nrray("status", str(output), "--json")
    assert '"quarantined": 1' in status.stdout
    assert "killed_labeler" in status.stdout
    assert ledger_units(output) == NUM_UNITS
    again = nrray(*undisturbed.command(output), "--retry-failed")
    assert again.returncode == 0, again.stdout + again.stderr
    assert_same_tables(output, undisturbed.output)


def _label_entry(journal: Folder, victim: str, tried: set[str]) -> str | None:
    """A new try of the victim, or, where there is none yet, the first try of a unit."""
    tries: dict[str, list[str]] = {}
    for name in journal.names():
        tries.setdefault(name.split("~")[0], []).append(name)
    if victim:
        return next((name for name in tries.get(victim, []) if name not in tried), None)
    known = {name.split("~")[0] for name in tried}
    return next(
        (names[0] for unit, names in tries.items() if unit not in known and len(names) == 1 and "~label~" in names[0]),
        None,
    )


def _killed_in(entry: str, journal: Folder) -> bool:
    """Whether the process that made this entry died, by our signal, before it could leave it."""
    try:
        process = psutil.Process(int(entry.split("~")[3].split("-")[0]))
        process.kill()
        process.wait(timeout=30)
    except psutil.NoSuchProcess:
        return False
    return entry in journal.names()


def test_a_second_run_on_one_output_is_refused_and_harms_nothing(undisturbed: Undisturbed, tmp_path: Path) -> None:
    output = tmp_path / "out"
    with started(*undisturbed.command(output), log=output.with_suffix(".log")) as driver:
        wait_until(lambda: ledger_units(output) >= 1, what="a unit in the ledger")
        second = nrray(*undisturbed.command(output))
        assert second.returncode == 1
        assert "another run" in second.stderr
        assert driver.wait(timeout=400) == 0
    assert_same_tables(output, undisturbed.output)


@pytest.mark.slow
def test_sigterm_writes_what_is_pending(undisturbed: Undisturbed, tmp_path: Path) -> None:
    output = tmp_path / "out"
    command = [*undisturbed.command(output), *words(ledger__file_units=64, ledger__flush_seconds=1000)]
    with started(*command, log=output.with_suffix(".log")) as driver:
        # Two labelers are at two of them: eight are done. The first result alone may still be on its way to the driver.
        wait_until(lambda: _decoded_units(output) >= 10, what="ten units at the labelers")
        driver.send_signal(signal.SIGTERM)
        assert driver.wait(timeout=60) == 130
    assert ledger_units(output) > 0
    shutil.rmtree(output)


def _decoded_units(output: Path) -> int:
    seen = _decoded_units.__dict__.setdefault(str(output), set())
    seen |= {name.split("~")[0] for name in Folder(str(output / "journal")).names() if "~label~" in name}
    return len(seen)
