"""history.jsonl: an event of a named type a line, also where the release before wrote it."""

import json

import pytest

from nrray.errors import DataError
from nrray.storage import Folder
from nrray.train.history import (
    HISTORY_FILE,
    StepMeasured,
    TrainingStarted,
    Validated,
    best_validation,
    read_history,
    validations,
    write_history,
)

MOMENT = {"num_steps": 26, "unix_seconds": 1.5}
MEASURED = {"learning_rate": 1e-4, "gradient_norm": 0.5, "windows_per_second": 19.0, "seconds_left": 13.5}
EVENTS = [
    TrainingStarted(step=0, **MOMENT, num_workers=2, unreadable_checkpoints=("step-1 (cut)",)),
    Validated(
        step=0,
        **MOMENT,
        validation_loss=0.2,
        validation_macro_f1=None,
        validation_f1={"suction": 1.0, "ventilation": None},
    ),
    StepMeasured(step=10, **MOMENT, loss=0.1, **MEASURED),
]


@pytest.fixture
def output(tmp_path):
    return Folder(str(tmp_path))


def validated(step, macro, loss):
    return Validated(step=step, **MOMENT, validation_loss=loss, validation_macro_f1=macro)


def test_events_are_read_back_as_they_were_written(output):
    write_history(output, EVENTS)
    assert read_history(output) == EVENTS
    lines = [json.loads(line) for line in output.read_bytes(HISTORY_FILE).splitlines()]
    assert [line["event"] for line in lines] == ["started", "validated", "steps"]


def test_before_a_training_begins_its_history_is_empty(output):
    assert read_history(output) == []


def test_lines_without_an_event_are_told_apart_by_their_keys(output):
    lines = [
        {"step": 0, **MOMENT, "num_workers": 2},
        {"step": 4, **MOMENT, "num_workers": 1, "unreadable_checkpoints": ["step-5 (cut)"]},
        {"step": 4, **MOMENT, "validation_loss": 0.2, "validation_macro_f1": 0.5, "validation_f1": {"suction": 0.5}},
        {"step": 10, **MOMENT, "loss": 0.1, **MEASURED},
    ]
    output.write_bytes(HISTORY_FILE, "".join(json.dumps(line) + "\n" for line in lines).encode())
    assert read_history(output) == [
        TrainingStarted(step=0, **MOMENT, num_workers=2),
        TrainingStarted(step=4, **MOMENT, num_workers=1, unreadable_checkpoints=("step-5 (cut)",)),
        Validated(step=4, **MOMENT, validation_loss=0.2, validation_macro_f1=0.5, validation_f1={"suction": 0.5}),
        StepMeasured(step=10, **MOMENT, loss=0.1, **MEASURED),
    ]


@pytest.mark.parametrize(
    "line", ["{", "[]", "{}", '{"step": 1}', '{"event": "other", "step": 1}', '{"event": "started", "step": "one"}']
)
def test_a_line_that_is_no_event_is_an_error(output, line):
    output.write_bytes(HISTORY_FILE, line.encode() + b"\n")
    with pytest.raises(DataError, match=r"history.jsonl is damaged"):
        read_history(output)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([], None),
        ([(0, None, 0.5)], None),
        ([(0, 0.5, 0.9), (4, 0.7, 0.9), (8, 0.6, 0.1)], 4),
        ([(0, 0.7, 0.5), (4, 0.7, 0.4), (8, 0.7, 0.4)], 4),  # of equal ones the lowest loss, the first of those
        ([(0, 0.8, 0.5), (4, None, 0.0), (8, 0.8, 0.6)], 0),
    ],
)
def test_the_best_validation_is_of_the_highest_macro_f1_then_of_the_lowest_loss(found, expected):
    best = best_validation([EVENTS[0], *(validated(*values) for values in found), EVENTS[2]])
    assert (None if best is None else best.step) == expected


def test_validations_are_in_order():
    history = [EVENTS[0], validated(0, 0.5, 0.1), EVENTS[2], validated(4, 0.4, 0.1)]
    assert [event.step for event in validations(history)] == [0, 4]
