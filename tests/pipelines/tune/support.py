"""Trials by hand: folders as a search leaves them."""

from nrray.pipelines.tune.trials import begin_trial
from nrray.storage import Folder
from nrray.train.history import TrainingStarted, Validated, write_history

VALUES = {"adapter.rank": 8, "training.learning_rate": 0.00012345, "training.objective": {"kind": "focal"}}


def started(step, unix_seconds):
    return TrainingStarted(step=step, num_steps=20, unix_seconds=unix_seconds, num_workers=1)


def validated(step, macro, loss=0.25, unix_seconds=0.0):
    return Validated(
        step=step, num_steps=20, unix_seconds=unix_seconds, validation_loss=loss, validation_macro_f1=macro
    )


def make_trial(folder, *events, values=VALUES, is_finished=False):
    begin_trial(folder, values)
    write_history(Folder(str(folder)), events)
    if is_finished:
        (folder / "adapter").mkdir()
    return Folder(str(folder))
