"""The engine of transformers: answers and first-token probabilities of windows, whatever goes through at once."""

import numpy as np
import pytest
import torch

from nrray.models import CheckpointChoice, Execution, resolve_checkpoint
from nrray.models.engines import TransformersSection
from nrray.models.engines.asking import choice_probabilities, single_token_ids
from nrray.models.engines.engine import Question, Replies
from nrray.models.frame_stacking import FrameStacking, stacked
from nrray.models.measure import synthetic_frames
from nrray.types import Frames
from tests.model_fixtures import loaded

CHOICES = (("yes", " yes", "resuscitationless"), ("no",), ("resuscitationless",))


def engine_of(folder, **execution):
    checkpoint = resolve_checkpoint(CheckpointChoice(path=str(folder)))
    return TransformersSection().loaded(checkpoint, execution=Execution(**execution))


def asked(engine, unit, *, choices, max_tokens) -> Replies:
    """The replies to one question."""
    return engine.ask(unit, [Question(name="q", text="Well?", choices=choices, max_tokens=max_tokens)])


@pytest.mark.parametrize("folder", ["image_folder", "video_folder"])
def test_probabilities_are_of_the_first_token_and_sum_the_spellings_of_a_choice(request, folder, small_sampling):
    folder = request.getfixturevalue(folder)
    unit = synthetic_frames(small_sampling, num_windows=3)
    found = asked(engine_of(folder), unit, choices=CHOICES, max_tokens=4)
    assert len(found.texts) == 3
    checkpoint = loaded(folder)
    inputs = checkpoint.family.runner(checkpoint).window_inputs(unit, slice(0, 3), question="Well?")
    with torch.inference_mode():
        first = torch.softmax(checkpoint.model(**inputs).logits[:, -1].float(), dim=-1)
    tokenizer = checkpoint.processor.tokenizer
    yes, no = (sum(first[:, i] for i in single_token_ids(tokenizer, choice)) for choice in CHOICES[:2])
    np.testing.assert_allclose(found.probabilities[0][:, 0], yes, rtol=1e-3)
    np.testing.assert_allclose(found.probabilities[0][:, 1], no, rtol=1e-3)
    assert np.isnan(found.probabilities[0][:, 2]).all()


def test_answers_are_greedy_and_end_after_so_many_tokens(image_folder, small_sampling):
    unit = synthetic_frames(small_sampling, num_windows=2)
    long, again, short = (
        asked(engine_of(image_folder), unit, choices=(), max_tokens=tokens).texts for tokens in (6, 6, 1)
    )
    assert long == again
    assert all(one.startswith(first) and len(one) > len(first) for [one], [first] in zip(long, short, strict=True))


def test_the_micro_batch_does_not_change_answers(video_folder, small_sampling):
    unit = synthetic_frames(small_sampling, num_windows=5)
    alone, together = (
        asked(engine_of(video_folder, micro_batch_windows=size), unit, choices=CHOICES, max_tokens=4) for size in (1, 4)
    )
    assert alone.texts == together.texts
    np.testing.assert_allclose(alone.probabilities[0], together.probabilities[0], rtol=1e-4)


def test_no_windows_have_no_answers(image_folder, small_sampling):
    unit = synthetic_frames(small_sampling, num_windows=1)
    empty = Frames(**{**vars(unit), "window_frames": unit.window_frames[:0]})
    found = asked(engine_of(image_folder), empty, choices=CHOICES, max_tokens=4)
    assert (found.texts, found.probabilities[0].shape, found.num_tokens.shape) == ([], (0, 3), (0, 1))


def test_a_checkpoint_that_was_trained_on_stacked_frames_is_shown_stacked_frames():
    engine, checkpoint = engine_of("embedded"), loaded("embedded")
    unit = synthetic_frames(engine.info.sampling, num_windows=1)
    found = asked(engine, unit, choices=CHOICES[:2], max_tokens=1).probabilities[0]
    runner = checkpoint.family.runner(checkpoint)
    inputs = runner.window_inputs(stacked(unit, FrameStacking.LUMA_TRIPLETS), slice(0, 1), question="Well?")
    with torch.inference_mode():
        first = torch.softmax(checkpoint.model(**inputs).logits[:, -1].float(), dim=-1)
    ids = [single_token_ids(checkpoint.processor.tokenizer, choice) for choice in CHOICES[:2]]
    np.testing.assert_allclose(found, choice_probabilities(first, ids), rtol=1e-3)


def test_spellings_of_more_than_one_token_do_not_count(image_folder):
    tokenizer = loaded(image_folder).processor.tokenizer
    assert len(single_token_ids(tokenizer, (" yes", "resuscitationless"))) == 1


def test_a_choice_without_tokens_has_no_probability():
    found = choice_probabilities(torch.tensor([[0.5, 0.3, 0.2]]), [[0, 2], [1], []])
    np.testing.assert_allclose(found, [[0.7, 0.3, np.nan]])
