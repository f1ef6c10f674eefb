"""Several questions at once: answers are those of the whole class asked anew about every window, for all families, and frames are
seen once."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText

from nrray.models import CheckpointChoice, Execution, resolve_checkpoint
from nrray.models.engines.asking import AskedAnew, end_ids, single_token_ids
from nrray.models.engines.engine import Decoding, Question
from nrray.models.engines.transformers import TransformersEngine
from nrray.models.measure import synthetic_frames
from tests.checkpoints import CHECKPOINTS
from tests.model_fixtures import loaded
from tests.more_checkpoints import MORE_CHECKPOINTS, OTHER_CHECKPOINTS

CHOICES = (("yes",), ("no",), (" ventilation",), ("</s>", "a"))
QUESTIONS = (
    Question(name="short", text="Well?", choices=CHOICES, max_tokens=5),
    Question(name="long", text="Is the newborn ventilated with a mask and a bag?", choices=CHOICES, max_tokens=3),
    Question(name="scored", text="Is the newborn stimulated?", choices=CHOICES, max_tokens=0),
    Question(name="one", text="Is the newborn suctioned? Answer yes or no.", choices=CHOICES, max_tokens=1),
)

families = pytest.mark.parametrize("name", [*CHECKPOINTS, *MORE_CHECKPOINTS])


def engine_of(folder, **execution):
    checkpoint = resolve_checkpoint(CheckpointChoice(path=str(folder)))
    return TransformersEngine(checkpoint, execution=Execution(**execution))


def other_video(unit):
    """Other pictures, in windows of fewer frames."""
    return replace(unit, pixels=255 - unit.pixels, window_frames=unit.window_frames[:, :4])


@pytest.fixture
def asked_anew(checkpoint_of, small_sampling):
    """A function from a family's name, or a folder, to a function from unit, window and question to tokens and probabilities of
    choices, by one generate of the whole class."""

    def of(name):
        folder = checkpoint_of(name) if isinstance(name, str) else name
        checkpoint = loaded(folder)
        model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
        tokenizer, processor = checkpoint.processor.tokenizer, checkpoint.family.window_processor(checkpoint)

        def ask(unit, window, question):
            inputs = processor.tensors(
                [unit.pixels[unit.window_frames[window]]],
                question=question.text,
                frames_per_second=unit.frames_per_second,
            )
            made = model.generate(
                **inputs,
                max_new_tokens=max(1, question.max_tokens),
                do_sample=False,
                eos_token_id=end_ids(checkpoint),
                output_logits=True,
                return_dict_in_generate=True,
            )
            first = torch.softmax(made.logits[0][0], dim=-1)
            ids = [single_token_ids(tokenizer, choice) for choice in question.choices]
            tokens = made.sequences[0, inputs["input_ids"].shape[1] :][: question.max_tokens]
            return tokens, [float(first[known].sum()) if known else np.nan for known in ids]

        return tokenizer, ask

    return of


@pytest.mark.parametrize("name", [*CHECKPOINTS, *MORE_CHECKPOINTS, *OTHER_CHECKPOINTS])
def test_answers_are_those_of_one_question_and_window_at_a_time(name, checkpoint_of, asked_anew, small_sampling):
    unit = synthetic_frames(small_sampling, num_windows=3)
    engine = engine_of(checkpoint_of(name), micro_batch_windows=2)
    engine.ask(other_video(unit), QUESTIONS[:2])
    found = engine.ask(unit, QUESTIONS)
    tokenizer, ask = asked_anew(name)
    for place, question in enumerate(QUESTIONS):
        for window in range(3):
            tokens, probabilities = ask(unit, window, question)
            np.testing.assert_allclose(found.probabilities[place][window], probabilities, rtol=1e-4)
            assert found.texts[window][place] == tokenizer.decode(tokens, skip_special_tokens=True)
            assert found.num_tokens[window, place] == len(tokens)
    told_apart = np.log(
        [found.probabilities[place][:, :2] for place in range(len(QUESTIONS))]
    )  # (question, window, choice)
    # Else equality would say nothing.
    assert np.ptp(told_apart, axis=0).min() > 1e-3
    assert np.ptp(told_apart, axis=1).max() > 1e-3


@families
def test_frames_are_seen_once_for_all_questions(name, checkpoint_of, small_sampling):
    unit = synthetic_frames(small_sampling, num_windows=3)
    engine = engine_of(checkpoint_of(name), micro_batch_windows=2)
    seen = {number: tower_calls(engine, unit, QUESTIONS[:number]) for number in (1, 4)}
    assert seen[4] == seen[1] > 0


def test_a_type_that_no_family_names_is_asked_every_question_anew(checkpoint_of, small_sampling):
    """How its tokens see each other is not known: only the whole prompt is sure to be read as it was meant."""
    folder = checkpoint_of("vip_llava")
    assert resolve_checkpoint(CheckpointChoice(path=str(folder))).family.name == "other_vlm"
    unit = synthetic_frames(small_sampling, num_windows=3)
    engine = engine_of(folder, micro_batch_windows=2)
    seen = {number: tower_calls(engine, unit, QUESTIONS[:number]) for number in (1, 4)}
    assert seen[4] == 4 * seen[1] > 0


@pytest.mark.parametrize("name", ["qwen2_5_vl", "llava"])
def test_frames_behind_the_question_are_asked_about_anew_and_answers_are_the_same(
    name, checkpoint_of, asked_anew, small_sampling, tmp_path
):
    """A template with the question first: what prompts have in common ends before the frames."""
    folder = shutil.copytree(checkpoint_of(name), tmp_path / "model")
    template = folder / "chat_template.jinja"
    turned = template.read_text().replace("in message['content'] %}", "in message['content'] | reverse %}")
    assert turned != template.read_text()
    template.write_text(turned)
    unit = synthetic_frames(small_sampling, num_windows=3)
    engine = engine_of(folder, micro_batch_windows=2)
    seen = {number: tower_calls(engine, unit, QUESTIONS[:number]) for number in (1, 4)}
    assert seen[4] > seen[1] > 0
    found = engine.ask(unit, QUESTIONS)
    tokenizer, ask = asked_anew(folder)
    for place, question in enumerate(QUESTIONS):
        for window in range(3):
            tokens, probabilities = ask(unit, window, question)
            np.testing.assert_allclose(found.probabilities[place][window], probabilities, rtol=1e-4)
            assert found.texts[window][place] == tokenizer.decode(tokens, skip_special_tokens=True)
    assert np.ptp(np.log(found.probabilities[0][:, 0])) > 1e-4  # else equality would say nothing of frames


def tower_calls(engine, unit, questions):
    """How often anything in a model called a tower is run."""
    calls = []
    checkpoint = engine.checkpoint
    handle = checkpoint.family.tower(checkpoint.model).register_forward_hook(lambda *_: calls.append(1))
    engine.ask(unit, questions)
    handle.remove()
    return len(calls)


@pytest.mark.parametrize("name", ["fast_vlm", "qwen2_5_vl"])
def test_what_is_drawn_depends_on_seed_vote_question_and_window_alone(name, checkpoint_of, small_sampling):
    unit = synthetic_frames(small_sampling, num_windows=4)
    questions = [replace(question, max_tokens=6) for question in QUESTIONS]
    decoding = Decoding(temperature=1.0, seed=3)
    together = engine_of(checkpoint_of(name), micro_batch_windows=3).ask(unit, questions, decoding=decoding)
    engine = engine_of(checkpoint_of(name), micro_batch_windows=1)
    rest = replace(
        unit,
        window_frames=unit.window_frames[1:],
        window_start_us=unit.window_start_us[1:],
        window_end_us=unit.window_end_us[1:],
    )
    alone = engine.ask(rest, questions[2:3], decoding=decoding)
    assert [texts[2] for texts in together.texts[1:]] == [texts[0] for texts in alone.texts]
    for other in (replace(decoding, seed=4), replace(decoding, vote=1)):
        assert engine.ask(rest, questions[2:3], decoding=other).texts != alone.texts
    assert len({texts[2] for texts in together.texts}) > 1


def test_every_answer_stops_at_its_own_end_token(checkpoint_of, small_sampling, tmp_path):
    """The second token of one answer is named as one that ends answers."""
    unit = synthetic_frames(small_sampling, num_windows=3)
    decoding = Decoding(temperature=1.0, seed=2)
    folder = shutil.copytree(checkpoint_of("fast_vlm"), tmp_path / "model")

    def replies(max_tokens):
        questions = [replace(question, max_tokens=max_tokens) for question in QUESTIONS[:2]]
        return engine_of(folder).ask(unit, questions, decoding=decoding)

    one, two, whole = (replies(max_tokens) for max_tokens in (1, 2, 6))
    tokenizer = loaded(folder).processor.tokenizer
    [end] = tokenizer.encode(two.texts[0][0].removeprefix(one.texts[0][0]), add_special_tokens=False)
    settings = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps({**settings, "eos_token_id": [end]}))
    ended = replies(6)
    assert (ended.texts[0][0], ended.num_tokens[0, 0]) == (two.texts[0][0], 2)
    assert ended.num_tokens.max() == 6
    for window, place in np.ndindex(3, 2):
        assert whole.texts[window][place].startswith(ended.texts[window][place])
        assert (ended.texts[window][place] == whole.texts[window][place]) == (ended.num_tokens[window, place] == 6)
    anew = AskedAnew(loaded(folder).family.runner(loaded(folder)))
    anew.begin(unit, [replace(question, max_tokens=6) for question in QUESTIONS[:2]], decoding)
    asked_anew = anew.answered(slice(0, 3))
    assert asked_anew.texts == ended.texts
    assert asked_anew.num_tokens.tolist() == ended.num_tokens.tolist()
