"""Strategies that ask in words, with real engines and models."""

import numpy as np
import pytest

from nrray.models import CheckpointChoice, Execution, YesNoStrategy, resolve_checkpoint
from nrray.models.measure import synthetic_frames
from nrray.models.strategies.answers import parse_answer
from nrray.models.strategies.list import ListStrategy
from nrray.models.strategies.multiple_choice import MultipleChoiceStrategy
from nrray.types import STATE_INDEX, LabelState
from tests.model_fixtures import labeler_of


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


def test_a_model_that_is_scored_says_in_its_answers_what_it_would_say(label_set):
    checkpoint = resolve_checkpoint(CheckpointChoice())
    scored, spoken = (
        strategy.labeler(checkpoint, label_set=label_set, execution=Execution())
        for strategy in (YesNoStrategy(answer_tokens=0), YesNoStrategy())
    )
    frames = synthetic_frames(scored.info.sampling, num_windows=2)
    of_scored, of_spoken = scored.label(frames), spoken.label(frames)
    np.testing.assert_allclose(of_scored.scores, of_spoken.scores, atol=1e-5)
    np.testing.assert_array_equal(of_scored.states, of_spoken.states)


def test_a_real_model_chooses(label_set):
    checkpoint = resolve_checkpoint(CheckpointChoice())
    strategy = MultipleChoiceStrategy(orders=2, min_label_mass=0)
    labeler = strategy.labeler(checkpoint, label_set=label_set, execution=Execution())
    labels = labeler.label(synthetic_frames(labeler.info.sampling, num_windows=2))
    assert labels.scores.shape == (2, 4)
    assert [len(row) for row in labels.answers.texts] == [2, 2]


def test_a_model_that_was_not_taught_to_name_activities_is_unparsed(label_set):
    checkpoint = resolve_checkpoint(CheckpointChoice())
    labeler = ListStrategy(answer_tokens=8).labeler(checkpoint, label_set=label_set, execution=Execution())
    labels = labeler.label(synthetic_frames(labeler.info.sampling, num_windows=1))
    assert set(labels.states.ravel().tolist()) == {STATE_INDEX[LabelState.UNPARSED]}
