import pytest

from nrray.models.strategies.answers import parse_answer
from nrray.types import LabelState


@pytest.mark.parametrize("answer", ["yes", "Yes", "YES.", " Yes, the baby is ventilated", '"Yes"', "yes\n", "**Yes**"])
def test_an_answer_that_opens_with_yes_is_present(answer):
    assert parse_answer(answer) is LabelState.PRESENT


@pytest.mark.parametrize("answer", ["no", "No.", "NO", "No, nobody touches it", " no\nthe table is empty"])
def test_an_answer_that_opens_with_no_is_absent(answer):
    assert parse_answer(answer) is LabelState.ABSENT


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "maybe",
        "I cannot tell",
        "nothing",
        "None",
        "noticeably",
        "yesterday",
        "not sure",
        "Yes and no",
        "No, wait: yes",
        "The answer is yes",
        "no-one knows",
        "1",
    ],
)
def test_anything_else_is_unparsed_and_never_absent(answer):
    assert parse_answer(answer) is LabelState.UNPARSED
