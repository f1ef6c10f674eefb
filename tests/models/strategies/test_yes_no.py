"""What is asked, and how answers are read, through an engine that answers from a script."""

import numpy as np
import pytest

from nrray.errors import ModelError
from nrray.labels import read_label_set
from nrray.metrics.calibration import PlattScaling
from nrray.models import CheckpointChoice, YesNoStrategy, resolve_checkpoint
from nrray.models.engines.engine import Decoding
from nrray.models.strategies.yes_no import NO, YES, yes_share
from nrray.types import STATE_INDEX, LabelState
from tests.models.strategies import scripted

LABELS = read_label_set()  # baby_visible, ventilation, stimulation, suction
PRESENT, ABSENT, UNSURE, UNPARSED = (
    STATE_INDEX[state] for state in (LabelState.PRESENT, LabelState.ABSENT, LabelState.UNSURE, LabelState.UNPARSED)
)


def labelled(strategy, script):
    return scripted.labelled(strategy, LABELS, script)


def test_every_activity_is_asked_about_with_the_instruction_behind_its_question():
    strategy = YesNoStrategy(instruction="Yes or no?", answer_tokens=3)
    engine, _ = labelled(strategy, [["yes"]] * 4)
    assert [question.text for question in engine.asked] == [
        f"{activity.question} Yes or no?" for activity in LABELS.activities
    ]
    assert {(question.choices, question.max_tokens) for question in engine.asked} == {((YES, NO), 3)}


def test_answers_are_kept_word_for_word_and_read_strictly():
    _, labels = labelled(YesNoStrategy(), [["Yes.", "no"], ["No", "perhaps"], ["yes", "yes"], ["no", "no"]])
    assert labels.answers.questions == LABELS.names
    assert labels.answers.texts == [["Yes.", "No", "yes", "no"], ["no", "perhaps", "yes", "no"]]
    assert labels.answers.states.tolist() == labels.states.tolist()
    assert labels.states.tolist() == [[PRESENT, ABSENT, PRESENT, ABSENT], [ABSENT, UNPARSED, PRESENT, ABSENT]]
    np.testing.assert_allclose(labels.scores, 0.75)


def test_the_rules_are_not_applied_to_answers():
    _, labels = labelled(YesNoStrategy(), [["no"], ["yes"], ["no"], ["yes"]])  # unseen, and exclusive
    assert labels.states.tolist() == [[ABSENT, PRESENT, ABSENT, PRESENT]]


def test_rules_that_are_applied_make_every_answer_unsure_that_contradicts_another():
    strategy = YesNoStrategy(rules="applied")
    states = np.array(
        [
            [PRESENT, PRESENT, PRESENT, PRESENT],  # exclusive
            [ABSENT, PRESENT, ABSENT, ABSENT],  # unseen
            [UNPARSED, PRESENT, ABSENT, ABSENT],  # nobody said that it is unseen
            [ABSENT, ABSENT, UNSURE, ABSENT],
        ],
        np.uint8,
    )
    nan = np.full(states.shape, np.nan, np.float32)
    assert strategy.rethresholded(nan, states, thresholds={}, label_set=LABELS).tolist() == [
        [PRESENT, UNSURE, PRESENT, UNSURE],
        [UNSURE, UNSURE, ABSENT, ABSENT],
        [UNPARSED, PRESENT, ABSENT, ABSENT],
        [ABSENT, ABSENT, UNSURE, ABSENT],
    ]
    assert YesNoStrategy().rethresholded(nan, states, thresholds={}, label_set=LABELS).tolist() == states.tolist()


def test_rules_that_are_told_and_the_preamble_stand_before_every_question():
    prompted = LABELS.model_copy(update={"prompts": LABELS.prompts.model_copy(update={"preamble": "A table."})})
    engine, _ = scripted.labelled(YesNoStrategy(rules="told"), prompted, [["yes"]] * 4)
    for question, activity in zip(engine.asked, LABELS.activities, strict=True):
        assert question.text.startswith(
            "A table. Nothing else goes on where this is not so: baby visible. At most one of"
        )
        assert f"ventilation, suction. {activity.question}" in question.text


SCORED = [[[0.6, 0.2]], [[0.2, 0.6]], [[0.3, 0.3]], [[0.3, 0.1]]]  # (yes, no) of one window, an activity each


def test_without_words_the_first_token_decides_and_its_label_mass_is_kept():
    engine, labels = labelled(YesNoStrategy(answer_tokens=0), SCORED)
    assert {question.max_tokens for question in engine.asked} == {0}
    assert labels.states.tolist() == [[PRESENT, ABSENT, PRESENT, UNPARSED]]  # the last: 0.4 of all probability
    np.testing.assert_allclose(labels.scores, [[0.75, 0.25, 0.5, 0.75]])
    assert labels.answers.texts[0][0] == "yes 0.600000024; no 0.200000003"
    assert labels.answers.states.tolist() == labels.states.tolist()


def test_the_least_label_mass_is_a_setting():
    _, labels = labelled(YesNoStrategy(answer_tokens=0, min_label_mass=0.7), SCORED)
    assert labels.states.tolist() == [[PRESENT, ABSENT, UNPARSED, UNPARSED]]


def test_a_word_that_is_no_token_leaves_no_score_and_no_answer():
    nothing = [[[np.nan, 0.9]], [[0.9, np.nan]], [[0.0, 0.0]], [[0.9, 0.0]]]
    _, labels = labelled(YesNoStrategy(answer_tokens=0, min_label_mass=0), nothing)
    assert labels.states.tolist() == [[UNPARSED, UNPARSED, UNPARSED, PRESENT]]
    np.testing.assert_array_equal(np.isnan(labels.scores), [[True, True, True, False]])


def test_a_calibration_moves_scores_and_so_states():
    strategy = YesNoStrategy(answer_tokens=0, calibration={"ventilation": {"slope": 2.0, "intercept": 3.0}})
    _, labels = labelled(strategy, SCORED)
    expected = 1 / (1 + np.exp(-(2 * np.log(0.25 / 0.75) + 3)))
    np.testing.assert_allclose(labels.scores, [[0.75, expected, 0.5, 0.75]], rtol=1e-5)
    assert labels.states.tolist() == [[PRESENT, PRESENT, PRESENT, UNPARSED]]
    scores = np.array([0.2, np.nan, 0.0, 1.0])
    np.testing.assert_allclose(PlattScaling().probabilities(scores), [0.2, np.nan, 0, 1], atol=1e-5)
    *_, least, most = PlattScaling(slope=9).probabilities(scores)
    assert 0 <= least < most <= 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_label_mass": 0.3}, "min_label_mass has no effect on answers that are spoken"),
        ({"calibration": {"suction": {}}}, "calibration has no effect on answers that are spoken"),
        ({"answer_tokens": 0, "temperature": 0.5}, "temperature=0.5 has no effect with answer_tokens=0"),
        ({"votes": 3}, "votes=3 has no effect with temperature=0"),
    ],
)
def test_settings_without_effect_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        YesNoStrategy(**settings)


def test_a_calibration_of_an_unknown_activity_is_refused():
    strategy = YesNoStrategy(answer_tokens=0, calibration={"sucking": {}})
    with pytest.raises(ModelError, match=r"strategy.calibration: found the unknown activities \['sucking'\], expected"):
        strategy.check(resolve_checkpoint(CheckpointChoice()), LABELS)


def test_a_unit_without_windows_has_no_labels():
    _, labels = labelled(YesNoStrategy(), [[]] * 4)
    assert (labels.scores.shape, labels.states.shape, labels.answers.texts) == ((0, 4), (0, 4), [])


def test_of_several_votes_the_state_that_most_give_is_taken_and_all_are_kept():
    strategy = YesNoStrategy(votes=3, temperature=0.7, seed=5)
    said = [["yes"], ["no"], ["yes"], ["hm"]], [["yes"], ["yes"], ["hm"], ["hm"]], [["no"], ["no"], ["no"], ["hm"]]
    engine, labels = labelled(strategy, [texts for vote in said for texts in vote])
    assert labels.states.tolist() == [[PRESENT, ABSENT, UNSURE, UNPARSED]]
    names = [*LABELS.names, *(f"{name}#2" for name in LABELS.names), *(f"{name}#3" for name in LABELS.names)]
    assert labels.answers.questions == tuple(names)
    assert labels.answers.texts == [[text for vote in said for [text] in vote]]
    assert engine.decoded == [Decoding(temperature=0.7, seed=5, vote=vote) for vote in range(3)]


def test_the_share_of_yes_is_not_a_number_without_such_tokens():
    nan = np.nan
    found = yes_share(np.array([[0.3, 0.1], [0.0, 0.0], [nan, 0.2], [0.2, nan]], np.float32))
    np.testing.assert_allclose(found, [0.75, nan, nan, nan])


def test_thresholds_decide_plain_answers_anew_where_there_is_one():
    scores = np.array([[0.4, 0.9, 0.2, 0.2], [0.4, 0.1, 0.2, 0.2]], np.float32)
    states = np.array([[ABSENT, PRESENT, UNPARSED, PRESENT], [PRESENT, PRESENT, ABSENT, ABSENT]], np.uint8)
    found = YesNoStrategy().rethresholded(
        scores, states, thresholds={"baby_visible": 0.3, "stimulation": 0.1}, label_set=LABELS
    )
    assert found.tolist() == [[PRESENT, PRESENT, UNPARSED, PRESENT], [PRESENT, PRESENT, PRESENT, ABSENT]]
    assert YesNoStrategy().thresholds(resolve_checkpoint(CheckpointChoice())) == {}
