import numpy as np
import pytest
import torch

from nrray.models import ModelKind
from nrray.models.measure import synthetic_frames
from nrray.models.strategies.answers import parse_answer
from nrray.models.strategies.yes_no import single_token_ids, yes_share
from nrray.types import STATE_INDEX
from tests.model_fixtures import labeler_of


@pytest.mark.parametrize("folder", ["image_folder", "video_folder"])
def test_a_checkpoint_without_a_head_is_asked_and_its_answers_are_kept(request, folder, label_set, small_sampling):
    labeler = labeler_of(request.getfixturevalue(folder), label_set)
    labels = labeler.label(synthetic_frames(small_sampling, num_windows=3))
    assert labeler.info.kind is ModelKind.PROMPTED
    assert labeler.info.sampling is None
    assert [len(row) for row in labels.answers] == [4, 4, 4]
    parsed = [[STATE_INDEX[parse_answer(answer)] for answer in row] for row in labels.answers]
    np.testing.assert_array_equal(labels.states, parsed)
    assert ((labels.scores >= 0) & (labels.scores <= 1)).all()


def test_the_share_of_yes_is_not_a_number_without_such_tokens():
    probabilities = torch.tensor([[0.5, 0.3, 0.2]])
    assert yes_share(probabilities, yes_ids=[0], no_ids=[1]).tolist() == pytest.approx([0.625])
    assert torch.isnan(yes_share(probabilities, yes_ids=[], no_ids=[1])).all()


def test_spellings_of_more_than_one_token_do_not_count(image_folder, label_set):
    tokenizer = labeler_of(image_folder, label_set)._checkpoint.processor.tokenizer
    assert len(single_token_ids(tokenizer, (" yes", "resuscitationless"))) == 1
