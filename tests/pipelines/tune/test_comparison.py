"""Which trials are not significantly worse than the best."""

import io

import numpy as np
import pytest
from sklearn.metrics import f1_score

from nrray.labels import Activity, LabelSet
from nrray.models.metadata import CheckpointMetadata, Pooling, trained_labels, write_metadata
from nrray.pipelines.tune.comparison import macro_f1_gain, not_significantly_worse
from nrray.pipelines.tune.trials import (
    read_trials,
)
from nrray.sampling import Sampling
from nrray.train.output import VALIDATION_FILE
from tests.pipelines.tune.support import make_trial, validated

LABEL_SET = LabelSet(
    name="set",
    activities=tuple(
        Activity(name=name, definition="d", starts="s", ends="e", question="q?") for name in ("suction", "ventilation")
    ),
)


def finished_trial(folder, macro, logits, targets, cases):
    output = make_trial(folder, validated(0, macro), is_finished=True)
    buffer = io.BytesIO()
    np.savez(buffer, logits=logits, targets=targets, cases=cases)
    output.write_bytes(VALIDATION_FILE, buffer.getvalue())
    metadata = CheckpointMetadata(
        name="a",
        base=None,
        labels=trained_labels(LABEL_SET),
        sampling=Sampling.model_validate({}),
        prompt="p",
        pooling=Pooling.MEAN_FRAMES,
        thresholds=dict.fromkeys(LABEL_SET.names, 0.5),
        temperatures=dict.fromkeys(LABEL_SET.names, 1.0),
    )
    write_metadata(metadata, folder / "adapter")


def test_a_trial_is_significantly_worse_only_where_nearly_all_cases_say_so(tmp_path):
    rng = np.random.default_rng(0)
    cases = np.repeat(np.arange(8), 25)
    targets = rng.random((200, 2)) < 0.5
    right = np.where(targets, 3.0, -3.0).astype(np.float32)
    equal, one_case, many = right.copy(), right.copy(), right.copy()
    equal[rng.random((200, 2)) < 0.02] *= -1
    best = right.copy()
    best[rng.random((200, 2)) < 0.02] *= -1
    one_case[cases == 0] *= -1  # wrong in one of eight cases: another draw of cases might lack it
    many[rng.random((200, 2)) < 0.3] *= -1
    for name, macro, logits in (("a", 0.98, best), ("b", 0.97, equal), ("c", 0.9, one_case), ("d", 0.7, many)):
        finished_trial(tmp_path / f"trial-{name}", macro, logits, targets, cases)
    make_trial(tmp_path / "trial-e", validated(0, 0.96))  # it was not finished
    trials = read_trials(tmp_path)
    worst = next(trial for trial in trials if trial.name == "trial-d")
    gain = macro_f1_gain(trials[0], worst, LABEL_SET)
    expected = f1_score(targets, best > 0, average="macro") - f1_score(targets, many > 0, average="macro")
    assert gain.estimate == pytest.approx(expected)
    assert 0 < gain.low < gain.estimate < gain.high
    assert macro_f1_gain(worst, trials[0], LABEL_SET).estimate == -gain.estimate
    adjusted = macro_f1_gain(trials[0], worst, LABEL_SET, num_adjusted_for=10)
    assert adjusted.low < gain.low < gain.high < adjusted.high
    found = not_significantly_worse(trials[0], trials, LABEL_SET)
    assert [trial.name for trial in found] == ["trial-b", "trial-c"]
