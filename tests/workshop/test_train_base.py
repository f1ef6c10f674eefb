"""The base model from its making to its loading, untrained: it measures, says its inputs, and answers in words."""

import numpy as np
import pytest
import torch

from nrray.labels import read_label_set
from nrray.models import CheckpointChoice, CheckpointKind, Execution, resolve_checkpoint
from nrray.models.engines import TransformersSection
from nrray.models.engines.engine import Question
from nrray.models.frame_stacking import FrameStacking
from nrray.models.inputs import CheckpointInputs
from nrray.models.measure import synthetic_frames
from nrray.models.strategies.yes_no import INSTRUCTION
from nrray.sampling import Sampling
from nrray.workshop.base_card import BaseCardFacts, write_base_card
from nrray.workshop.base_measures import answers_are_right, base_figures, caption_facts, questions_of
from nrray.workshop.dialogue import Dialogues
from nrray.workshop.everyday import Deed
from nrray.workshop.everyday_data import EverydayLessons, EverydayScenes, scene_chunk, spoken_sentences
from nrray.workshop.measures import says_yes
from nrray.workshop.recipe import RecipeConfig, train_vlm
from nrray.workshop.vlm import CAPTION_PROMPT, fresh_vlm, save_vlm, window_prompt_ids
from nrray.workshop.window_store import WindowSet, write_windows

SMALL = Sampling(frames_per_second=4.0, window_seconds=1.5, stride_seconds=1.0, frame_width_px=64, frame_height_px=64)
INPUTS = CheckpointInputs(sampling=SMALL, prompt=CAPTION_PROMPT, frame_stacking=FrameStacking.LUMA_TRIPLETS)


@pytest.fixture(scope="module")
def vlm(tmp_path_factory):
    import timm

    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("tower") / "tower.pth"
    torch.save(timm.create_model("tf_efficientnet_lite0", num_classes=0).state_dict(), file)
    return fresh_vlm(tower_file=file, sentences=spoken_sentences(), sampling=SMALL, seed=0)


@pytest.fixture(scope="module")
def windows(tmp_path_factory):
    chunks = [scene_chunk(case, (4, 0, case), sampling=SMALL) for case in range(6)]
    return write_windows(chunks, tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def figures(vlm, windows):
    return base_figures(vlm, windows, sampling=SMALL, seed=0)


def test_a_model_without_a_head_learns_answers(vlm, windows):
    before = {name: tensor.clone() for name, tensor in vlm.model.state_dict().items()}
    dialogues = Dialogues(vlm, SMALL, EverydayLessons(), num_frames=SMALL.frames_per_window)
    recipe = RecipeConfig(num_steps=8, batch_windows=8)
    record = train_vlm(vlm, windows, recipe, dialogues=dialogues, report=lambda step, loss: None)
    assert np.mean(record.losses[-2:]) < np.mean(record.losses[:2])
    after = vlm.model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any("language_model" in name for name in changed)
    assert any("blocks.6" in name for name in changed)
    assert not any("blocks.0" in name for name in changed)


def test_a_saved_model_is_a_plain_checkpoint_that_says_its_inputs(vlm, tmp_path):
    save_vlm(vlm, tmp_path, inputs=INPUTS, dtype=torch.float16)
    vlm.model.float()
    found = resolve_checkpoint(CheckpointChoice(path=str(tmp_path)))
    assert (found.kind, found.inputs) == (CheckpointKind.PLAIN, INPUTS)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 15e6


def test_a_loaded_model_answers_as_the_trained_one_does(vlm, tmp_path):
    save_vlm(vlm, tmp_path, inputs=INPUTS, dtype=torch.float16)
    vlm.model.float()
    unit = synthetic_frames(SMALL, num_windows=4)
    checkpoint = resolve_checkpoint(CheckpointChoice(path=str(tmp_path)))
    engine = TransformersSection().loaded(checkpoint, execution=Execution())
    windows = WindowSet(
        pixels=torch.from_numpy(unit.pixels),
        window_frames=unit.window_frames.astype(np.int64),
        targets=np.zeros((4, 0), dtype=bool),
        cases=np.zeros(4, dtype=np.int64),
        captions=np.full(4, ""),
    )
    for activity in read_label_set().activities:
        question = f"{activity.question} {INSTRUCTION}"
        prompt_ids = window_prompt_ids(vlm, SMALL, num_frames=SMALL.frames_per_window, question=question)
        said = says_yes(vlm, windows, prompt_ids=prompt_ids)
        answers = engine.ask(unit, [Question(name="q", text=question, choices=(("yes",), ("no",)), max_tokens=1)])
        yes, no = answers.probabilities[0].T
        clear = np.abs(np.log(yes / no)) > 0.02
        np.testing.assert_array_equal((yes > no)[clear], said[clear])


def test_each_hand_is_asked_about_truly_and_by_its_look_alike(windows):
    asked = questions_of(windows, np.random.default_rng(0))
    about_deeds = [one for _, one in asked if one.about in {deed.value for deed in Deed}]
    assert 0.4 <= np.mean([one.is_true for one in about_deeds]) <= 0.6


def test_prompts_of_different_lengths_are_answered_as_each_alone(vlm, windows):
    asked = questions_of(windows, np.random.default_rng(0))[:12]
    together = answers_are_right(vlm, windows, asked, sampling=SMALL)
    alone = [answers_are_right(vlm, windows, [one], sampling=SMALL)[0] for one in asked]
    assert together.tolist() == alone


def test_captions_are_measured_fact_by_fact():
    truth = ["A ball is seen. A hand rubs the ball. Nobody passes.", "A cup is seen. No hand is seen. Nobody passes."]
    said = ["A ball is seen. A hand rests on the ball. Nobody passes.", "Something else."]
    found = {name: agreement.right for name, agreement in caption_facts(said, truth).items()}
    assert found == {
        "things": 0.5,
        "number of hands": 0.5,
        "deeds": 0.0,
        "motion": 0.0,
        "things of the deeds": 0.5,
        "people who pass": 0.5,
    }
    assert all(agreement.kappa == 1 or agreement.chance == 1 for agreement in caption_facts(truth, truth).values())


def test_the_card_tells_every_figure(figures, tmp_path):
    facts = BaseCardFacts(
        name="made-up",
        command="python",
        tower_source="a tower",
        scenes=EverydayScenes(num_train=6, num_test=6, seed=4),
        windows_seen=64,
        first_loss=9.0,
        last_loss=1.0,
        drawing_seconds=60.0,
        training_seconds=120.0,
        machine="a machine",
        parameter_count=5,
        trained_parameter_count=4,
        folder_bytes=10_000_000,
        figures=figures,
    )
    card = write_base_card(tmp_path, inputs=INPUTS, recipe=RecipeConfig(), facts=facts).read_text()
    drawn = figures["as filmed"]
    for name, agreement in drawn.facts.items():
        assert f"| {name} | {agreement.kappa:.2f} | {agreement.chance:.2f} | {agreement.right:.2f} |" in card
    for about, share in drawn.answers.items():
        assert f"| {about} | {drawn.num_answers[about]} | {share:.2f} |" in card
