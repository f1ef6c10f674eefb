import pytest

from nrray.errors import ConfigError
from nrray.label_prompts import CAPTION_QUESTION, Prompts, claims_any
from nrray.labels import LabelSet, read_label_set
from nrray.workshop.captions import all_sentences
from nrray.workshop.vlm import CAPTION_PROMPT

BARE = """
name: kitchen
activities:
- {name: being_cut, question: "Is something being cut?", definition: A knife goes through food}
- {name: frying, question: "Is food in a hot pan?"}
"""


def labels(tmp_path, text) -> LabelSet:
    (tmp_path / "labels.yaml").write_text(text)
    return read_label_set(tmp_path / "labels.yaml")


def test_without_prompts_all_follows_from_definitions_questions_and_names(tmp_path):
    bare = labels(tmp_path, BARE)
    assert bare.prompts == Prompts()
    assert [bare.caption_focus(name) for name in bare.names] == [
        "A knife goes through food.",
        "Is food in a hot pan?",
    ]
    assert [bare.present_example(name) for name in bare.names] == [
        "A knife goes through food.",
        "This is seen: frying.",
    ]
    assert {bare.absent_example(name) for name in bare.names} == {"Nothing is seen."}
    assert [bare.claims(name) for name in bare.names] == [("being cut",), ("frying",)]
    assert bare.claimed("Bread is being cut.") == (True, False)


def test_prompts_that_are_given_are_taken_and_the_others_still_follow(tmp_path):
    given = labels(
        tmp_path,
        BARE + "prompts: {preamble: A kitchen., activities: {frying: {focus: the pan, claims: [fry*, in a ... pan]}}}",
    )
    assert (given.prompts.preamble, given.prompts.caption) == ("A kitchen.", CAPTION_QUESTION)
    assert given.caption_focus("frying") == "the pan"
    assert given.present_example("frying") == "This is seen: frying."
    assert given.claimed("Onions fry in a large black pan.") == (False, True)


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ("{activities: {fryng: {}}}", r"prompts name unknown activities \['fryng'\]"),
        ("{activities: {frying: {claim: [x]}}}", "did you mean 'prompts.activities.frying.claims'"),
        ("{activities: {frying: {claims: ['...']}}}", "expected a phrase with a word"),
        ("{preambel: x}", "did you mean 'prompts.preamble'"),
        ("{preamble: ''}", "expected text of 1 or more characters"),
    ],
)
def test_prompts_that_cannot_be_used_are_refused(tmp_path, prompts, message):
    with pytest.raises(ConfigError, match=message):
        labels(tmp_path, f"{BARE}prompts: {prompts}\n")


@pytest.mark.parametrize(
    ("text", "is_claimed"),
    [
        ("A hand rubs the trunk.", True),
        ("A HAND RUBS\nTHE TRUNK", False),  # a line ends a sentence
        ("He is rubbing its small trunk", True),
        ("A hand rubs the leg. The trunk is bare.", False),  # one sentence
        ("A hand scrubs the trunk.", False),  # a whole word, or its beginning
        ("No hand rubs the trunk.", False),
        ("Nobody is there and a hand rubs the trunk.", True),  # the negation is of another clause
        ("Nobody, it seems, rubs the trunk", True),  # a rule, and no reader
        ("A hand isn't rubbing the trunk.", False),
        ("A hand rubs not the leg but the trunk.", False),
        ("", False),
    ],
)
def test_a_phrase_is_claimed_in_one_sentence_and_without_a_negation_in_its_clause(text, is_claimed):
    assert claims_any(text, ("rub* ... trunk",)) is is_claimed


def test_no_phrases_claim_nothing():
    assert not claims_any("Anything at all.", ())


def test_the_shipped_claims_read_the_captions_that_the_package_s_model_was_taught():
    shipped = read_label_set()
    claimed = {
        sentence: {
            name for name, is_claimed in zip(shipped.names, shipped.claimed(sentence), strict=True) if is_claimed
        }
        for sentence in all_sentences()
    }
    assert {sentence: found for sentence, found in claimed.items() if found} == {
        "A newborn lies on the table.": {"baby_visible"},
        "A mask is on the face and a hand squeezes the bag.": {"ventilation"},
        "A hand rubs the trunk.": {"stimulation"},
        "A tube moves in the mouth.": {"suction"},
    }


def test_the_shipped_examples_claim_what_they_are_examples_of():
    shipped = read_label_set()
    for place, name in enumerate(shipped.names):
        assert shipped.claimed(shipped.present_example(name))[place]
        assert not shipped.claimed(shipped.absent_example(name))[place]


def test_a_caption_is_asked_for_as_the_models_in_the_package_were_taught():
    assert CAPTION_QUESTION == read_label_set().prompts.caption == CAPTION_PROMPT
