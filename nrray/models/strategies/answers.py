"""Answers in words, parsed strictly: a text that is neither a plain yes nor a plain no is unparsed, and never "no"."""

import re

from nrray.types import LabelState

PARSER = "plain_yes_or_no/1"  # name and version, of which the identity of outputs is made
_PLAIN = re.compile(r"(?P<word>yes|no)\b(?![-'\u2019])(?P<rest>.*)", flags=re.IGNORECASE | re.DOTALL)
_WORDS = re.compile(r"\b(yes|no)\b", flags=re.IGNORECASE)


def parse_answer(answer: str) -> LabelState:
    """PRESENT for an answer that opens with yes, ABSENT for one that opens with no, else UNPARSED.

    An answer that says both ("Yes and no", "No, wait: yes") is unparsed too.
    """
    match = _PLAIN.match(answer.strip().lstrip("\"'*`([ ").lstrip())
    if match is None:
        return LabelState.UNPARSED
    word = match["word"].lower()
    if any(other.lower() != word for other in _WORDS.findall(match["rest"])):
        return LabelState.UNPARSED
    return LabelState.PRESENT if word == "yes" else LabelState.ABSENT
