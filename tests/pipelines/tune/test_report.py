"""The result of a search for people and for programs."""

import json

import pytest

from nrray.console.reporter import Reporter
from nrray.metrics.jackknife import Value
from nrray.pipelines.tune.job import TuneConfig
from nrray.pipelines.tune.report import report_tune, tune_page
from nrray.pipelines.tune.results import Tuned
from nrray.pipelines.tune.trials import (
    read_trials,
)
from nrray.report.run_page import write_run_page
from nrray.storage import Folder
from nrray.train.failure import FAILURE_FILE, TrainingFailure
from nrray.train.output import STOPPED_FILE
from tests.pipelines.tune.support import make_trial, validated
from tests.report.pages import check_self_contained


def test_the_report_names_the_best_what_pruning_saved_and_the_score_on_the_test_part(tmp_path, capsys):
    adapted = {"adapter.rank": 8, "parts.tower": "adapter"}
    make_trial(tmp_path / "trials/trial-a", validated(20, 0.9), values=adapted, is_finished=True)
    stopped = make_trial(tmp_path / "trials/trial-b", validated(5, 0.5), values={"parts.tower": "frozen"})
    stopped.write_json(STOPPED_FILE, {"step": 5})
    (tmp_path / "best/adapter").mkdir(parents=True)
    trials = read_trials(tmp_path / "trials")
    config = TuneConfig.model_validate({"manifest": "m", "annotations": "a", "split": "s", "output": str(tmp_path)})
    result = Tuned(
        output=str(tmp_path),
        trials=trials,
        best=trials[0],
        test=Value(estimate=0.8, low=0.7, high=0.9),
        num_not_significantly_worse=1,
        gain=Value(estimate=0.1, low=0.05, high=0.15),
    )
    report_tune(result, config, Reporter())
    printed = " ".join(capsys.readouterr().out.split())
    assert "Pruning saved 38 % of all steps" in printed
    assert "trial-b stopped early rank -, tower frozen 0.500" in printed
    assert "Best: trial-a, rank 8, tower adapter" in printed
    gain = "Best minus default, the config's own values: macro F1 0.100 (0.050 to 0.150), adjusted for the number of trials"
    assert f"{gain}; better on these" in printed
    assert "Best macro F1 of validation by parts.tower: adapter 0.900 (trial-a), frozen 0.500 (trial-b)" in printed
    assert "1 of the other finished trials are not significantly worse" in printed
    assert "On the test part: macro F1 0.800 (0.700 to 0.900 over cases)" in printed
    report_tune(result, config, Reporter(is_json=True))
    document = json.loads(capsys.readouterr().out)
    assert document["test_macro_f1"] == {"estimate": 0.8, "low": 0.7, "high": 0.9}
    assert document["gain_over_default"] == {"estimate": 0.1, "low": 0.05, "high": 0.15}
    assert document["best_by_part"] == {"parts.tower": {"adapter": 0.9, "frozen": 0.5}}
    assert document["trials"] == {"finished": 1, "stopped_early": 1, "failed": 0, "unfinished": 0}


def test_the_page_counts_trials_and_gives_the_reason_of_each_that_failed(tmp_path):
    make_trial(tmp_path / "trials/trial-a", validated(20, 0.9), is_finished=True)
    failed = make_trial(tmp_path / "trials/trial-b")
    failed.write_json(FAILURE_FILE, TrainingFailure(kind="TrainingError", message="loss is <nan>").model_dump())
    (tmp_path / "best/adapter").mkdir(parents=True)
    trials = read_trials(tmp_path / "trials")
    config = TuneConfig.model_validate({"manifest": "m", "annotations": "a", "split": "s", "output": str(tmp_path)})
    result = Tuned(
        output=str(tmp_path), trials=trials, best=trials[0], test=None, num_not_significantly_worse=0, gain=None
    )
    reporter = Reporter(is_json=True)
    report_tune(result, config, reporter)
    write_run_page(Folder(str(tmp_path)), tune_page(result, trials[0], reporter.transcript))
    page = check_self_contained((tmp_path / "index.html").read_text(), folder=tmp_path)
    assert "1 finished, 1 failed" in page.text
    assert "trial-b trial TrainingError loss is <nan>" in page.text
    assert "Best: trial-a" in page.text


@pytest.mark.parametrize(
    ("name", "gain", "sentence"),
    [
        (
            "default",
            Value(estimate=0.0, low=0.0, high=0.0),
            "No trial was better than the default, the config's own values.",
        ),
        ("trial-a", Value(estimate=0.1, low=None, high=None), "0.100 (-); too few validation cases for an interval"),
        (
            "trial-a",
            Value(estimate=0.1, low=-0.1, high=0.2),
            "(-0.100 to 0.200), adjusted for the number of trials; these validation cases do not tell it from",
        ),
    ],
)
def test_a_gain_that_nothing_shows_is_not_claimed(name, gain, sentence, tmp_path, capsys):
    make_trial(tmp_path / "trials" / name, validated(20, 0.9), is_finished=True)
    (tmp_path / "best/adapter").mkdir(parents=True)
    trials = read_trials(tmp_path / "trials")
    config = TuneConfig.model_validate({"manifest": "m", "annotations": "a", "split": "s", "output": str(tmp_path)})
    result = Tuned(
        output=str(tmp_path), trials=trials, best=trials[0], test=None, num_not_significantly_worse=0, gain=gain
    )
    report_tune(result, config, Reporter())
    assert sentence in " ".join(capsys.readouterr().out.split())
