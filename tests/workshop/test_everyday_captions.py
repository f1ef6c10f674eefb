import re

import numpy as np
import pytest

from nrray.labels import read_label_set
from nrray.workshop.everyday import STILL_OF, Deed, Kind, Stick, everyday_scene, is_moving
from nrray.workshop.everyday_captions import (
    BLANK_CAPTION,
    NOTHING,
    EverydayFacts,
    HandFact,
    asked_of,
    caption_of,
    claims_of,
    deed_question,
    facts_of,
    look_alike,
    told_facts,
)
from nrray.workshop.everyday_data import spoken_sentences

FACTS = [facts_of(everyday_scene(2, number)) for number in range(300)]
RUBBED = HandFact(deed=Deed.RUB, thing=Kind.BALL, stick=None)
SCENE = EverydayFacts(things=(Kind.BALL, Kind.CUP), hands=(RUBBED,), passes=False)


def test_every_caption_says_its_own_facts_and_no_others():
    for facts in [*FACTS, NOTHING]:
        assert claims_of(caption_of(facts)) == facts


def test_a_caption_says_things_then_hands_then_people():
    assert caption_of(SCENE) == "A ball and a cup are seen. A hand rubs the ball. Nobody passes."
    assert caption_of(NOTHING) == BLANK_CAPTION


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A ball is seen.",
        "A ball are seen. No hand is seen. Nobody passes.",
        "A ball is seen. A hand eats the ball. Nobody passes.",
        "A ball is seen. No hand is seen. Nobody passes. And",
    ],
)
def test_a_text_that_is_none_of_the_grammar_claims_nothing(text):
    assert claims_of(text) is None


def test_half_of_the_questions_about_deeds_are_true_and_others_have_both_answers():
    random = np.random.default_rng(0)
    asked = [asked_of(facts, random) for facts in FACTS for _ in range(5)]
    deeds = {deed.value for deed in Deed}
    assert 0.45 < np.mean([one.is_true for one in asked if one.about in deeds]) < 0.55
    for about in ("there", "touch", "hand", "motion", "passer"):
        assert {one.is_true for one in asked if one.about == about} == {True, False}


def test_answers_follow_from_the_facts():
    random = np.random.default_rng(0)
    assert deed_question(RUBBED, random, facts=SCENE).is_true
    rest = look_alike(RUBBED, random)
    assert rest == HandFact(deed=Deed.REST, thing=Kind.BALL, stick=None)
    assert not deed_question(rest, random, facts=SCENE).is_true
    found = {one.question: one.is_true for one in (asked_of(SCENE, random) for _ in range(600))}
    assert found["Does a hand rub the ball?"]
    assert found["Does a hand touch the ball?"]
    assert not found["Does a hand touch the cup?"]
    assert not found["Does a hand rub the cup?"]
    assert found["Is there a cup?"]
    assert found["Does a hand move?"]
    assert not found["Does somebody pass?"]


def test_everything_that_is_asked_of_nothing_is_answered_by_no():
    random = np.random.default_rng(0)
    assert not any(asked_of(NOTHING, random).is_true for _ in range(100))


def test_a_look_alike_moves_where_the_hand_is_still_and_has_the_same_thing():
    random = np.random.default_rng(0)
    for deed in Deed:
        hand = HandFact(deed=deed, thing=Kind.CUP, stick=Stick.SPOON if deed in (Deed.STIR, Deed.DIP) else None)
        other = look_alike(hand, random)
        assert is_moving(other.deed) != is_moving(deed)
        assert STILL_OF.get(deed, deed) is STILL_OF.get(other.deed, other.deed)
        assert other.thing is hand.thing


def test_no_word_is_about_a_newborn_or_its_care():
    told = set(re.findall(r"[a-z]+", " ".join(spoken_sentences()).lower()))
    care = set(
        re.findall(
            r"\w+",
            "newborn baby infant face mouth nose mask bag tube ventilation suction stimulation resuscitation trunk chest back "
            "leg limb head catheter breathing cpap",
        )
    )
    label_set = read_label_set()
    questions = " ".join(activity.question for activity in label_set.activities).lower()
    of_the_task = set(re.findall(r"[a-z]+", questions)) - told
    assert not told & care
    assert {"baby", "mask", "face", "trunk", "suction"} <= of_the_task


def test_single_facts_are_those_of_the_caption():
    facts = EverydayFacts(
        things=(Kind.BALL, Kind.CUP),
        hands=(HandFact(deed=Deed.STIR, thing=Kind.CUP, stick=Stick.SPOON),),
        passes=True,
    )
    told = told_facts(facts)
    names = [*Kind, *Kind, *Deed, *Stick, "a hand", "two hands", "somebody passes"]
    assert len(told) == len(names)
    said = [name for name, is_true in zip(names, told.tolist(), strict=True) if is_true]
    assert said == [Kind.BALL, Kind.CUP, Kind.CUP, Deed.STIR, Stick.SPOON, "a hand", "somebody passes"]
    assert not told_facts(NOTHING).any()
