import numpy as np

from nrray.labels import read_label_set
from nrray.models.rules import restated_answers, states_from_scores
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


def test_stimulation_may_go_on_with_either():
    assert present([0.9, 0.7, 0.8, 0.1]) == [True, True, True, False]
    assert present([0.9, 0.1, 0.8, 0.7]) == [True, False, True, True]


def test_states_keep_the_shape_of_no_windows():
    empty = np.zeros((0, 4), dtype=np.float32)
    assert states_from_scores(empty, thresholds=HALF, label_set=LABELS).shape == (0, 4)


def test_other_thresholds_decide_plain_answers_anew_and_leave_the_rest():
    present, absent, unparsed = (
        STATE_INDEX[state] for state in (LabelState.PRESENT, LabelState.ABSENT, LabelState.UNPARSED)
    )
    scores = np.array([[0.4, 0.4], [0.2, 0.9], [0.9, np.nan], [0.9, 0.9]], np.float32)
    states = np.array([[absent, absent], [present, present], [unparsed, present], [absent, absent]], np.uint8)
    found = restated_answers(scores, states, thresholds=np.array([0.3, np.nan], np.float32))
    assert found.tolist() == [[present, absent], [absent, present], [unparsed, present], [present, absent]]
