"""The prompts of a label set: what a model is told and asked beside each activity's question, what a judge is shown, and by which
words a caption claims an activity. All of it is optional; what is left out follows from the activities themselves."""

import re
from functools import lru_cache

from pydantic import Field, field_validator

from nrray.config import Section

CAPTION_QUESTION = "Describe what is seen."
NOTHING_SEEN = "Nothing is seen."
NEGATIONS = ("no", "not", "nobody", "nothing", "none", "never", "without", "cannot", "neither", "nor", "*n't")


class ActivityPrompts(Section):
    """What is said and read about one activity; None, or nothing: as its definition, else its question or name, has it."""

    focus: str | None = Field(None, min_length=1, description="what a caption about it pays attention to")
    present_example: str | None = Field(None, min_length=1, description="a caption of which it is true, for a judge")
    absent_example: str | None = Field(None, min_length=1, description="a caption of which it is not true, for a judge")
    claims: tuple[str, ...] = Field(
        (), description="phrases that claim it: * is the rest of a word, ... is any words of the sentence"
    )

    @field_validator("claims")
    @classmethod
    def _phrases_with_words(cls, claims: tuple[str, ...]) -> tuple[str, ...]:
        if empty := [claim for claim in claims if not re.search(r"\w", claim)]:
            raise ValueError(f"found {empty[0]!r}, expected a phrase with a word")
        return claims


class Prompts(Section):
    """What a model is told and asked beside the questions. No part of a label set's digest: each text that a model is given
    stands in the identity of the output that it decided."""

    preamble: str | None = Field(None, min_length=1, description="before every prompt: what the videos are of")
    caption: str = Field(CAPTION_QUESTION, min_length=1, description="asks for a caption of a whole window")
    negations: tuple[str, ...] = Field(
        NEGATIONS, description="words that take a claim back; * is the beginning or the rest of a word"
    )
    activities: dict[str, ActivityPrompts] = Field({}, description="by the name of an activity")


def claims_any(text: str, phrases: tuple[str, ...], *, negations: tuple[str, ...] = NEGATIONS) -> bool:
    """Whether `text` claims one of `phrases`, as `claims_and_denials` has it."""
    return claims_and_denials(text, phrases, negations=negations)[0]


def claims_and_denials(
    text: str, phrases: tuple[str, ...], *, negations: tuple[str, ...] = NEGATIONS
) -> tuple[bool, bool]:
    """Whether `text` claims one of `phrases`, and whether it denies one, in any case of letters: one that stands in a clause with
    a negation before or in it is denied. Clauses end at punctuation, "and", "but" and "while"; the words of a phrase stand in one
    sentence."""
    negation = _pattern(negations)
    denied = {
        negation.search(text, _clause_start(text, found.start()), found.end()) is not None
        for found in _pattern(phrases).finditer(text)
    }
    return False in denied, True in denied


def _clause_start(text: str, position: int) -> int:
    ends = [found.end() for found in _CLAUSE_END.finditer(text, 0, position)]
    return ends[-1] if ends else 0


_CLAUSE_END = re.compile(r"[.!?;:,\n]|\b(?:and|but|while)\b", re.IGNORECASE)


@lru_cache(maxsize=256)
def _pattern(phrases: tuple[str, ...]) -> re.Pattern[str]:
    if not phrases:
        return re.compile(r"(?!)")  # matches nothing
    return re.compile("|".join(rf"(?<!\w){_phrase(phrase)}(?!\w)" for phrase in phrases), re.IGNORECASE)


def _phrase(phrase: str) -> str:
    gaps = [part.split() for part in phrase.strip(" .").split("...")]
    words = [r"\s+".join(re.escape(word).replace(r"\*", r"\w*") for word in part) for part in gaps if part]
    return r"\b[^.!?;\n]*?\b".join(words)
