"""What is asked, and how answers are read: through an engine that answers from a script, then through a real one."""

import numpy as np
import pytest

from nrray.labels import read_label_set
from nrray.models import CheckpointChoice, Execution, YesNoStrategy, resolve_checkpoint
from nrray.models.engines.engine import Decoding, Replies
from nrray.models.measure import synthetic_frames
from nrray.models.strategies.answers import parse_answer
from nrray.models.strategies.prompted import PromptedLabeler
from nrray.models.strategies.yes_no import NO, YES, yes_share
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
        self.script, self.asked, self.decoded = iter(script), [], []

    def ask(self, frames, questions, *, decoding):
        self.asked += [(question.text, question.choices, question.max_tokens) for question in questions]
        self.decoded.append(decoding)
        by_question = [next(self.script) for _ in questions]
        shape = (len(by_question[0]), len(questions))
        return Replies(
            texts=[list(texts) for texts in zip(*by_question, strict=True)],
            probabilities=[np.tile(np.float32([0.3, 0.1]), (shape[0], 1)) for _ in questions],
            num_tokens=np.ones(shape, np.int32),
            seconds=np.zeros(shape, np.float32),
        )


def labelled(strategy, sampling, texts):
    engine = Scripted(texts)
    frames = synthetic_frames(sampling, num_windows=len(texts[0]))
    questions = strategy.asked(resolve_checkpoint(CheckpointChoice()), LABELS)
    return engine, PromptedLabeler(engine, strategy, questions, label_set=LABELS).label(frames)


def test_every_activity_is_asked_about_with_the_instruction_behind_its_question(small_sampling):
    strategy = YesNoStrategy(instruction="Yes or no?", answer_tokens=3)
    engine, _ = labelled(strategy, small_sampling, [["yes"]] * 4)
    assert engine.asked == [(f"{activity.question} Yes or no?", (YES, NO), 3) for activity in LABELS.activities]


def test_answers_are_kept_word_for_word_and_read_strictly(small_sampling):
    _, labels = labelled(
        YesNoStrategy(), small_sampling, [["Yes.", "no"], ["No", "perhaps"], ["yes", "yes"], ["no", "no"]]
    )
    assert labels.answers.questions == LABELS.names
    assert labels.answers.texts == [["Yes.", "No", "yes", "no"], ["no", "perhaps", "yes", "no"]]
    assert labels.answers.states.tolist() == labels.states.tolist()
    assert labels.states.tolist() == [[PRESENT, ABSENT, PRESENT, ABSENT], [ABSENT, UNPARSED, PRESENT, ABSENT]]
    np.testing.assert_allclose(labels.scores, 0.75)


def test_the_rules_are_not_applied_to_answers(small_sampling):
    _, labels = labelled(YesNoStrategy(), small_sampling, [["no"], ["yes"], ["no"], ["yes"]])  # unseen, and exclusive
    assert labels.states.tolist() == [[ABSENT, PRESENT, ABSENT, PRESENT]]


def test_a_unit_without_windows_has_no_labels(small_sampling):
    _, labels = labelled(YesNoStrategy(), small_sampling, [[]] * 4)
    assert (labels.scores.shape, labels.states.shape, labels.answers.texts) == ((0, 4), (0, 4), [])


def test_of_several_votes_the_state_that_most_give_is_taken_and_all_are_kept(small_sampling):
    strategy = YesNoStrategy(votes=3, temperature=0.7, seed=5)
    said = [["yes"], ["no"], ["yes"], ["hm"]], [["yes"], ["yes"], ["hm"], ["hm"]], [["no"], ["no"], ["no"], ["hm"]]
    engine, labels = labelled(strategy, small_sampling, [texts for vote in said for texts in vote])
    assert labels.states.tolist() == [[PRESENT, ABSENT, STATE_INDEX[LabelState.UNSURE], UNPARSED]]
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


@pytest.mark.parametrize("folder", ["image_folder", "video_folder"])
def test_a_checkpoint_without_a_head_is_asked_and_its_answers_are_kept(request, folder, label_set, small_sampling):
    labeler = labeler_of(request.getfixturevalue(folder), label_set)
    labels = labeler.label(synthetic_frames(small_sampling, num_windows=3))
    assert labeler.info.sampling is None
    assert [len(row) for row in labels.answers.texts] == [4, 4, 4]
    parsed = [[STATE_INDEX[parse_answer(answer)] for answer in row] for row in labels.answers.texts]
    np.testing.assert_array_equal(labels.states, parsed)
    assert ((labels.scores >= 0) & (labels.scores <= 1)).all()


def test_a_checkpoint_with_a_head_can_be_asked_in_words_too(label_set):
    checkpoint = resolve_checkpoint(CheckpointChoice())
    labeler = YesNoStrategy().labeler(checkpoint, label_set=label_set, execution=Execution())
    labels = labeler.label(synthetic_frames(labeler.info.sampling, num_windows=2))
    assert {answer.lower() for row in labels.answers.texts for answer in row} <= {"yes", "no"}
