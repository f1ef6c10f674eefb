"""What is claimed without ground, against counts over the rows of the tables themselves."""

from collections import defaultdict

import numpy as np
import pyarrow.parquet as pq
import pytest

from nrray.evaluate.hallucination import Mentions, caption_hallucination, contradiction
from nrray.types import STATE_INDEX, LabelState
from tests.evaluate.archives import LABELS, PATHS, TRUTH, archive, evaluated, write_annotations

YES, NO, UNREAD, UNSURE = (
    STATE_INDEX[state] for state in (LabelState.PRESENT, LabelState.ABSENT, LabelState.UNPARSED, LabelState.UNSURE)
)


def is_true(activity, window):
    return any(start <= window < end for start, end in TRUTH[activity])


@pytest.fixture
def rows(tmp_path):
    """States by (path, window) of labels that err in a tenth, with answers that are no answers; and the document."""
    random = np.random.default_rng(4)
    states = {
        path: {
            (int(window), str(activity)): str(random.choice(["unparsed", "unsure"]))
            for window, activity in zip(random.integers(0, 60, 30), random.choice(LABELS.names, 30), strict=True)
        }
        for path in PATHS
    }
    labels, reference = archive(tmp_path, states=states)
    table = pq.read_table(f"{labels}/labels.parquet").to_pylist()
    found = defaultdict(dict)
    for row in table:
        found[row["path"], row["start_us"] // 1_000_000][row["activity"]] = row["state"]
    return found, evaluated(tmp_path, labels, reference).hallucination


def test_shares_are_of_the_windows_that_they_name(rows):
    found, figures = rows
    for row in figures.activities:
        name = row.activity
        plain = {key: s[name] for key, s in found.items() if s[name] in ("present", "absent")}
        false = [state for (_, window), state in plain.items() if not is_true(name, window)]
        assert row.num_windows == len(found)
        yes_rate = sum(state == "present" for state in plain.values()) / len(plain)
        prevalence = sum(is_true(name, window) for _, window in plain) / len(plain)
        assert row.yes_rate.estimate == pytest.approx(yes_rate)
        assert row.prevalence.estimate == pytest.approx(prevalence)
        assert row.yes_difference.estimate == pytest.approx(yes_rate - prevalence)
        assert row.false_yes.estimate == pytest.approx(false.count("present") / len(false))
        for value, state in ((row.unparsed, "unparsed"), (row.unsure, "unsure")):
            assert value.estimate == pytest.approx(sum(s[name] == state for s in found.values()) / len(found))
        unseen = [state for (_, window), state in plain.items() if not is_true("baby_visible", window)]
        if name == "baby_visible":
            assert row.unseen_yes is None
        else:
            assert row.unseen_yes.estimate == pytest.approx(unseen.count("present") / len(unseen))
        for value in (row.yes_rate, row.false_yes, row.unparsed):
            assert 0 <= value.low <= value.estimate <= value.high <= 1


def test_a_window_breaks_the_rules_where_its_claims_cannot_be_true_at_once(rows):
    found, figures = rows
    broken = [
        (states["ventilation"] == states["suction"] == "present")
        or (
            states["baby_visible"] == "absent"
            and "present" in (states["ventilation"], states["stimulation"], states["suction"])
        )
        for states in found.values()
    ]
    assert 0 < sum(broken) < len(broken)
    assert figures.broken_rules.estimate == pytest.approx(sum(broken) / len(broken))


def test_annotations_have_no_windows_of_their_own_and_no_such_figures(tmp_path):
    _, reference = archive(tmp_path)
    second = write_annotations(
        tmp_path / "second", dict.fromkeys(PATHS, TRUTH), {path: [(0, 60)] for path in PATHS}, source="other"
    )
    assert evaluated(tmp_path, second, reference).hallucination is None


def test_answers_contradict_each_other_where_both_are_plain_and_differ():
    first = np.uint8([[YES], [YES], [NO], [UNREAD], [NO], [YES]])
    second = np.uint8([[YES], [NO], [YES], [YES], [UNSURE], [YES]])
    (value,) = contradiction(first, second, np.int64([0, 0, 1, 1, 2, 2]), 3)
    assert value.estimate == pytest.approx(2 / 4)
    (nothing,) = contradiction(first[3:5], second[3:5], np.int64([0, 1]), 2)
    assert nothing.estimate is None


def test_of_captions_claims_that_are_denied_and_activities_that_are_left_out_are_counted():
    claimed = np.array([[1, 1], [0, 1], [0, 0], [1, 0]], bool)
    reference = np.array([[1, 0], [0, 0], [1, 1], [1, 0]], bool)
    found = caption_hallucination(
        Mentions(claimed=claimed, reference=reference, case=np.int64([0, 0, 1, 1])), ("a", "b"), 2
    )
    assert found.denied_claims.estimate == pytest.approx(2 / 4)
    assert found.captions_with_denied.estimate == pytest.approx(2 / 4)
    assert found.omitted.estimate == pytest.approx(2 / 4)
    assert found.num_captions == 4
    assert {name: value.estimate for name, value in found.by_activity.items()} == {"a": 0.0, "b": 1.0}
