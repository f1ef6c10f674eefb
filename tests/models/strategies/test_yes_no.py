"""What is asked, and how answers are read: through an engine that answers from a script, then through a real one."""

import numpy as np
import pytest

from nrray.labels import read_label_set
from nrray.models import CheckpointChoice, Execution, YesNoStrategy, resolve_checkpoint
from nrray.models.engines.engine import Answers
from nrray.models.measure import synthetic_frames
from nrray.models.strategies.answers import parse_answer
from nrray.models.strategies.yes_no import NO, YES, YesNoLabeler, yes_share
from nrray.types import STATE_INDEX, LabelState
from tests.model_fixtures import labeler_of

LABELS = read_label_set()  # baby_visible, ventilation, stimulation, suction
PRESENT, ABSENT, UNPARSED = (
    STATE_INDEX[state] for state in (LabelState.PRESENT, LabelState.ABSENT, LabelState.UNPARSED)
)


class Scripted:
    """An engine that gives each question the next texts of its script."""

    info = None

    def __init__(self, script):
        self.script, self.asked = iter(script), []

    def answers(self, frames, *, question, choices, max_tokens):
        self.asked.append((question, choices, max_tokens))
        texts = next(self.script)
        return Answers(texts=texts, probabilities=np.tile(np.float32([0.3, 0.1]), (len(texts), 1)))


def labelled(strategy, sampling, texts):
    engine = Scripted(texts)
    frames = synthetic_frames(sampling, num_windows=len(texts[0]))
    prompts = strategy.prompts(resolve_checkpoint(CheckpointChoice()), LABELS)
    labeler = YesNoLabeler(engine, list(prompts.values()), answer_tokens=strategy.answer_tokens)
    return engine, labeler.label(frames)


def test_every_activity_is_asked_about_with_the_instruction_behind_its_question(small_sampling):
    strategy = YesNoStrategy(instruction="Yes or no?", answer_tokens=3)
    engine, _ = labelled(strategy, small_sampling, [["yes"]] * 4)
    assert engine.asked == [(f"{activity.question} Yes or no?", (YES, NO), 3) for activity in LABELS.activities]


def test_answers_are_kept_word_for_word_and_read_strictly(small_sampling):
    _, labels = labelled(
        YesNoStrategy(), small_sampling, [["Yes.", "no"], ["No", "perhaps"], ["yes", "yes"], ["no", "no"]]
    )
    assert labels.answers == [["Yes.", "No", "yes", "no"], ["no", "perhaps", "yes", "no"]]
    assert labels.states.tolist() == [[PRESENT, ABSENT, PRESENT, ABSENT], [ABSENT, UNPARSED, PRESENT, ABSENT]]
    np.testing.assert_allclose(labels.scores, 0.75)


def test_the_rules_are_not_applied_to_answers(small_sampling):
    _, labels = labelled(YesNoStrategy(), small_sampling, [["no"], ["yes"], ["no"], ["yes"]])  # unseen, and exclusive
    assert labels.states.tolist() == [[ABSENT, PRESENT, ABSENT, PRESENT]]


def test_a_unit_without_windows_has_no_labels(small_sampling):
    engine = Scripted([[]] * 4)
    unit = synthetic_frames(small_sampling, num_windows=1)
    labels = YesNoLabeler(engine, ["?"] * 4, answer_tokens=8).label(unit)
    assert (labels.scores.shape, labels.states.shape, labels.answers) == ((0, 4), (0, 4), [])


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


@pytest.mark.parametrize("folder", ["image_folder", "video_folder"])
def test_a_checkpoint_without_a_head_is_asked_and_its_answers_are_kept(request, folder, label_set, small_sampling):
    labeler = labeler_of(request.getfixturevalue(folder), label_set)
    labels = labeler.label(synthetic_frames(small_sampling, num_windows=3))
    assert labeler.info.sampling is None
    assert [len(row) for row in labels.answers] == [4, 4, 4]
    parsed = [[STATE_INDEX[parse_answer(answer)] for answer in row] for row in labels.answers]
    np.testing.assert_array_equal(labels.states, parsed)
    assert ((labels.scores >= 0) & (labels.scores <= 1)).all()


def test_a_checkpoint_with_a_head_can_be_asked_in_words_too(label_set):
    checkpoint = resolve_checkpoint(CheckpointChoice())
    labeler = YesNoStrategy().labeler(checkpoint, label_set=label_set, execution=Execution())
    labels = labeler.label(synthetic_frames(labeler.info.sampling, num_windows=2))
    assert {answer.lower() for row in labels.answers for answer in row} <= {"yes", "no"}
