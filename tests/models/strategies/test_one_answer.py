"""Strategies that ask once about all activities: list, json, vector."""

import json

import pytest

from nrray.errors import ModelError
from nrray.labels import LabelSet, read_label_set
from nrray.models import CheckpointChoice, resolve_checkpoint
from nrray.models.strategies.json import JsonStrategy
from nrray.models.strategies.list import ListStrategy
from nrray.models.strategies.vector import VectorStrategy
from nrray.types import NO_STATE, STATE_INDEX, LabelState
from tests.models.strategies.scripted import labelled

LABELS = read_label_set()  # baby_visible, ventilation, stimulation, suction
PRESENT, ABSENT, UNSURE, UNPARSED = (
    STATE_INDEX[state] for state in (LabelState.PRESENT, LabelState.ABSENT, LabelState.UNSURE, LabelState.UNPARSED)
)
KITCHEN = LabelSet(
    name="kitchen",
    activities=(
        {"name": "being_cut", "question": "Is something cut?", "definition": "A knife goes through food"},
        {"name": "frying", "question": "Is food in a hot pan?"},
    ),
)


@pytest.fixture(scope="module")
def embedded():
    return resolve_checkpoint(CheckpointChoice())


@pytest.mark.parametrize(
    ("strategy", "answers", "states"),
    [
        (ListStrategy(), ["Ventilation, baby visible", "none", "I see a pan"], [[0, 0, 1, 1], [1] * 4, [3] * 4]),
        (VectorStrategy(), ["1,0,0,1", "0 0 0 0", "1,0,0"], [[0, 1, 1, 0], [1] * 4, [3] * 4]),
        (
            JsonStrategy(),
            ['{"baby_visible": true, "ventilation": false, "stimulation": null}', "{}", "null"],
            [[0, 1, 2, 3], [3] * 4, [3] * 4],
        ),
    ],
)
def test_one_answer_is_about_every_activity(strategy, answers, states):
    assert (PRESENT, ABSENT, UNSURE, UNPARSED) == (0, 1, 2, 3)
    engine, labels = labelled(strategy, LABELS, [answers])
    assert len(engine.asked) == 1
    assert labels.states.tolist() == states
    assert labels.answers.questions == ("activities",)
    assert labels.answers.texts == [[answer] for answer in answers]
    is_read = [NO_STATE if strategy.parsed(answer, LABELS) is not None else UNPARSED for answer in answers]
    assert labels.answers.states.tolist() == [[state] for state in is_read]


def test_votes_are_counted_for_each_activity():
    strategy = VectorStrategy(votes=3, temperature=1.0)
    _, labels = labelled(strategy, LABELS, [["1,0,0,1"], ["1,1,0,0"], ["what?"]])
    assert labels.states.tolist() == [[PRESENT, UNSURE, ABSENT, UNSURE]]
    assert labels.answers.questions == ("activities", "activities#2", "activities#3")


def test_a_prompt_has_preamble_rules_activities_and_what_to_answer(embedded):
    prompts = {"preamble": "A stove and a table."}
    kitchen = LabelSet(**{**KITCHEN.model_dump(), "prompts": prompts, "rules": {"exclusive": [KITCHEN.names]}})
    strategy = ListStrategy(rules="told", wording="defined", instruction="Which?")
    assert strategy.prompts(embedded, kitchen) == {
        "activities": "A stove and a table. At most one of these goes on at a time: being cut, frying.\n"
        "Activities:\n- being cut: A knife goes through food.\n- frying: Is food in a hot pan?\nWhich?"
    }


@pytest.mark.parametrize(
    ("strategy", "end"),
    [
        (ListStrategy(), "with their names alone, separated by commas, or with the word none."),
        (VectorStrategy(), "Answer with 2 numbers alone, separated by commas: 1 for an activity that is going on and 0 for one "
         "that is not, in this order: being cut, frying."),
        (JsonStrategy(), 'Its keys are "being_cut", "frying"; the value of a key is true where that activity is going on and '
         "false where it is not."),
    ],
)  # fmt: skip
def test_a_prompt_ends_with_the_form_of_the_answer_and_knows_no_other_domain(strategy, end, embedded):
    (question,) = strategy.asked(embedded, KITCHEN)
    assert question.text.endswith(end)
    assert "newborn" not in question.text
    assert "baby" not in question.text
    assert question.max_tokens == 48


def test_the_packaged_models_are_told_questions_and_others_definitions(embedded, image_folder):
    other = resolve_checkpoint(CheckpointChoice(path=str(image_folder)))
    assert "- being cut: Is something cut?" in ListStrategy().prompts(embedded, KITCHEN)["activities"]
    assert "- being cut: A knife goes through food." in ListStrategy().prompts(other, KITCHEN)["activities"]


def test_each_parser_is_in_the_identity(embedded):
    parsers = [
        strategy.identity(embedded, LABELS)["parser"] for strategy in (ListStrategy(), JsonStrategy(), VectorStrategy())
    ]
    assert parsers == ["names/1", "json_booleans/1", "zeros_and_ones/1"]


def test_a_constrained_object_has_a_schema_and_needs_what_keeps_to_it(embedded, monkeypatch):
    strategy = JsonStrategy(constrained=True)
    (question,) = strategy.asked(embedded, KITCHEN)
    schema = json.loads(question.schema)
    assert schema["required"] == ["being_cut", "frying"]
    assert schema["additionalProperties"] is False
    strategy.check(embedded, KITCHEN)
    monkeypatch.setattr("nrray.models.strategies.json.find_spec", lambda _: None)
    with pytest.raises(ModelError, match=r"strategy.constrained: .* not installed. pip install 'nrray\[schema\]'"):
        strategy.check(embedded, KITCHEN)
    assert JsonStrategy().asked(embedded, KITCHEN)[0].schema is None


def kitchen_of(*names):
    return LabelSet(name="kitchen", activities=tuple({"name": name, "question": f"{name}?"} for name in names))


def test_names_that_no_answer_could_tell_apart_are_refused(embedded):
    with pytest.raises(ModelError, match=r"found the activities a_b and a__b, which read the same"):
        ListStrategy().check(embedded, kitchen_of("a_b", "a__b"))
    with pytest.raises(ModelError, match=r"found an activity called none"):
        ListStrategy().check(embedded, kitchen_of("none", "frying"))
