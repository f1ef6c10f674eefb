"""What a checkpoint needs of its inputs: said in config.json, found by every loader, with or without a head."""

import json
import shutil

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText

import nrray
from nrray.errors import ModelError
from nrray.models import CheckpointChoice, Execution, resolve_checkpoint
from nrray.models.config import LoraSection
from nrray.models.engines import TransformersSection
from nrray.models.engines.engine import Question
from nrray.models.folders import checkpoint_folder
from nrray.models.frame_stacking import FrameStacking, stacked
from nrray.models.inputs import INPUTS_KEY, CheckpointInputs, read_inputs
from nrray.models.measure import synthetic_frames
from nrray.models.metadata import Pooling
from nrray.train.trainee.prepared import QUESTION, prepared_trainee, question_of
from nrray.train.training_config import HeadSection, TrainingConfig
from tests.train.support import LANGUAGE_MODEL


@pytest.fixture
def inputs(small_sampling):
    return CheckpointInputs(sampling=small_sampling, prompt="Well?", frame_stacking=FrameStacking.LUMA_TRIPLETS)


@pytest.fixture
def told(image_folder, inputs, tmp_path):
    """A checkpoint that says what inputs it needs."""
    folder = shutil.copytree(image_folder, tmp_path / "told")
    (folder / "nrray.json").unlink(missing_ok=True)
    say(folder, inputs.model_dump(mode="json"))
    return folder


def say(folder, content):
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), INPUTS_KEY: content}))


def resolved(folder):
    return resolve_checkpoint(CheckpointChoice(path=str(folder)))


def answers_of(folder, frames):
    engine = TransformersSection().loaded(resolved(folder), execution=Execution())
    return engine.ask(frames, [Question(name="q", text="Well?", choices=(("yes",), ("no",)), max_tokens=3)])


def test_inputs_survive_where_transformers_saves_the_model_anew(told, inputs, tmp_path):
    AutoModelForImageTextToText.from_pretrained(told).save_pretrained(tmp_path / "again")
    assert read_inputs(tmp_path / "again") == read_inputs(told) == inputs


def test_a_checkpoint_that_says_nothing_has_no_inputs(image_folder):
    assert resolved(image_folder).inputs is None


def test_inputs_that_cannot_be_used_are_refused_by_the_name_of_the_file(told):
    say(told, {"sampling": {}, "prompt": "Well?", "frame_stacking": "quartets"})
    with pytest.raises(ModelError, match=rf"config\.json: its key {INPUTS_KEY} cannot be used"):
        resolved(told)


def test_answers_in_words_are_about_frames_stacked_as_in_the_training(told, image_folder, small_sampling):
    unit = synthetic_frames(small_sampling, num_windows=3)
    found = answers_of(told, unit)
    expected = answers_of(image_folder, stacked(unit, FrameStacking.LUMA_TRIPLETS))
    assert found.texts == expected.texts
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)


def test_frames_that_were_sampled_otherwise_are_refused_without_a_head_too(told, small_sampling):
    longer = small_sampling.model_copy(update={"window_seconds": 4.0})
    with pytest.raises(ModelError, match="found windows of 8 frames of 64x64 px, expected 6 of 64x64 px"):
        answers_of(told, synthetic_frames(longer, num_windows=1))


def test_a_head_s_description_goes_before_the_weights_inputs(told, add_head, label_set, small_sampling):
    add_head(told, label_set=label_set, sampling=small_sampling)
    found = resolved(told)
    assert found.inputs == found.metadata.inputs
    assert found.inputs.frame_stacking is FrameStacking.FRAMES


@pytest.mark.parametrize(
    ("folder", "question", "stacking"),
    [("told", "Well?", FrameStacking.LUMA_TRIPLETS), ("image_folder", QUESTION, FrameStacking.FRAMES)],
)
def test_a_fresh_head_is_trained_on_the_weights_inputs(request, folder, question, stacking, label_set, small_sampling):
    trainee = prepared_trainee(
        resolved(request.getfixturevalue(folder)),
        execution=Execution(),
        parts=LANGUAGE_MODEL,
        adapter=LoraSection(),
        head=HeadSection(),
        label_set=label_set,
        sampling=small_sampling,
        log_odds=torch.zeros(len(label_set.names)),
        config=TrainingConfig(),
    )
    assert (trainee.inputs.question, trainee.inputs.frame_stacking) == (question, stacking)


@pytest.mark.parametrize("pooling", [Pooling.LAST, Pooling.QUERY])
def test_a_head_that_reads_the_prompt_is_told_what_the_activities_are(pooling, label_set):
    asked = question_of(label_set, pooling)
    assert asked.startswith("baby visible: A newborn (or manikin) lies on the resuscitation table")
    assert "It ends: It leaves mouth and nose. " in asked
    assert asked.endswith(QUESTION)
    silent = {"definition": None, "starts": None, "ends": None}
    bare = tuple(activity.model_copy(update=silent) for activity in label_set.activities)
    assert question_of(label_set.model_copy(update={"activities": bare}), pooling) == QUESTION


@pytest.mark.parametrize("pooling", [Pooling.MEAN_FRAMES, Pooling.ATTENTION])
def test_a_head_that_pools_frames_is_asked_the_bare_question(pooling, label_set):
    assert question_of(label_set, pooling) == QUESTION


@pytest.mark.parametrize(("name", "folder"), [("embedded", "embedded"), ("embedded-base", "embedded_base")])
def test_models_inside_the_package_have_names(name, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(nrray, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(ModelError, match=f"{folder}: found nothing"):
        checkpoint_folder(name)
    (tmp_path / "models" / folder).mkdir(parents=True)
    assert checkpoint_folder(name) == tmp_path / "models" / folder


def test_a_model_inside_the_package_keeps_its_name_on_its_way_to_other_nodes(told, tmp_path, monkeypatch):
    monkeypatch.setattr(nrray, "__file__", str(tmp_path / "__init__.py"))
    shutil.copytree(told, tmp_path / "models" / "embedded_base")
    assert resolved("embedded-base").path == "embedded-base"
