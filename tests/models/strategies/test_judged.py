"""Captions are judged from the text alone: by the label set's words, or by a language model."""

import json

import numpy as np
import pytest

from nrray.errors import ModelError
from nrray.labels import read_label_set
from nrray.models import (
    CheckpointChoice,
    FocusedJudgeStrategy,
    JudgeJsonStrategy,
    JudgeStrategy,
    resolve_checkpoint,
)
from nrray.models.engines.engine import Replies
from nrray.models.judges import JudgeSection
from nrray.models.judges.judge import JudgeReplies
from nrray.models.measure import synthetic_frames
from nrray.models.strategies.judged import Captioner, CaptionReader, JudgedLabeler
from nrray.models.strategies.verdicts import NotStated
from nrray.types import NO_STATE, STATE_INDEX, LabelState
from tests.model_fixtures import labeler_of

LABELS = read_label_set()  # baby_visible, ventilation, stimulation, suction
EMBEDDED = resolve_checkpoint(CheckpointChoice())
PRESENT, ABSENT, UNSURE, UNPARSED = (
    STATE_INDEX[state] for state in (LabelState.PRESENT, LabelState.ABSENT, LabelState.UNSURE, LabelState.UNPARSED)
)
RUBBED = "A newborn lies on the table. A hand rubs the trunk."
EMPTY = "The table is empty."


class Describing:
    """An engine that gives each question the next captions of its script, one for each window."""

    info = None

    def __init__(self, script):
        self.script, self.asked = iter(script), []

    def ask(self, frames, questions, *, decoding):
        self.asked += [question.text for question in questions]
        by_question = [next(self.script) for _ in questions]
        shape = (len(by_question[0]), len(questions))
        return Replies(
            texts=[list(texts) for texts in zip(*by_question, strict=True)],
            probabilities=[np.zeros((shape[0], 0), np.float32) for _ in questions],
            num_tokens=np.full(shape, 7, np.int32),
            seconds=np.full(shape, 0.5, np.float32),
            distances=np.arange(shape[0], dtype=np.float32),
        )


class Judging:
    """A judge whose answer is a function of question and caption."""

    device = "nowhere"

    def __init__(self, answer):
        self.answer, self.read = answer, []

    def judged(self, question, captions):
        self.read += [(question.name, caption) for caption in captions]
        num_choices = len(question.choices)
        return JudgeReplies(
            texts=[self.answer(question, caption) for caption in captions],
            probabilities=np.tile(np.float32([0.6, 0.2, 0.2][:num_choices]), (len(captions), 1)),
            num_tokens=np.ones(len(captions), np.int32),
            seconds=np.full(len(captions), 0.25, np.float32),
        )


MODEL = JudgeSection(model="some-folder")


def labelled(strategy, sampling, captions, judge=None):
    engine = Describing(captions)
    reader = CaptionReader(judge, strategy, strategy.answer_names(EMBEDDED, LABELS), LABELS)
    frames = synthetic_frames(sampling, num_windows=len(captions[0]))
    labels = JudgedLabeler(Captioner(engine, strategy, EMBEDDED, LABELS), reader).label(frames)
    return engine, labels


def test_words_judge_a_caption_and_silence_is_unsure(small_sampling):
    engine, labels = labelled(JudgeStrategy(), small_sampling, [[RUBBED, EMPTY, ""]])
    assert engine.asked == ["Describe what is seen."]
    assert labels.states.tolist() == [[PRESENT, UNSURE, PRESENT, UNSURE], [UNSURE] * 4, [UNPARSED] * 4]
    assert labels.answers.questions == ("caption",)
    assert labels.answers.texts == [[RUBBED], [EMPTY], [""]]
    assert labels.answers.states.tolist() == [[NO_STATE], [NO_STATE], [UNPARSED]]
    assert np.isnan(labels.scores).all()
    assert labels.looks_distances.tolist() == [0, 1, 2]


def test_silence_is_absence_only_where_the_config_says_so(small_sampling):
    strategy = JudgeStrategy(not_stated=NotStated.ABSENT)
    _, labels = labelled(strategy, small_sampling, [[RUBBED, EMPTY, ""]])
    assert labels.states.tolist() == [[PRESENT, ABSENT, PRESENT, ABSENT], [ABSENT] * 4, [UNPARSED] * 4]


def test_a_focused_caption_is_judged_for_its_activity_alone(small_sampling):
    captions = [[EMPTY], [RUBBED], ["A hand rubs the trunk."], ["No tube is in the mouth."]]
    engine, labels = labelled(FocusedJudgeStrategy(), small_sampling, captions)
    assert engine.asked[3] == (
        "Describe what is seen. Pay attention to this: the newborn's mouth and nose, and whether a tube or bulb is in them"
    )
    assert labels.answers.questions == tuple(f"caption: {name}" for name in LABELS.names)
    assert labels.states.tolist() == labels.answers.states.tolist() == [[UNSURE, UNSURE, PRESENT, ABSENT]]


def test_a_preamble_stands_before_the_question():
    preambled = LABELS.model_copy(
        update={"prompts": LABELS.prompts.model_copy(update={"preamble": "Seen from above."})}
    )
    (question,) = JudgeStrategy().asked(EMBEDDED, preambled)
    assert question.text == "Seen from above. Describe what is seen."


def test_a_model_answers_about_each_activity_from_the_caption_alone(small_sampling):
    said = {"baby_visible": "yes", "ventilation": "no", "stimulation": "not stated", "suction": "Well..."}
    judge = Judging(lambda question, caption: said[question.name.removeprefix("judge: ")])
    _, labels = labelled(JudgeStrategy(judge=MODEL), small_sampling, [[RUBBED, "I'm sorry."]], judge)
    assert labels.states.tolist() == [[PRESENT, ABSENT, UNSURE, UNPARSED], [UNPARSED] * 4]
    assert labels.answers.questions == ("caption", *(f"judge: {name}" for name in LABELS.names))
    assert labels.answers.texts == [[RUBBED, "yes", "no", "not stated", "Well..."], ["I'm sorry.", "", "", "", ""]]
    assert labels.answers.states.tolist() == [
        [NO_STATE, PRESENT, ABSENT, UNSURE, UNPARSED],
        [UNPARSED] * 5,
    ]
    assert labels.answers.num_tokens.tolist() == [[7, 1, 1, 1, 1], [7, 0, 0, 0, 0]]
    assert labels.answers.seconds.tolist() == [[0.5, 0.25, 0.25, 0.25, 0.25], [0.5, 0, 0, 0, 0]]
    np.testing.assert_allclose(labels.scores[0], 0.6)
    assert np.isnan(labels.scores[1]).all()
    assert {caption for _, caption in judge.read} == {RUBBED}, "nobody is asked about what is no caption"


def test_a_judge_of_focused_captions_reads_each_activity_its_own_and_is_shown_examples(small_sampling):
    captions = [[f"This is about {name}."] for name in LABELS.names]
    judge = Judging(lambda question, caption: "yes")
    strategy = FocusedJudgeStrategy(judge=MODEL)
    labelled(strategy, small_sampling, captions, judge)
    assert judge.read == [(f"judge: {name}", f"This is about {name}.") for name in LABELS.names]
    template = strategy.judge_questions(LABELS)[3].template
    lines = template.splitlines()
    assert lines[-9:-3] == [
        'Description: "A tube moves in the mouth."',
        "Question: Is a suction tube in the baby's mouth or nose?",
        "Answer: yes",
        'Description: "A tube lies beside the head."',
        "Question: Is a suction tube in the baby's mouth or nose?",
        "Answer: no",
    ]
    assert lines[-3] == "Description: {caption}"


def test_a_judge_answers_about_all_activities_with_one_object(small_sampling):
    def answer(_question, caption):
        return json.dumps({name: name in caption for name in LABELS.names}) if "seen" in caption else "yes"

    _, labels = labelled(
        JudgeJsonStrategy(judge=MODEL), small_sampling, [["suction is seen.", "It is dark."]], Judging(answer)
    )
    assert labels.states.tolist() == [[ABSENT, ABSENT, ABSENT, PRESENT], [UNPARSED] * 4]
    assert labels.answers.questions == ("caption", "judge")
    assert labels.answers.states.tolist() == [[NO_STATE, NO_STATE], [NO_STATE, UNPARSED]]
    assert np.isnan(labels.scores).all()


def test_every_vote_is_a_caption_of_its_own_with_its_own_judgement(small_sampling):
    strategy = JudgeStrategy(judge=MODEL, votes=3, temperature=0.5)
    judge = Judging(lambda question, caption: "yes" if caption == RUBBED else "no")
    _, labels = labelled(strategy, small_sampling, [[RUBBED], [EMPTY], [RUBBED]], judge)
    assert labels.states.tolist() == [[PRESENT] * 4]
    assert labels.answers.questions[4:7] == ("judge: suction", "caption#2", "judge: baby_visible#2")
    assert labels.answers.texts[0][5:7] == [EMPTY, "no"]


def test_units_are_judged_together_as_they_are_alone(small_sampling):
    strategy = JudgeStrategy(judge=MODEL)
    engine = Describing([[RUBBED, EMPTY], [EMPTY], [], ["A hand moves.", RUBBED, ""]])
    captioner = Captioner(engine, strategy, EMBEDDED, LABELS)
    units = [captioner.captions(synthetic_frames(small_sampling, num_windows=1)) for _ in range(4)]

    def reader():
        judge = Judging(lambda question, caption: "yes" if "newborn" in caption else "not stated")
        return CaptionReader(judge, strategy, strategy.answer_names(EMBEDDED, LABELS), LABELS)

    together, alone = reader().labels(units), [reader().labels([unit])[0] for unit in units]
    for found, expected in zip(together, alone, strict=True):
        assert found.answers.texts == expected.answers.texts
        np.testing.assert_array_equal(found.states, expected.states)
        np.testing.assert_array_equal(found.scores, expected.scores)
    assert [len(found.states) for found in together] == [2, 1, 0, 3]


def test_what_decides_a_label_is_another_identity():
    strategies = [
        JudgeStrategy(),
        JudgeStrategy(not_stated=NotStated.ABSENT),
        JudgeStrategy(caption_tokens=48),
        FocusedJudgeStrategy(),
        JudgeJsonStrategy(),
    ]
    documents = [json.dumps(strategy.identity(EMBEDDED, LABELS)) for strategy in strategies]
    assert len(set(documents)) == len(strategies)
    prompts = LABELS.prompts
    suction = prompts.activities["suction"].model_copy(update={"claims": ("tube",)})
    claimed = LABELS.model_copy(
        update={"prompts": prompts.model_copy(update={"activities": {**prompts.activities, "suction": suction}})}
    )
    assert JudgeStrategy().identity(EMBEDDED, claimed) != JudgeStrategy().identity(EMBEDDED, LABELS)


def test_rules_are_told_to_the_judge_and_to_nobody_else():
    told = "At most one of these goes on at a time: ventilation, suction."
    for kind in (JudgeStrategy, FocusedJudgeStrategy, JudgeJsonStrategy):
        strategy = kind(judge=MODEL, rules="told")
        assert all(told in question.template for question in strategy.judge_questions(LABELS))
        assert not any(told in question.text for question in strategy.asked(EMBEDDED, LABELS))
        with pytest.raises(ValueError, match=r"rules=told has no effect with judge\.model=words"):
            kind(rules="told")


def test_a_setting_without_effect_is_refused():
    with pytest.raises(ValueError, match=r"judge\.answer_tokens has no effect on an object"):
        JudgeJsonStrategy(judge=JudgeSection(model="some-folder", answer_tokens=8))


def test_a_judge_that_is_not_there_is_named_with_a_way_out(tmp_path):
    missing = JudgeStrategy(judge=JudgeSection(model=str(tmp_path / "nowhere")))
    with pytest.raises(
        ModelError, match=r"judge.model .*nowhere: found nothing, expected words, smollm2, or the folder"
    ):
        missing.check(EMBEDDED, LABELS)


def test_an_encoder_describes_nothing(checkpoint_of):
    encoder = resolve_checkpoint(CheckpointChoice(path=str(checkpoint_of("vjepa2"))))
    with pytest.raises(ModelError, match="found judge, but"):
        JudgeStrategy().check(encoder, LABELS)


def test_a_real_model_describes_and_words_judge(label_set):
    labeler = labeler_of("embedded", label_set, strategy=JudgeStrategy(not_stated=NotStated.ABSENT))
    sampling = labeler.info.sampling
    labels = labeler.label(synthetic_frames(sampling, num_windows=2))
    assert labels.answers.questions == ("caption",)
    assert labels.states.shape == (2, 4)
    assert all(text.strip() for (text,) in labels.answers.texts)
