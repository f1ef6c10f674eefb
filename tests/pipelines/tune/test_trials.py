"""Trials as their folders have them, those of the release before too."""

import json

import pyarrow as pa
import pytest

from nrray.errors import DataError
from nrray.pipelines.search_sections import Range, Scale
from nrray.pipelines.tune.job import space_text
from nrray.pipelines.tune.trials import (
    TrialStatus,
    best_by_value,
    best_trial,
    default_trial,
    is_over,
    read_trials,
    saved_share,
    searched_paths,
    trial_table,
    trial_text,
)
from nrray.train.failure import TrainingFailure, write_failure
from nrray.train.output import STOPPED_FILE
from tests.pipelines.tune.support import VALUES, make_trial, started, validated


def test_the_status_of_a_trial_is_that_of_its_folder(tmp_path):
    make_trial(tmp_path / "trial-a", validated(0, 0.9), is_finished=True)
    make_trial(tmp_path / "trial-b", validated(0, 0.8)).write_json(STOPPED_FILE, {"step": 4})
    failure = TrainingFailure(kind="TrainingError", message="the loss is no number")
    write_failure(make_trial(tmp_path / "trial-c", validated(0, 0.7)), failure)
    make_trial(tmp_path / "trial-d", validated(0, 0.6))
    (tmp_path / "trial-e").mkdir()  # it has not begun
    trials = read_trials(tmp_path)
    assert [trial.name for trial in trials] == ["trial-a", "trial-b", "trial-c", "trial-d"]
    assert [trial.status for trial in trials] == [
        TrialStatus.FINISHED,
        TrialStatus.STOPPED_EARLY,
        TrialStatus.FAILED,
        TrialStatus.UNFINISHED,
    ]
    assert [is_over(trial.folder) for trial in trials] == [True, True, False, False]
    assert trials[2].failure == failure
    assert {trial.name: trial.values for trial in trials} == dict.fromkeys([t.name for t in trials], VALUES)


def test_before_a_search_there_are_no_trials(tmp_path):
    assert read_trials(tmp_path / "trials") == []


def test_trials_are_ordered_by_macro_f1_then_by_loss_and_the_best_is_finished(tmp_path):
    make_trial(tmp_path / "trial-a", validated(0, 0.8, 0.5), is_finished=True)
    make_trial(tmp_path / "trial-b", validated(0, 0.9, 0.5))
    make_trial(tmp_path / "trial-c", validated(0, 0.7, 0.4), validated(4, 0.8, 0.4), is_finished=True)
    make_trial(tmp_path / "trial-d", started(0, 0.0), is_finished=True)
    trials = read_trials(tmp_path)
    assert [trial.name for trial in trials] == ["trial-b", "trial-c", "trial-a", "trial-d"]
    assert best_trial(trials).name == "trial-c"
    assert best_trial([trials[0], trials[3]]) is None


def test_steps_and_seconds_are_those_of_all_starts(tmp_path):
    make_trial(
        tmp_path / "trial-a",
        started(0, 100.0),
        validated(0, 0.5, unix_seconds=110.0),
        started(0, 500.0),
        validated(12, 0.8, unix_seconds=530.5),
    ).write_json(STOPPED_FILE, {"step": 12})
    make_trial(tmp_path / "trial-b", started(0, 0.0), validated(20, 0.7, unix_seconds=60.0), is_finished=True)
    trials = read_trials(tmp_path)
    assert [(t.steps, t.num_steps, t.seconds, t.best.step) for t in trials] == [(12, 20, 40.5, 12), (20, 20, 60.0, 20)]
    table = trial_table(trials)
    assert table["status"].to_pylist() == ["stopped_early", "finished"]
    assert table["adapter.rank"].to_pylist() == [8, 8]
    assert table["validation_macro_f1"].to_pylist() == [0.8, 0.7]
    assert table.schema.field("error").type == pa.string()


def test_only_trials_that_were_stopped_early_save_steps(tmp_path):
    assert saved_share([]) == 0.0
    make_trial(tmp_path / "trial-a", validated(12, 0.8)).write_json(STOPPED_FILE, {"step": 12})
    make_trial(tmp_path / "trial-b", validated(20, 0.7), is_finished=True)
    make_trial(tmp_path / "trial-c", validated(5, 0.6))  # it may go on
    make_trial(tmp_path / "trial-d", validated(8, 0.9), is_finished=True)  # no better validations: its own end
    assert saved_share(read_trials(tmp_path)) == 8 / 80


def test_a_trial_of_the_release_before_is_read(tmp_path):
    folder = tmp_path / "trial-a"
    folder.mkdir()
    moment = {"num_steps": 20, "unix_seconds": 5.0}
    history = [
        {"step": 0, **moment, "num_workers": 1},
        {"step": 10, **moment, "validation_loss": 0.2, "validation_macro_f1": 0.9, "validation_f1": {"suction": 0.9}},
    ]
    (folder / "history.jsonl").write_text("".join(json.dumps(event) + "\n" for event in history))
    (folder / "values.json").write_text(json.dumps(VALUES))
    (folder / "failure.json").write_text(json.dumps({"kind": "DataError", "message": "why"}))
    (trial,) = read_trials(tmp_path)
    assert (trial.macro_f1, trial.steps, trial.values) == (0.9, 10, VALUES)
    assert str(trial.failure) == "DataError: why"


def test_values_that_are_no_settings_are_an_error(tmp_path):
    make_trial(tmp_path / "trial-a").write_json("values.json", [1])
    with pytest.raises(DataError, match=r"values.json: expected settings with a value each"):
        read_trials(tmp_path)


def test_values_and_spaces_are_named_without_their_sections(tmp_path):
    make_trial(tmp_path / "trial-a")
    (trial,) = read_trials(tmp_path)
    assert trial_text(trial) == 'rank 8, learning_rate 0.000123, objective {"kind": "focal"}'
    space = {"adapter.rank": (8, 16), "training.learning_rate": Range(low=1e-5, high=1e-3, scale=Scale.LOG)}
    assert space_text(space) == "rank 8, 16; learning_rate 1e-05 to 0.001 (log)"


def test_a_setting_without_effect_in_a_trial_is_a_dash_and_a_missing_value(tmp_path):
    make_trial(tmp_path / "default", validated(4, 0.5), values={}, is_finished=True)
    make_trial(
        tmp_path / "trial-a", validated(4, 0.7), values={"parts.tower": "adapter", "training.tower_learning_rate": 3e-4}
    )
    make_trial(tmp_path / "trial-b", validated(4, 0.6), values={"parts.tower": "frozen"})
    trials = read_trials(tmp_path)
    paths = searched_paths(trials)
    assert [trial_text(trial, paths) for trial in trials] == [
        "tower adapter, tower_learning_rate 0.0003",
        "tower frozen, tower_learning_rate -",
        "the config's own values",
    ]
    table = trial_table(trials)
    assert table["trial"].to_pylist() == ["trial-a", "trial-b", "default"]
    assert table["training.tower_learning_rate"].to_pylist() == [3e-4, None, None]


def test_the_best_of_each_value_is_found_whether_or_not_it_was_pruned(tmp_path):
    for name, macro, tower in (("a", 0.5, "adapter"), ("b", 0.7, "adapter"), ("c", 0.6, "frozen")):
        make_trial(tmp_path / f"trial-{name}", validated(4, macro), values={"parts.tower": tower})
    make_trial(tmp_path / "trial-d", started(0, 0.0), values={"parts.tower": "whole"})  # without a score
    make_trial(tmp_path / "default", validated(4, 0.9), values={})
    trials = read_trials(tmp_path)
    found = best_by_value(trials, "parts.tower")
    assert {value: trial.name for value, trial in found.items()} == {"adapter": "trial-b", "frozen": "trial-c"}
    assert default_trial(trials) is None  # it was not finished
