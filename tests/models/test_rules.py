import numpy as np
import pytest

from nrray.labels import LabelSet, read_label_set
from nrray.models.rules import apply_rules, rethresholded_answers, states_from_scores
from nrray.types import STATE_INDEX, LabelState

LABELS = read_label_set()  # baby_visible, ventilation, stimulation, suction
HALF = np.full(4, 0.5, dtype=np.float32)


def present(scores, thresholds=HALF):
    states = states_from_scores(np.array([scores], dtype=np.float32), thresholds=thresholds, label_set=LABELS)
    return list(states[0] == STATE_INDEX[LabelState.PRESENT])


def test_a_score_at_its_threshold_is_present_and_one_below_is_absent():
    assert present([0.5, 0.49, 0.5, 0.1]) == [True, False, True, False]


def test_nothing_is_present_while_the_baby_is_not_visible():
    assert present([0.4, 0.9, 0.9, 0.2]) == [False, False, False, False]


def test_of_an_exclusive_pair_the_one_further_above_its_threshold_stays():
    assert present([0.9, 0.7, 0.1, 0.8]) == [True, False, False, True]
    # 0.7 is 2/5 of the way from 0.5 to 1, 0.8 only 1/5 of the way from 0.75
    uneven = np.array([0.5, 0.5, 0.5, 0.75], dtype=np.float32)
    assert present([0.9, 0.7, 0.1, 0.8], uneven) == [True, True, False, False]


def test_the_way_above_a_threshold_is_a_share_of_the_way_to_one():
    # 0.85 is half of the way from 0.7 to 1, 0.7 is 2/5 of the way from 0.5, though further in points
    uneven = np.array([0.5, 0.5, 0.5, 0.7], dtype=np.float32)
    assert present([0.9, 0.7, 0.1, 0.85], uneven) == [True, False, False, True]


def test_of_an_exclusive_pair_a_tie_keeps_the_first_of_the_rule():
    assert LABELS.rules.exclusive == (("ventilation", "suction"),)
    assert present([0.9, 0.8, 0.1, 0.8]) == [True, True, False, False]
    reversed_rules = LABELS.rules.model_copy(update={"exclusive": (("suction", "ventilation"),)})
    states = states_from_scores(
        np.array([[0.9, 0.8, 0.1, 0.8]], np.float32),
        thresholds=HALF,
        label_set=LABELS.model_copy(update={"rules": reversed_rules}),
    )
    assert (states[0] == STATE_INDEX[LabelState.PRESENT]).tolist() == [True, False, False, True]


def test_a_threshold_of_one_is_reached_by_certainty_alone():
    assert present([0.9, 0.9, 0.1, 1.0], np.array([0.5, 0.5, 0.5, 1.0], np.float32)) == [True, True, False, False]


def test_stimulation_may_go_on_with_either():
    assert present([0.9, 0.7, 0.8, 0.1]) == [True, True, True, False]
    assert present([0.9, 0.1, 0.8, 0.7]) == [True, False, True, True]


def test_states_keep_the_shape_of_no_windows():
    empty = np.zeros((0, 4), dtype=np.float32)
    assert states_from_scores(empty, thresholds=HALF, label_set=LABELS).shape == (0, 4)


def states_named(*names):
    return [STATE_INDEX[LabelState(name)] for name in names]


def test_other_thresholds_decide_plain_answers_anew_and_leave_the_rest():
    present, absent, unparsed = states_named("present", "absent", "unparsed")
    scores = np.array([[0.4, 0.4], [0.2, 0.9], [0.9, np.nan], [0.9, 0.9]], np.float32)
    states = np.array([[absent, absent], [present, present], [unparsed, present], [absent, absent]], np.uint8)
    found = rethresholded_answers(scores, states, thresholds=np.array([0.3, np.nan], np.float32))
    assert found.tolist() == [[present, absent], [absent, present], [unparsed, present], [present, absent]]


def test_an_answer_at_the_new_threshold_is_present():
    present, absent = states_named("present", "absent")
    found = rethresholded_answers(np.float32([[0.3]]), np.uint8([[absent]]), thresholds=np.float32([0.3]))
    assert found.tolist() == [[present]]


@pytest.mark.parametrize("state", ["unsure", "unparsed", "not_assessable"])
@pytest.mark.parametrize("score", [0.0, 1.0, np.nan])
def test_what_is_neither_yes_nor_no_stays_as_it_is_whatever_the_score(state, score):
    states = np.array([states_named(state)], np.uint8)
    found = rethresholded_answers(np.float32([[score]]), states, thresholds=np.float32([0.5]))
    assert found.tolist() == states.tolist()


@pytest.mark.parametrize("state", ["present", "absent"])
def test_an_answer_without_a_score_keeps_its_state(state):
    states = np.array([states_named(state)], np.uint8)
    found = rethresholded_answers(np.float32([[np.nan]]), states, thresholds=np.float32([0.5]))
    assert found.tolist() == states.tolist()


def test_the_rules_leave_the_claims_that_they_are_given_as_they_are():
    claims, scores = np.array([[True, True, False, True]]), np.float32([[0.9, 0.6, 0.1, 0.7]])
    kept = apply_rules(claims, scores=scores, thresholds=HALF, label_set=LABELS)
    assert kept.tolist() == [[True, False, False, True]]
    assert claims.tolist() == [[True, True, False, True]]


def test_of_an_exclusive_group_of_phases_the_one_furthest_above_its_threshold_stays():
    activities = tuple({"name": name, "question": "?"} for name in "abcd")
    phases = LabelSet(name="phases", activities=activities, rules={"exclusive": (("a", "b", "c"),)})
    scores = np.float32([[0.6, 0.8, 0.7, 0.9], [0.7, 0.6, 0.7, 0.1], [0.4, 0.2, 0.6, 0.6], [0.4, 0.2, 0.3, 0.6]])
    kept = apply_rules(scores >= HALF, scores=scores, thresholds=HALF, label_set=phases)
    assert kept.tolist() == [
        [False, True, False, True],
        [True, False, False, False],  # a tie keeps the group's first
        [False, False, True, True],
        [False, False, False, True],
    ]
