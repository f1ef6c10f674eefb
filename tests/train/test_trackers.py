"""Trackers show the measured numbers of a history, on disk alone, and go on when a training does."""

import pytest

from nrray.errors import ConfigError
from nrray.train import trackers
from nrray.train.history import TrainingStarted, Validated
from nrray.train.trackers import TrackerKind, check_trackers, numbers, opened_trackers

SETTINGS = {"training": {"seed": 3, "objective": {"kind": "focal"}}, "timesformer": None}


def shown(kind, folder, *, first, steps):
    """One call of a training that shows `steps` from `first`."""
    (tracker,) = opened_trackers([kind], folder, name="mine", settings=SETTINGS)
    tracker.begin(first)
    for step in steps:
        tracker.log(step, {"loss": 1.0 / (step + 1), "validation_f1/suction": 0.5})
    tracker.close()


MOMENT = {"step": 4, "num_steps": 8, "unix_seconds": 1.5}


def test_numbers_of_an_event_are_named_by_path():
    validated = Validated(
        **MOMENT,
        validation_loss=0.25,
        validation_macro_f1=None,
        validation_f1={"suction": 0.5, "ventilation": None},
    )
    assert numbers(validated) == {"validation_loss": 0.25, "validation_f1/suction": 0.5}
    started = TrainingStarted(**MOMENT, num_workers=2, unreadable_checkpoints=("step-1",))
    assert numbers(started) == {"num_workers": 2.0}


def test_tensorboard_reads_what_was_logged_and_forgets_what_was_done_again(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    shown(TrackerKind.TENSORBOARD, tmp_path, first=0, steps=[0, 10, 20])
    shown(TrackerKind.TENSORBOARD, tmp_path, first=20, steps=[20, 30])
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("loss")] == [0, 10, 20, 30]
    assert events.Scalars("loss")[-1].value == pytest.approx(1 / 31)
    assert events.Tags()["scalars"] == ["loss", "validation_f1/suction"]
    text = events.Tensors("settings/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "| training/objective/kind | focal |" in text


def test_mlflow_keeps_one_run_over_two_calls(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    shown(TrackerKind.MLFLOW, tmp_path, first=0, steps=[0, 10])
    shown(TrackerKind.MLFLOW, tmp_path, first=10, steps=[20])
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow/mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("nrray").experiment_id])
    assert [metric.step for metric in client.get_metric_history(run.info.run_id, "loss")] == [0, 10, 20]
    assert run.data.params["training/seed"] == "3"
    assert run.info.status == "FINISHED"


def test_wandb_writes_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    shown(TrackerKind.WANDB, tmp_path, first=0, steps=[0, 10])
    assert list(tmp_path.glob("wandb/wandb/offline-run-*/run-*.wandb"))


def test_a_tracker_that_is_not_installed_is_said_before_anything_is_done(monkeypatch):
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"mlflow is not installed .* pip install 'nrray\[mlflow\]'"):
        check_trackers([TrackerKind.MLFLOW])
