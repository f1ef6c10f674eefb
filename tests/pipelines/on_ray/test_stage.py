"""The guard around a stage, without Ray: real journals, stages that fail in every way."""

import os
import subprocess
import sys
from dataclasses import dataclass

import pytest

from nrray.errors import DecodeError, ErrorKind, LabelMemoryError
from nrray.pipelines.on_ray.stage import UnitFailure, UnitStage
from nrray.results.journal import EntryLimits, Journal
from nrray.storage import Folder
from nrray.tables import rows_from_table, table_from_rows
from nrray.types import Unit, UnitStatus


@dataclass(frozen=True, kw_only=True)
class Asked(Unit):
    earlier: int


@dataclass(frozen=True, kw_only=True)
class Told(Unit):
    status: UnitStatus
    error_kind: ErrorKind | None
    error: str | None
    attempts: int


class Stage(UnitStage[Asked, Told]):
    """Fails on units whose name says so."""

    name = "test"
    request = Asked
    result = Told
    unforeseen = ErrorKind.LABEL_FAILED

    def earlier_attempts(self, row: Asked) -> int:
        return row.earlier

    def earlier_failure(self, row: Asked) -> UnitFailure | None:
        if row.unit_id != "failed-before":
            return None
        return UnitFailure(status=UnitStatus.FAILED, error_kind=ErrorKind.EMPTY, error="before", attempts=4)

    def is_device_lost(self, error: Exception) -> bool:
        return isinstance(error, ConnectionError)

    def processed(self, row: Asked, *, attempts: int) -> Told:
        errors: dict[str, Exception] = {
            "bad-video": DecodeError(ErrorKind.NO_FRAMES, "no frames"),
            "large": LabelMemoryError("too large"),
            "surprise": ZeroDivisionError("by zero"),
            "device": ConnectionError("device-side assert"),
        }
        if row.unit_id in errors:
            raise errors[row.unit_id]
        return told(row, UnitStatus.OK, None, None, attempts)

    def failed(self, row: Asked, failure: UnitFailure) -> Told:
        return told(row, failure.status, failure.error_kind, failure.error, failure.attempts)


class Together(Stage):
    """Notes which units it was given together; a unit that kills takes the process with it."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.given: list[list[str]] = []

    def processed(self, row: Asked, *, attempts: int) -> Told:
        return self.processed_together([row], attempts=[attempts])[0]

    def processed_together(self, rows, *, attempts):
        self.given.append([row.unit_id for row in rows])
        entered = Journal(Folder(self.output), "run").suspects()
        assert {row.unit_id for row in rows} <= entered, "every unit is entered before any is tried"
        for row in rows:
            if row.unit_id == "killer":
                os._exit(9)
        return [Stage.processed(self, row, attempts=number) for row, number in zip(rows, attempts, strict=True)]


def told(row: Asked, status: UnitStatus, kind: ErrorKind | None, error: str | None, attempts: int) -> Told:
    return Told(
        unit_id=row.unit_id,
        video_id=row.video_id,
        first_window=row.first_window,
        num_windows=row.num_windows,
        status=status,
        error_kind=kind,
        error=error,
        attempts=attempts,
    )


def asked(unit_id: str, *, earlier: int = 0) -> Asked:
    return Asked(unit_id=unit_id, video_id="v", first_window=0, num_windows=1, earlier=earlier)


def outcomes(output: str, *units: Asked, limits: EntryLimits | None = None) -> list[Told]:
    stage = Stage(output=output, run_id="run", limits=limits or EntryLimits())
    return [row for table in stage(table_from_rows(units, Asked)) for row in rows_from_table(table, Told)]


@pytest.fixture
def output(tmp_path):
    Journal(Folder(str(tmp_path)), "run").create()
    return str(tmp_path)


def test_every_unit_comes_back_once_whatever_became_of_it(output):
    names = ["good", "bad-video", "large", "surprise", "failed-before"]
    found = outcomes(output, *(asked(name) for name in names))
    assert [row.unit_id for row in found] == names
    assert [(row.status, row.error_kind, row.error) for row in found] == [
        (UnitStatus.OK, None, None),
        (UnitStatus.FAILED, ErrorKind.NO_FRAMES, "no frames"),
        (UnitStatus.FAILED, ErrorKind.LABEL_MEMORY, "too large"),
        (UnitStatus.FAILED, ErrorKind.LABEL_FAILED, "ZeroDivisionError: by zero"),
        (UnitStatus.FAILED, ErrorKind.EMPTY, "before"),
    ]
    assert Journal(Folder(output), "run").suspects() == set(), "every entry is left, after a failure too"


def test_attempts_count_earlier_runs_deaths_and_this_try(output):
    journal = Journal(Folder(output), "another-run")
    for _ in range(2):
        journal.enter("good", "test")
    (row,) = outcomes(output, asked("good", earlier=3))
    assert row.attempts == 3 + 2 + 1
    (failed,) = outcomes(output, asked("large", earlier=3))
    assert failed.attempts == 3 + 1
    (passed,) = outcomes(output, asked("failed-before", earlier=3))
    assert passed.attempts == 4, "a unit that is not tried is not counted again"


@pytest.mark.parametrize(("entries", "is_tried"), [(2, True), (3, False)])
def test_a_unit_that_killed_its_process_too_often_is_quarantined_untried(output, entries, is_tried):
    journal = Journal(Folder(output), "run")
    for _ in range(entries):
        journal.enter("good", "test")
    (row,) = outcomes(output, asked("good"), limits=EntryLimits(per_run=3, in_all=10))
    if is_tried:
        assert (row.status, row.attempts) == (UnitStatus.OK, 3)
    else:
        assert (row.status, row.error_kind, row.attempts) == (UnitStatus.QUARANTINED, ErrorKind.KILLED_LABELER, 3)
        assert row.error == "tried 3 times, and each time the process that tried it died"


def together(output: str) -> Together:
    stage = Together(output=output, run_id="run", limits=EntryLimits(per_run=3, in_all=10))
    stage.output = output
    return stage


def judged(stage: Together, *names: str) -> list[Told]:
    units = [asked(name, earlier=2) for name in names]
    return [row for table in stage(table_from_rows(units, Asked)) for row in rows_from_table(table, Told)]


def test_the_units_of_a_batch_are_tried_together_and_come_back_one_by_one(output):
    stage = together(output)
    found = judged(stage, "first", "failed-before", "second", "third")
    assert stage.given == [["first", "second", "third"]]
    assert [row.unit_id for row in found] == ["first", "failed-before", "second", "third"]
    assert [row.attempts for row in found] == [3, 4, 3, 3]
    assert Journal(Folder(output), "run").suspects() == set()


def test_of_a_failing_batch_each_is_tried_alone_and_one_fails(output):
    stage = together(output)
    found = judged(stage, "first", "surprise", "third")
    assert stage.given == [["first", "surprise", "third"], ["first"], ["surprise"], ["third"]]
    assert [row.error_kind for row in found] == [None, ErrorKind.LABEL_FAILED, None]
    assert [row.attempts for row in found] == [3, 3, 3], "the batch was no try of its own"
    assert Journal(Folder(output), "run").suspects() == set()


def test_of_a_batch_whose_process_dies_the_killer_alone_is_quarantined(output):
    names = ("first", "killer", "third")
    script = f"from tests.pipelines.on_ray.test_stage import judged, together; judged(together({output!r}), *{names!r})"
    for _ in range(3):
        assert subprocess.run([sys.executable, "-c", script], check=False, timeout=120).returncode == 9
    stage = together(output)
    found = judged(stage, *names)
    assert stage.given == [["first"], ["third"]], "what was beside it is tried alone"
    assert [row.status for row in found] == [UnitStatus.OK, UnitStatus.QUARANTINED, UnitStatus.OK]
    assert [row.attempts for row in found] == [4, 5, 4]


def test_a_lost_device_ends_the_process_and_leaves_the_entry(output):
    """So that a unit that does this again and again is quarantined."""
    script = f"from tests.pipelines.on_ray.test_stage import asked, outcomes; outcomes({output!r}, asked('device'))"
    finished = subprocess.run([sys.executable, "-c", script], check=False, timeout=120)
    assert finished.returncode == 1
    assert Journal(Folder(output), "run").suspects() == {"device"}
