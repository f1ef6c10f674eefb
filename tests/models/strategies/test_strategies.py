"""Which strategy labels, what of it is recorded, and where it is refused."""

import json
import shutil

import pytest

from nrray.config import Section, validate_mapping
from nrray.errors import ConfigError, ModelError
from nrray.models import (
    CheckpointChoice,
    HeadStrategy,
    Strategy,
    YesNoStrategy,
    resolve_checkpoint,
    resolve_strategy,
    strategy_of_release_before,
)
from nrray.models.strategies.wording import Wording
from nrray.models.strategies.yes_no import INSTRUCTION


def resolved(folder):
    return resolve_checkpoint(CheckpointChoice(path=str(folder)))


@pytest.fixture(scope="module")
def embedded():
    return resolve_checkpoint(CheckpointChoice())


@pytest.fixture(scope="module")
def plain(image_folder):
    return resolved(image_folder)


class Chosen(Section):
    strategy: Strategy | None = None


def test_a_config_chooses_by_kind():
    def chosen(**section):
        return validate_mapping(Chosen, {"strategy": section}, where="here").strategy

    assert chosen(kind="head") == HeadStrategy()
    assert chosen(kind="yes_no", instruction="Yes or no?") == YesNoStrategy(instruction="Yes or no?")
    with pytest.raises(ConfigError, match=r"expected a kind of head, yes_no, list, .* or judge_json"):
        chosen(kind="guess")
    with pytest.raises(ConfigError, match=r"instructoin.*did you mean 'strategy.*instruction'"):
        chosen(kind="yes_no", instructoin="Yes or no?")


@pytest.mark.parametrize("kind", ["head", "yes_no", "list", "multiple_choice", "json", "vector", "judge"])
def test_a_section_with_all_its_defaults_is_read_again(kind):
    chosen = validate_mapping(Chosen, {"strategy": {"kind": kind}}, where="here")
    assert validate_mapping(Chosen, chosen.model_dump(mode="json"), where="here") == chosen


def test_without_a_choice_a_head_labels_where_there_is_one(embedded, plain, label_set):
    assert resolve_strategy(None, embedded, label_set) == HeadStrategy()
    assert resolve_strategy(None, plain, label_set) == YesNoStrategy()


def test_a_choice_is_kept(embedded, label_set):
    asked = YesNoStrategy(instruction="Yes or no?")
    assert resolve_strategy(asked, embedded, label_set) is asked


def test_a_head_that_is_not_there_is_refused(plain, label_set):
    with pytest.raises(ModelError, match=r"found head, but model .* has no nrray.json.*strategy.kind=yes_no"):
        resolve_strategy(HeadStrategy(), plain, label_set)


def test_a_head_of_another_label_set_is_refused_and_questions_are_not(embedded, label_set):
    fewer = label_set.model_copy(update={"activities": label_set.activities[:3]})
    with pytest.raises(ModelError, match="its head was trained for"):
        resolve_strategy(HeadStrategy(), embedded, fewer)
    assert resolve_strategy(YesNoStrategy(), embedded, fewer) == YesNoStrategy()


def test_an_encoder_is_not_asked_in_words(checkpoint_of, label_set):
    encoder = resolved(checkpoint_of("vjepa2"))
    with pytest.raises(ModelError, match=r"found yes_no, but .* a 'vjepa2' checkpoint, which knows no words"):
        resolve_strategy(YesNoStrategy(), encoder, label_set)
    with pytest.raises(ModelError, match="knows no words and has no head"):
        resolve_strategy(None, encoder, label_set)


def test_a_head_that_would_read_a_prompt_is_refused_on_an_encoder(
    checkpoint_of, tmp_path, label_set, small_sampling, add_head
):
    folder = shutil.copytree(checkpoint_of("vjepa2"), tmp_path / "model")
    add_head(folder, label_set=label_set, sampling=small_sampling)  # of the last token
    with pytest.raises(ModelError, match="found a head of pooling last on a 'vjepa2' checkpoint, expected one of mean"):
        resolve_strategy(None, resolved(folder), label_set)


def test_the_identity_of_a_head_is_its_prompt_thresholds_and_rules(embedded, label_set):
    assert HeadStrategy().identity(embedded, label_set) == {
        "kind": "head",
        "prompt": "Which activities are going on?",
        "thresholds": "checkpoint",
        "applies_rules": True,
    }


def test_the_identity_of_questions_has_them_word_for_word(plain, label_set):
    identity = YesNoStrategy(instruction="Yes or no?", answer_tokens=4).identity(plain, label_set)
    suction = label_set.activities[3]
    assert identity["prompts"]["suction"] == f"{suction.description} {suction.question} Yes or no?"
    assert list(identity["prompts"]) == list(label_set.names)
    assert (identity["kind"], identity["engine"], identity["answer_tokens"]) == ("yes_no", "transformers", 4)
    assert identity["parser"] == "plain_yes_or_no/2"
    assert (identity["thresholds"], identity["applies_rules"]) == ("words", False)


def test_another_instruction_or_length_is_another_identity(plain, label_set):
    identities = [
        json.dumps(strategy.identity(plain, label_set))
        for strategy in (
            YesNoStrategy(),
            YesNoStrategy(instruction="Yes or no?"),
            YesNoStrategy(answer_tokens=4),
            YesNoStrategy(wording=Wording.QUESTION),
        )
    ]
    assert len(set(identities)) == 4


def test_another_definition_is_another_identity_where_it_is_asked(plain, label_set):
    first = label_set.activities[0].model_copy(update={"definition": "Something else."})
    other = label_set.model_copy(update={"activities": (first, *label_set.activities[1:])})
    assert YesNoStrategy().identity(plain, other) != YesNoStrategy().identity(plain, label_set)
    alone = YesNoStrategy(wording=Wording.QUESTION)
    assert alone.identity(plain, other) == alone.identity(plain, label_set)


def test_the_models_in_the_package_are_asked_as_they_were_taught(embedded, plain, label_set):
    suction = label_set.activities[3]
    taught = f"{suction.question} {INSTRUCTION}"
    assert YesNoStrategy().prompts(embedded, label_set)["suction"] == taught
    assert (
        YesNoStrategy(wording=Wording.DEFINED)
        .prompts(embedded, label_set)["suction"]
        .endswith(f"mouth and nose. {taught}")
    )
    assert YesNoStrategy(wording=Wording.QUESTION).prompts(plain, label_set)["suction"] == taught


def test_what_an_activity_does_not_say_leaves_no_empty_phrase(plain, label_set):
    bare = label_set.activities[3].model_copy(update={"definition": None, "starts": None, "ends": "It is out."})
    asked = YesNoStrategy().prompts(plain, label_set.model_copy(update={"activities": (bare,)}))
    assert asked == {"suction": f"It ends: It is out. {bare.question} {INSTRUCTION}"}
    silent = bare.model_copy(update={"ends": None})
    asked = YesNoStrategy().prompts(plain, label_set.model_copy(update={"activities": (silent,)}))
    assert asked == {"suction": f"{bare.question} {INSTRUCTION}"}


def test_outputs_that_record_no_strategy_were_made_by_a_head_or_by_questions_alone(embedded, plain, label_set):
    assert strategy_of_release_before(embedded, label_set) == HeadStrategy().identity(embedded, label_set)
    asked = YesNoStrategy(wording=Wording.QUESTION)
    read_otherwise = {**asked.identity(plain, label_set), "parser": "plain_yes_or_no/1"}
    assert strategy_of_release_before(plain, label_set) == read_otherwise
    assert YesNoStrategy().instruction == INSTRUCTION == "Answer with one word, yes or no."


def test_thresholds_of_a_head_are_the_training_s_and_others_go_through_the_rules(embedded, label_set):
    import numpy as np

    assert HeadStrategy().thresholds(embedded) == embedded.metadata.thresholds
    scores = np.array([[0.4, 0.9, 0.9, 0.2]], np.float32)  # nothing is present while the baby is not visible
    states = np.zeros((1, 4), np.uint8)

    def rethresholded(visible):
        thresholds = {"baby_visible": visible, "ventilation": 0.5, "stimulation": 0.5, "suction": 0.5}
        return HeadStrategy().rethresholded(scores, states, thresholds=thresholds, label_set=label_set)[0].tolist()

    assert rethresholded(0.5) == [1, 1, 1, 1]
    assert rethresholded(0.3) == [0, 0, 0, 1]
