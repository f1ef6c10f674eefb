"""Whatever dies, the same command completes the output to the tables of an undisturbed run.

The runs share one Ray, as on a cluster; those of the five kills and the poisoned one have a private Ray each, as on a
laptop."""

import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nrray.results.ledger import Ledger
from nrray.storage import Folder
from tests.pipelines.support import (
    SMALL_UNITS,
    assert_same_tables,
    descendants,
    ledger_units,
    make_archive,
    nrray,
    one_ray,
    started,
    wait_until,
    words,
)

NUM_UNITS = 20


def ledger_index(output: Path) -> list[str]:
    ids: list[str] = Ledger(Folder(str(output))).index()["unit_id"].to_pylist()
    return ids


class Undisturbed:
    """An archive, its manifest, and an output that nothing disturbed."""

    def __init__(self, root: Path) -> None:
        archive = make_archive(root / "archive", num_videos=4, seconds=11.0)
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


@pytest.fixture(scope="module", autouse=True)
def _ray() -> Iterator[None]:
    with one_ray():
        yield


@pytest.fixture
def private_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "local")


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
    _completed(undisturbed, output)


def _completed(undisturbed: Undisturbed, output: Path) -> None:
    finished = nrray(*undisturbed.command(output))
    assert finished.returncode == 0, finished.stderr
    assert ledger_units(output) == NUM_UNITS
    assert_same_tables(output, undisturbed.output)
    assert not Folder(str(output / "journal")).names()


@pytest.mark.slow
@pytest.mark.usefixtures("private_ray")
def test_five_kills_of_the_driver_at_random_moments_change_nothing(undisturbed: Undisturbed, tmp_path: Path) -> None:
    moments = sorted(random.Random(2).sample(range(NUM_UNITS // 10, NUM_UNITS * 9 // 10), 5))
    _killed_driver_then_completed(undisturbed, tmp_path / "out", moments)


def _killed_worker_then_completed(
    undisturbed: Undisturbed, output: Path, text: str, moment: Callable[[], bool]
) -> None:
    with started(*undisturbed.command(output), log=output.with_suffix(".log")) as driver:
        wait_until(moment, what="the moment to kill")
        victim = wait_until(lambda: descendants(os.getpid(), text), what=text)[-1]
        victim.send_signal(signal.SIGKILL)
        driver.wait(timeout=400)
    # A unit that was in the killed child is a failed row that names the crash; it is tried again on request.
    finished = nrray(*undisturbed.command(output), "--retry-failed")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert_same_tables(output, undisturbed.output)


def _is_decoding(output: Path) -> bool:
    """Decoders are far ahead of labelers: when the ledger has its first units, they may be done and gone."""
    return any("~decode~" in name for name in Folder(str(output / "journal")).names())


@pytest.mark.harsh
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


# Audit hooks see what a process is about to do: the worker that has labelled the unit dies before its entry is gone.
_POISON = """
import os, signal, sys

def die(event, arguments):
    if event == "os.remove" and sys.argv[0].endswith("default_worker.py"):
        name = os.path.basename(str(arguments[0]))
        if name.startswith(os.environ["POISONED_UNIT"] + "~") and "~label~" in name:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(die)
"""


@pytest.mark.harsh
def test_a_killed_run_goes_on_and_a_unit_that_kills_its_labeler_is_quarantined(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    output, poison = tmp_path / "out", tmp_path / "poison"
    with started(*undisturbed.command(output), log=output.with_suffix(".log")) as driver:
        wait_until(lambda: ledger_units(output) >= 3, what="3 units in the ledger")
        driver.send_signal(signal.SIGSTOP)  # it is alive, and will not be done before the second one has looked
        second = nrray(*undisturbed.command(output))
        assert second.returncode == 1
        assert "another run" in second.stderr
        driver.send_signal(signal.SIGKILL)
        driver.wait(timeout=30)
    kept = ledger_index(output)
    poison.mkdir()
    (poison / "sitecustomize.py").write_text(_POISON)
    missing = sorted(set(ledger_index(undisturbed.output)) - set(kept))
    path = os.pathsep.join([str(poison), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {"PYTHONPATH": path, "POISONED_UNIT": missing[len(missing) // 2], "RAY_ADDRESS": "local"}
    poisoned = nrray(*undisturbed.command(output), env=environment)
    assert poisoned.returncode == 3, poisoned.stdout + poisoned.stderr
    assert f"{len(kept)} of {NUM_UNITS} units are in the ledger" in poisoned.stdout
    status = nrray("status", str(output), "--json")
    assert '"quarantined": 1' in status.stdout
    assert "killed_labeler" in status.stdout
    assert len(ledger_index(output)) == NUM_UNITS
    again = nrray(*undisturbed.command(output), "--retry-failed")
    assert again.returncode == 0, again.stdout + again.stderr
    assert_same_tables(output, undisturbed.output)
    assert not Folder(str(output / "journal")).names()


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
