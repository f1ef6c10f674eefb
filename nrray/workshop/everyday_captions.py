"""An everyday scene in words of a closed grammar: facts to a caption and back, and yes/no questions with their true answers.

A sentence for the things, one for each hand, one for people who pass. No word of it is about a patient or their care.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nrray.workshop.everyday import STICK_DEEDS, STILL_OF, TOUCHING_DEEDS, Deed, Kind, Scene, Stick, choice, is_moving

_HAND_SENTENCES: Mapping[Deed, str] = {
    Deed.SQUEEZE: "A hand squeezes the {thing}.",
    Deed.WAVE: "A hand waves the {thing}.",
    Deed.HOLD: "A hand holds the {thing}.",
    Deed.RUB: "A hand rubs the {thing}.",
    Deed.REST: "A hand rests on the {thing}.",
    Deed.ROAM: "A hand moves beside the {thing}.",
    Deed.WAIT: "A hand is still beside the {thing}.",
    Deed.STIR: "A hand moves a {stick} in the {thing}.",
    Deed.DIP: "A hand holds a {stick} in the {thing}.",
    Deed.SWAY: "A hand moves a {stick} beside the {thing}.",
    Deed.POINT: "A hand holds a {stick} beside the {thing}.",
}
_DEED_QUESTIONS: Mapping[Deed, tuple[str, ...]] = {
    Deed.SQUEEZE: ("Does a hand squeeze the {thing}?", "Is somebody squeezing the {thing}?"),
    Deed.WAVE: ("Does a hand wave the {thing}?", "Is somebody waving the {thing}?"),
    Deed.HOLD: ("Is the {thing} held still?", "Is somebody holding the {thing} still?"),
    Deed.RUB: ("Does a hand rub the {thing}?", "Is somebody rubbing the {thing}?"),
    Deed.REST: ("Does a hand rest on the {thing}?", "Is a hand still on the {thing}?"),
    Deed.ROAM: ("Does a hand move beside the {thing}?", "Is somebody moving a hand beside the {thing}?"),
    Deed.WAIT: ("Is a hand still beside the {thing}?",),
    Deed.STIR: ("Does a hand move a {stick} in the {thing}?", "Is somebody moving a {stick} in the {thing}?"),
    Deed.DIP: ("Is a {stick} held still in the {thing}?", "Is a {stick} in the {thing} and still?"),
    Deed.SWAY: ("Does a hand move a {stick} beside the {thing}?", "Is somebody moving a {stick} beside the {thing}?"),
    Deed.POINT: ("Is a {stick} held still beside the {thing}?",),
}
_THERE_QUESTIONS = ("Is there a {thing}?", "Is a {thing} visible on the table?")
_TOUCH_QUESTION = "Does a hand touch the {thing}?"
_HAND_QUESTION = "Is there a hand?"
_MOTION_QUESTION = "Does a hand move?"
_PASSER_QUESTION = "Does somebody pass?"
_NO_HAND = "No hand is seen."
_PASSES, _PASSES_NOT = "Somebody passes.", "Nobody passes."
BLANK_CAPTION = "Nothing is seen."
_DEED_SHARE = 0.75  # of questions are about a deed


@dataclass(frozen=True, kw_only=True, order=True)
class HandFact:
    """A hand's deed, by the names of deed, thing and stick."""

    deed: Deed
    thing: Kind
    stick: Stick | None


@dataclass(frozen=True, kw_only=True)
class EverydayFacts:
    """What a caption says; in the order in which it says it. Without things there is nothing to see at all."""

    things: tuple[Kind, ...]
    hands: tuple[HandFact, ...]
    passes: bool


NOTHING = EverydayFacts(things=(), hands=(), passes=False)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A yes/no question with its true answer; about: the deed, or "there", "touch", "hand", "motion", "passer"."""

    question: str
    is_true: bool
    about: str


def facts_of(scene: Scene) -> EverydayFacts:
    hands = [HandFact(deed=hand.deed, thing=scene.things[hand.thing].kind, stick=hand.stick) for hand in scene.hands]
    return EverydayFacts(
        things=tuple(sorted((thing.kind for thing in scene.things), key=lambda kind: kind.value)),
        hands=tuple(sorted(hands, key=hand_sentence)),
        passes=scene.passer is not None,
    )


def caption_of(facts: EverydayFacts) -> str:
    """The caption that says exactly these facts."""
    if not facts.things:
        return BLANK_CAPTION
    hands = [hand_sentence(hand) for hand in facts.hands] or [_NO_HAND]
    return " ".join([things_sentence(facts.things), *hands, _PASSES if facts.passes else _PASSES_NOT])


def claims_of(caption: str) -> EverydayFacts | None:
    """The facts that a caption says; None where it is none of the grammar's."""
    if caption == BLANK_CAPTION:
        return NOTHING
    sentences = re.findall(r"[^.]+\.", caption)
    if len(sentences) < 3 or "".join(sentences) != caption:
        return None
    first, *middle, last = (sentence.strip() for sentence in sentences)
    things = tuple(Kind(word) for word in re.findall(r"\ba (\w+)", first.lower()) if word in _KIND_NAMES)
    hands = () if middle == [_NO_HAND] else tuple(_HAND_FACTS.get(sentence) for sentence in middle)
    if not things or first != things_sentence(things) or None in hands or last not in (_PASSES, _PASSES_NOT):
        return None
    return EverydayFacts(things=things, hands=hands, passes=last == _PASSES)  # type: ignore[arg-type]


def told_facts(facts: EverydayFacts) -> NDArray[np.bool_]:
    """(42,) truth of single facts: which things are there and which a hand is engaged with, which deeds and sticks there
    are, whether there are one hand, two, and somebody who passes."""
    engaged, deeds = {hand.thing for hand in facts.hands}, {hand.deed for hand in facts.hands}
    sticks = {hand.stick for hand in facts.hands}
    found = [
        *(kind in facts.things for kind in Kind),
        *(kind in engaged for kind in Kind),
        *(deed in deeds for deed in Deed),
        *(stick in sticks for stick in Stick),
        len(facts.hands) > 0,
        len(facts.hands) > 1,
        facts.passes,
    ]
    return np.array(found, bool)


def things_sentence(things: Sequence[Kind]) -> str:
    names = [f"a {thing.value}" for thing in things]
    joined = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{joined[0].upper()}{joined[1:]} {'is' if len(names) == 1 else 'are'} seen."


def hand_sentence(hand: HandFact) -> str:
    return _filled(_HAND_SENTENCES[hand.deed], hand)


def asked_of(facts: EverydayFacts, random: np.random.Generator) -> Asked:
    """A question about the scene: as often true as not where both can be asked; most are about a hand's deed."""
    wanted = bool(facts.things) and bool(random.random() < 0.5)
    if facts.hands and random.random() < _DEED_SHARE:
        hand = choice(random, facts.hands)
        return deed_question(hand if wanted else _false_deed(facts, hand, random), random, facts=facts)
    about = choice(random, ("there", "touch", "hand", "motion", "passer"))
    if about == "there":
        pool = facts.things if wanted else tuple(kind for kind in Kind if kind not in facts.things)
        question = choice(random, _THERE_QUESTIONS).format(thing=choice(random, pool).value)
        return Asked(question=question, is_true=wanted, about=about)
    if about == "touch":
        thing = choice(random, facts.things or tuple(Kind))
        touched = {hand.thing for hand in facts.hands if hand.deed in TOUCHING_DEEDS}
        return Asked(question=_TOUCH_QUESTION.format(thing=thing.value), is_true=thing in touched, about=about)
    truths = {
        "hand": (_HAND_QUESTION, bool(facts.hands)),
        "motion": (_MOTION_QUESTION, any(is_moving(hand.deed) for hand in facts.hands)),
        "passer": (_PASSER_QUESTION, facts.passes),
    }
    question, is_true = truths[about]
    return Asked(question=question, is_true=is_true, about=about)


def deed_question(hand: HandFact, random: np.random.Generator, *, facts: EverydayFacts) -> Asked:
    """Whether `hand` is among the facts, in words."""
    question = _filled(choice(random, _DEED_QUESTIONS[hand.deed]), hand)
    return Asked(question=question, is_true=hand in facts.hands, about=hand.deed.value)


def look_alike(hand: HandFact, random: np.random.Generator) -> HandFact:
    """The same hand, still instead of moving, or moving instead of still."""
    if is_moving(hand.deed):
        return _changed(hand, deed=STILL_OF[hand.deed])
    return _changed(hand, deed=choice(random, [motion for motion, still in STILL_OF.items() if still is hand.deed]))


def grammar_sentences() -> list[str]:
    """Every sentence and question of the grammar, for the tokenizer's vocabulary."""
    sentences = [BLANK_CAPTION, _NO_HAND, _PASSES, _PASSES_NOT, _HAND_QUESTION, _MOTION_QUESTION, _PASSER_QUESTION]
    for kind in Kind:
        other = next(option for option in Kind if option is not kind)
        sentences += [things_sentence([kind]), things_sentence([kind, other]), things_sentence([other, kind])]
        sentences += [question.format(thing=kind.value) for question in (*_THERE_QUESTIONS, _TOUCH_QUESTION)]
    for sentence, hand in _HAND_FACTS.items():
        sentences += [sentence, *(_filled(question, hand) for question in _DEED_QUESTIONS[hand.deed])]
    return sentences


def _false_deed(facts: EverydayFacts, hand: HandFact, random: np.random.Generator) -> HandFact:
    """A deed that is not going on and nearly is: the look-alike, the same deed with another thing, or another deed."""
    others = [kind for kind in facts.things if kind is not hand.thing] or list(Kind)
    options = [
        look_alike(hand, random),
        look_alike(hand, random),
        _changed(hand, thing=choice(random, others)),
        _changed(hand, deed=choice(random, tuple(Deed))),
    ]
    false = [option for option in options if option not in facts.hands]
    return choice(random, false)


def _changed(hand: HandFact, *, deed: Deed | None = None, thing: Kind | None = None) -> HandFact:
    deed = deed or hand.deed
    stick = (hand.stick or Stick.STRAW) if deed in STICK_DEEDS else None
    return HandFact(deed=deed, thing=thing or hand.thing, stick=stick)


def _filled(template: str, hand: HandFact) -> str:
    return template.format(thing=hand.thing.value, stick=hand.stick.value if hand.stick is not None else "")


_KIND_NAMES = {kind.value for kind in Kind}
_HAND_FACTS: Mapping[str, HandFact] = {
    hand_sentence(fact): fact
    for deed in Deed
    for kind in Kind
    for stick in (tuple(Stick) if deed in STICK_DEEDS else (None,))
    for fact in (HandFact(deed=deed, thing=kind, stick=stick),)
}
