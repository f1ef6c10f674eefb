"""The result of a search for people and for programs."""

import json

from nrray.console.reporter import Reporter
from nrray.evaluate.resampling import Value
from nrray.pipelines.tune.job import TuneConfig
from nrray.pipelines.tune.report import report_tune
from nrray.pipelines.tune.results import Tuned
from nrray.pipelines.tune.trials import (
    read_trials,
)
from nrray.train.output import STOPPED_FILE
from tests.pipelines.tune.support import make_trial, validated


def test_the_report_names_the_best_what_pruning_saved_and_the_score_on_the_test_part(tmp_path, capsys):
    make_trial(tmp_path / "trials/trial-a", validated(20, 0.9), is_finished=True)
    make_trial(tmp_path / "trials/trial-b", validated(5, 0.5)).write_json(STOPPED_FILE, {"step": 5})
    (tmp_path / "best/adapter").mkdir(parents=True)
    trials = read_trials(tmp_path / "trials")
    config = TuneConfig.model_validate({"manifest": "m", "annotations": "a", "split": "s", "output": str(tmp_path)})
    result = Tuned(
        output=str(tmp_path),
        trials=trials,
        best=trials[0],
        test=Value(estimate=0.8, low=0.7, high=0.9),
        num_not_significantly_worse=1,
    )
    report_tune(result, config, Reporter())
    printed = " ".join(capsys.readouterr().out.split())
    assert "Pruning saved 38 % of all steps" in printed
    assert "Best: trial-a, rank 8" in printed
    assert "1 of the other finished trials are not significantly worse" in printed
    assert "On the test part: macro F1 0.800 (0.700 to 0.900 over cases)" in printed
    report_tune(result, config, Reporter(is_json=True))
    document = json.loads(capsys.readouterr().out)
    assert document["test_macro_f1"] == {"estimate": 0.8, "low": 0.7, "high": 0.9}
    assert document["trials"] == {"finished": 1, "stopped_early": 1, "failed": 0, "unfinished": 0}
