import numpy as np
import pytest

from nrray.errors import ModelError
from nrray.labels import LabelSet, Rules, read_label_set
from nrray.models import CheckpointChoice, resolve_checkpoint
from nrray.models.strategies.multiple_choice import MultipleChoiceStrategy
from nrray.types import NO_STATE, STATE_INDEX, LabelState
from tests.models.strategies.scripted import labelled

LABELS = read_label_set()  # baby_visible, ventilation, stimulation, suction
PRESENT, ABSENT, UNPARSED = (
    STATE_INDEX[state] for state in (LabelState.PRESENT, LabelState.ABSENT, LabelState.UNPARSED)
)


def labels_of(*names, **rules):
    activities = tuple({"name": name, "question": f"{name}?"} for name in names)
    return LabelSet(name="made", activities=activities, rules=Rules(**rules))


def options(label_set, **settings):
    return [tuple(sorted(option)) for option in MultipleChoiceStrategy(**settings).options(label_set)]


def test_options_are_the_sets_that_the_rules_allow():
    assert options(labels_of("a", "b")) == [(), ("a",), ("b",), ("a", "b")]
    assert options(labels_of("a", "b", "c", exclusive=(("a", "b"),))) == [
        (),
        ("a",),
        ("b",),
        ("c",),
        ("a", "c"),
        ("b", "c"),
    ]
    assert options(labels_of("a", "seen", requires_visible="seen")) == [(), ("seen",), ("a", "seen")]
    assert len(options(LABELS)) == 7


def test_phases_are_one_option_each_and_too_many_sets_are_refused():
    names = tuple("abcdefghijklmnopqrstuvwxy")
    assert len(options(labels_of(*names, exclusive=(names,)))) == 26
    checkpoint = resolve_checkpoint(CheckpointChoice())
    many = labels_of(*names)
    with pytest.raises(ModelError, match=r"found more than 26 sets of the 25 activities.*Set strategy.max_together"):
        MultipleChoiceStrategy().check(checkpoint, many)
    MultipleChoiceStrategy(max_together=1).check(checkpoint, many)


def test_every_option_stands_behind_another_letter_in_every_order():
    strategy = MultipleChoiceStrategy(orders=3)
    asked = strategy.asked(resolve_checkpoint(CheckpointChoice()), labels_of("a", "b", exclusive=(("a", "b"),)))
    assert [question.name for question in asked] == ["order 1", "order 2", "order 3"]
    assert [question.choice_names for question in asked] == [
        ("none of them", "a", "b"),
        ("a", "b", "none of them"),
        ("b", "none of them", "a"),
    ]
    assert asked[1].text.endswith(
        "Options:\nA. a\nB. b\nC. none of them\nWhich of these is the case? Answer with one letter."
    )
    assert asked[1].choices == (("A", " A"), ("B", " B"), ("C", " C"))
    assert len(MultipleChoiceStrategy(orders=26).asked(resolve_checkpoint(CheckpointChoice()), LABELS)) == 7


AB = labels_of("a", "b", exclusive=(("a", "b"),))  # options: none, a, b


def test_probabilities_are_averaged_over_orders_and_the_likeliest_option_is_the_state():
    # A model that prefers the letter A, and option a a little.
    script = [[[0.5, 0.3, 0.0]], [[0.6, 0.1, 0.1]], [[0.4, 0.0, 0.4]]]
    _, labels = labelled(MultipleChoiceStrategy(orders=3), AB, script)
    a = (0.3 + 0.6 + 0.4) / 0.8 / 3
    b = (0.0 + 0.1 + 0.4) / 0.8 / 3
    np.testing.assert_allclose(labels.scores, [[a, b]], rtol=1e-5)
    assert labels.states.tolist() == [[PRESENT, ABSENT]]
    assert labels.answers.states.tolist() == [[NO_STATE] * 3]
    assert labels.answers.texts[0][0].startswith("none of them 0.5; a 0.3")  # the orders disagree, and it is seen
    assert labels.answers.texts[0][1].startswith("a 0.6")


def test_an_order_that_says_no_letter_is_unparsed_and_not_averaged():
    script = [[[0.1, 0.1, 0.1]], [[0.0, 0.9, 0.0]], [[np.nan, 0.9, 0.0]]]
    _, labels = labelled(MultipleChoiceStrategy(orders=3), AB, script)
    assert labels.answers.states.tolist() == [[UNPARSED, NO_STATE, UNPARSED]]
    assert labels.states.tolist() == [[ABSENT, PRESENT]]
    np.testing.assert_allclose(labels.scores, [[0, 1]])


def test_a_model_that_says_no_letter_in_any_order_says_nothing():
    _, labels = labelled(MultipleChoiceStrategy(orders=2), AB, [[[0.1, 0.1, 0.1]]] * 2)
    assert labels.states.tolist() == [[UNPARSED, UNPARSED]]
    assert np.isnan(labels.scores).all()
