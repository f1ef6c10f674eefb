from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nrray.labels import read_label_set
from nrray.models.frame_stacking import FrameStacking
from nrray.models.strategies.yes_no import INSTRUCTION
from nrray.sampling import Sampling
from nrray.workshop.dialogue import ActivityLessons, Dialogues
from nrray.workshop.embedded import embedded_sentences
from nrray.workshop.vlm import CAPTION_PROMPT, processor_of, trained_tokenizer
from nrray.workshop.window_store import WindowSet

LABELS = read_label_set()
SMALL = Sampling(frames_per_second=1.0, window_seconds=3.0, stride_seconds=1.0, frame_width_px=64, frame_height_px=64)
CAPTIONS = ("A hand rubs the trunk.", "A tube lies beside the head.")


@pytest.fixture(scope="module")
def told():
    """Two hundred questions and answers about two windows, as (question, answer, window)."""
    tokenizer = trained_tokenizer([*embedded_sentences(LABELS), *CAPTIONS])
    vlm = SimpleNamespace(processor=processor_of(tokenizer, SMALL), frame_stacking=FrameStacking.FRAMES)
    windows = WindowSet(
        pixels=torch.zeros(3, 64, 64, 3, dtype=torch.uint8),
        window_frames=np.zeros((2, 3), dtype=np.int64),
        targets=np.array([[True, False, True, False], [True, False, False, False]]),
        cases=np.zeros(2, dtype=np.int64),
        captions=np.array(CAPTIONS),
    )
    rows = np.arange(200) % 2
    spoken = Dialogues(vlm, SMALL, ActivityLessons(LABELS), num_frames=3).drawn(windows, rows, np.random.default_rng(0))
    found = []
    for row, tokens, is_answer in zip(rows, spoken.token_ids, spoken.is_answer, strict=True):
        prompt, answer = tokens[: is_answer.argmax()], tokens[is_answer]
        assert answer[-1] == tokenizer.eos_token_id
        assert (tokens[is_answer.argmax() + is_answer.sum() :] == tokenizer.pad_token_id).all()
        question = tokenizer.decode(prompt, skip_special_tokens=True)
        found.append((question, tokenizer.decode(answer, skip_special_tokens=True), int(row)))
    return found, windows


def test_three_in_four_questions_ask_for_the_window_s_caption(told):
    found, _ = told
    captions = [(answer, row) for question, answer, row in found if question == CAPTION_PROMPT]
    assert 125 < len(captions) < 175  # of 200
    assert all(answer == CAPTIONS[row] for answer, row in captions)


def test_the_others_are_a_prompted_run_s_and_are_answered_by_the_truth(told):
    found, windows = told
    questions = [f"{activity.question} {INSTRUCTION}" for activity in LABELS.activities]
    others = [(question, answer, row) for question, answer, row in found if question != CAPTION_PROMPT]
    assert {question for question, _, _ in others} == set(questions)
    for question, answer, row in others:
        assert answer == ("yes" if windows.targets[row, questions.index(question)] else "no")
