"""The base model that ships: what it brings, what it was never told, and that plain transformers makes it say what is drawn."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from nrray.models import CheckpointChoice, CheckpointKind, resolve_checkpoint
from nrray.models.frame_stacking import stacked
from nrray.models.looks import read_looks
from nrray.models.measure import synthetic_frames
from nrray.sampling import Sampling
from nrray.workshop.everyday_captions import claims_of
from nrray.workshop.everyday_data import scene_chunk
from tests.model_fixtures import labeler_of

UNSEEN = 7  # of everyday scenes: no seed of the training
NUM_SCENES = 16
CARE = ("newborn", "baby", "ventilat", "stimulat", "suction", "mask", "tube", "resuscitat")


@pytest.fixture(scope="module")
def base():
    return resolve_checkpoint(CheckpointChoice(path="embedded-base"))


@pytest.fixture(scope="module")
def said(base):
    """(true caption, caption as filmed, caption of one frame repeated) of scenes that it has never seen."""
    processor = AutoProcessor.from_pretrained(base.folder, local_files_only=True)
    model = AutoModelForImageTextToText.from_pretrained(base.folder, local_files_only=True, dtype=torch.float32)
    rows = []
    for number in range(NUM_SCENES):
        chunk = scene_chunk(number, (UNSEEN, 1, number), sampling=Sampling.model_validate({}))
        shown = stacked(chunk.frames, base.inputs.frame_stacking)
        images = shown.pixels[shown.window_frames[0]]
        still = np.repeat(images[len(images) // 2][..., 1:2], 3, axis=-1)[None].repeat(len(images), axis=0)
        captions = [_caption(model, processor, pictures, base.inputs.prompt) for pictures in (images, still)]
        rows.append((chunk.captions[0], *captions))
    return rows


def _caption(model, processor, images, prompt):
    content = [*[{"type": "image"}] * len(images), {"type": "text", "text": prompt}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    inputs = processor(text=[text], images=[list(images)], return_tensors="pt")
    out = model.generate(**inputs, max_new_tokens=64, do_sample=False)
    return processor.tokenizer.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


def test_it_is_a_plain_checkpoint_without_head_that_says_how_it_is_sampled(base):
    assert base.kind is CheckpointKind.PLAIN
    assert base.metadata is None
    assert base.inputs.sampling == Sampling.model_validate({})
    assert sum(file.stat().st_size for file in base.folder.iterdir()) <= 15e6
    assert read_looks(base.folder) is not None


def test_it_has_no_word_for_what_is_done_to_a_newborn(base):
    words = " ".join(json.loads((base.folder / "tokenizer.json").read_text())["model"]["vocab"]).lower()
    assert not [word for word in CARE if word in words]


def test_its_captions_are_of_its_grammar_and_name_hands_better_than_chance(said):
    claims = [(claims_of(true), claims_of(caption)) for true, caption, _ in said]
    assert sum(ours is not None for _, ours in claims) >= 0.9 * NUM_SCENES
    right = sum(ours is not None and len(ours.hands) == len(true.hands) for true, ours in claims)
    assert right >= 0.6 * NUM_SCENES


def test_it_sees_motion_and_not_objects_alone(said):
    def moving(caption):
        facts = claims_of(caption)
        return None if facts is None else sorted(hand.deed.value for hand in facts.hands)

    filmed = sum(moving(caption) == moving(true) for true, caption, _ in said)
    still = sum(moving(caption) == moving(true) for true, _, caption in said)
    assert filmed > still


def test_it_answers_a_label_set_in_words(label_set):
    labeler = labeler_of("embedded-base", label_set)
    labels = labeler.label(synthetic_frames(labeler.info.sampling, num_windows=2))
    assert labels.scores.shape == (2, len(label_set.names))
    assert {answer for window in labels.answers.texts for answer in window} <= {"yes", "no"}  # as it has learned to
