"""States of a training: read back whole, compared by their header alone."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from nrray.errors import DataError
from nrray.storage import Folder
from nrray.train.history import StepMeasured, TrainingStarted, Validated
from nrray.train.progress import Progress
from nrray.train.state import STATES, Records, TrainingState
from tests.bytes_read import bytes_read

MOMENT = {"step": 4, "num_steps": 26, "unix_seconds": 1.5}
PROGRESS = Progress(
    step=4,
    recent_losses=(0.5, 0.25),
    history=(
        TrainingStarted(**MOMENT, num_workers=1, unreadable_checkpoints=("step-5 (cut)",)),
        StepMeasured(
            **MOMENT, loss=0.1, learning_rate=1e-4, gradient_norm=0.5, windows_per_second=19.0, seconds_left=13.5
        ),
        Validated(**MOMENT, validation_loss=0.2, validation_macro_f1=None, validation_f1={"suction": None}),
    ),
)
IDENTITY = {"model": "m", "training": {"seed": 0}}


@pytest.fixture
def output(tmp_path):
    return Folder(str(tmp_path))


def state(num_values=10, progress=PROGRESS):
    return TrainingState(progress=progress, tensors={"weights/a": torch.arange(num_values, dtype=torch.float32)})


def test_a_state_is_read_back_as_it_was_written(output):
    Records(output, IDENTITY).write_state(state())
    found, unreadable = Records(output, IDENTITY).read_state()
    assert unreadable == []
    assert found.progress == PROGRESS
    np.testing.assert_array_equal(found.tensors["weights/a"], np.arange(10))


def test_of_a_checkpoint_only_the_header_is_read_to_compare_identities(output):
    records = Records(output, IDENTITY)
    records.write_state(state(num_values=2**20))
    with bytes_read() as count:
        records.check_identity(undecided={"dropped"})
    assert count() < 2**17
    with pytest.raises(DataError, match=r"other settings: training.seed \(there 0, here 1\)"):
        Records(output, {"model": "m", "training": {"seed": 1}}).check_identity(undecided={"dropped"})


def test_a_key_that_is_undecided_is_not_compared(output):
    Records(output, {**IDENTITY, "dropped": ["x"]}).write_state(state())
    Records(output, IDENTITY).check_identity(undecided={"dropped"})
    with pytest.raises(DataError, match=r"dropped \(there \['x'\], here None\)"):
        Records(output, IDENTITY).read_state()


def test_a_training_does_not_go_on_from_a_state_that_has_seen_other_pixels(output):
    frames = {"a.mp4": "01", "b.mp4": "02"}
    Records(output, {**IDENTITY, "frames": frames}).write_state(state())
    records = Records(output, {**IDENTITY, "frames": {**frames, "b.mp4": "03"}})
    records.check_identity()  # before frames are on disk
    with pytest.raises(DataError, match=r"other pixels of 1 video, such as b\.mp4: .*train into another output"):
        records.read_state()
    assert Records(output, {**IDENTITY, "frames": frames}).read_state()[0] is not None


def test_a_state_that_notes_no_pixels_is_gone_on_from(output):
    Records(output, IDENTITY).write_state(state())
    assert Records(output, {**IDENTITY, "frames": {"a.mp4": "01"}}).read_state()[0] is not None


@pytest.mark.parametrize(
    "content", [b"", b"\x01", b"\xff" * 100, b"\x02" + bytes(7) + b"{}", b"\x03" + bytes(7) + b"{}"]
)
def test_a_checkpoint_without_a_header_is_passed_over_where_identities_are_compared(output, content):
    Records(output, IDENTITY).write_state(state())
    (output / STATES).write_bytes("step-00000009.safetensors", content)
    Records(output, IDENTITY).check_identity(undecided={"dropped"})
    with pytest.raises(DataError, match=r"other settings"):
        Records(output, {"model": "n", "training": {"seed": 0}}).check_identity(undecided={"dropped"})


def test_a_state_of_the_release_before_is_gone_on_from(output):
    records = Records(output, IDENTITY)
    records.write_state(state())
    folder = output / STATES
    (name,) = folder.names()
    data = folder.read_bytes(name)
    length = int.from_bytes(data[:8], "little")
    facts = json.loads(data[8 : 8 + length])["__metadata__"]
    old = {
        "step": 4,
        "best_step": 4,
        "best_macro_f1": 0.5,
        "best_loss": 0.2,
        "validations_without_better": 0,
        "recent_losses": [0.5],
        "history": [
            {**MOMENT, "num_workers": 1},
            {**MOMENT, "validation_loss": 0.2, "validation_macro_f1": 0.5, "validation_f1": {"suction": 0.5}},
        ],
    }
    folder.write_bytes(name, save(load(data), metadata={**facts, "progress": json.dumps(old)}))
    found, unreadable = records.read_state()
    assert unreadable == []
    assert (found.progress.step, found.progress.recent_losses) == (4, (0.5,))
    assert (found.progress.best.step, found.progress.best.validation_macro_f1) == (4, 0.5)
    assert isinstance(found.progress.history[0], TrainingStarted)
