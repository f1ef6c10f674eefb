import json
import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrray.models.strategies.answers import (
    MAX_CHARS,
    alike_names,
    parse_answer,
    parse_names,
    parse_object,
    parse_scored,
    parse_vector,
    scored_answer,
)
from nrray.types import LabelState

NAMES = ("being_cut", "frying", "serving")
YES, NO, UNSURE, UNPARSED = LabelState.PRESENT, LabelState.ABSENT, LabelState.UNSURE, LabelState.UNPARSED

NO_ANSWERS = {
    "nothing": "",
    "blanks": " \n\t ",
    "a refusal": "I'm sorry, but I can't help with identifying what happens in this video.",
    "another refusal": "As an AI language model, I am unable to watch videos.",
    "German": "Ja, es wird gebraten.",
    "French": "Oui, on coupe du pain",
    "Chinese": "是的 有人在切菜。",
    "Arabic": "نعم",
    "Greek letters that look Latin": "\u03bd\u03bf",
    "a question's echo": "Which of these activities are going on? Answer with their names alone, separated by commas",
    "a repeated word": "the the the the the the",
    "ten thousand tokens": "the pan is hot " * 2500,
    "half a JSON": '{"being_cut": true, "frying": fal',
    "HTML": "<html><body>502 Bad Gateway</body></html>",
    "a null": "\x00",
    "a lone surrogate": "\ud800",
    "a number that is no number of a vector": "42",
    "braces without an end": "{" * 10_000,
    "brackets without an end": '{"a":' * 10_000,
}


@pytest.mark.parametrize(
    "answer",
    ["yes", "Yes", "YES.", " Yes, the baby is ventilated", "Yes it is", '"Yes"', "yes\n", "**Yes**", "Yes (a mask)"],
)
def test_an_answer_that_opens_with_yes_is_present(answer):
    assert parse_answer(answer) is LabelState.PRESENT


@pytest.mark.parametrize(
    "answer", ["no", "No.", "NO", "No, nobody touches it", " no\nthe table is empty", "no - never", "No; it is still"]
)
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
        "yes no yes no yes no",
        "Answer with one word, yes or no.",
        '{"answer": "yes"}',
        "No idea",
        "no idea.",
        "No information is given about that.",
        "No comment",
        "No one is visible",
        "No way to tell",
        "No, I cannot tell.",
        "No, it is not clear whether the mask moves",
        "No, but I am not sure",
        "Yes, maybe",
        "Yes? I don\u2019t know.",
        "Yes, although it is hard to say",
        "Yes or no",
        "yes yes yes yes",
        "No. No. No. No. No.",
        "yes" + ", it is held" * 5,
        "no" + " " * MAX_CHARS,
    ],
)
def test_anything_else_is_unparsed_and_never_absent(answer):
    assert parse_answer(answer) is LabelState.UNPARSED


@pytest.mark.parametrize("answer", NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_what_is_no_answer_is_none_to_every_parser_and_soon(answer):
    started = time.perf_counter()
    assert parse_answer(answer) is UNPARSED
    assert parse_names(answer, NAMES) is None
    assert parse_object(answer, NAMES) is None
    assert parse_vector(answer, 3) is None
    assert parse_scored(answer, ("yes", "no")) is None
    assert time.perf_counter() - started < 2


@given(st.text())
def test_no_text_raises(answer):
    parse_answer(answer)
    parse_names(answer, NAMES)
    parse_object(answer, NAMES)
    parse_vector(answer, 3)
    parse_scored(answer, ("yes", "no"))


@given(st.text(alphabet='{}[]()":,;0123456789.-e \n`*truefalsnyco_', max_size=200))
def test_no_text_of_the_characters_of_answers_raises(answer):
    test_no_text_raises.hypothesis.inner_test(answer)


@pytest.mark.parametrize("blanks", [" " * MAX_CHARS, "\n" * MAX_CHARS])
@pytest.mark.parametrize("around", ["0{}x", "```{}", "[{}", "being cut{}, x", "{{{}"])
def test_a_long_run_of_blanks_takes_no_time(around, blanks):
    started = time.perf_counter()
    test_no_text_raises.hypothesis.inner_test(around.format(blanks[: MAX_CHARS - 20]))
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize(
    ("answer", "present"),
    [
        ("frying", {"frying"}),
        ("Frying, being cut", {"frying", "being_cut"}),
        ("being_cut; SERVING.", {"being_cut", "serving"}),
        ("- frying\n- serving", {"frying", "serving"}),
        ("1. frying\n2) serving\n", {"frying", "serving"}),
        ("frying and being cut", {"frying", "being_cut"}),
        ("frying, being cut, and serving", set(NAMES)),
        ("**frying**, `serving`", {"frying", "serving"}),
        ("```\nfrying\n```", {"frying"}),
        ('"frying"', {"frying"}),
        ("none", set()),
        ("None.", set()),
        (" NONE\n", set()),
    ],
)
def test_a_list_of_names_says_which_are_present_and_that_the_others_are_absent(answer, present):
    assert parse_names(answer, NAMES) == tuple(YES if name in present else NO for name in NAMES)


@pytest.mark.parametrize(
    "answer",
    [
        "frying, dancing",
        "none, frying",
        "none of them",
        "frying, frying",
        "frying frying frying",
        "No frying.",
        "not frying",
        "frying, serv",
        "Frying. The pan is hot.",
        "Frying is going on",
        "frying or serving",
        "Activities: frying",
        ",,,",
    ],
)
def test_a_list_with_anything_else_in_it_is_no_list(answer):
    assert parse_names(answer, NAMES) is None


def test_an_activity_with_and_in_its_name_is_one():
    names = ("bag_and_mask", "frying")
    assert parse_names("bag and mask and frying", names) is None  # not known where to part it
    assert parse_names("bag and mask, frying", names) == (YES, YES)


@pytest.mark.parametrize(
    "answer",
    [
        '{"being_cut": true, "frying": false, "serving": false}',
        '{"serving": false, "being_cut": true, "frying": false}',
        '```json\n{"being_cut": true,\n "frying": false, "serving": false}\n```',
        'Here is the object:\n{"being_cut": true, "frying": false, "serving": false}\nThe pan is cold.',
        '{"Being cut": true, "FRYING": false, "serving": false, "why": "a knife {moves}"}',
    ],
)
def test_an_object_of_booleans_is_read_in_a_fence_and_in_prose(answer):
    assert parse_object(answer, NAMES) == (YES, NO, NO)


@pytest.mark.parametrize(
    ("value", "state"),
    [
        ("true", YES),
        ("false", NO),
        ("null", UNSURE),
        ('"true"', UNPARSED),
        ('"yes"', UNPARSED),
        ("1", UNPARSED),
        ("0", UNPARSED),
        ("[true]", UNPARSED),
        ('{"frying": true}', UNPARSED),
        ("NaN", UNPARSED),
        ("1e999", UNPARSED),
    ],
)
def test_only_true_and_false_are_answers_about_an_activity(value, state):
    assert parse_object(f'{{"being_cut": true, "frying": {value}, "serving": false}}', NAMES) == (YES, state, NO)


def test_a_key_that_is_missing_or_stands_twice_is_unparsed_alone():
    assert parse_object('{"being_cut": true}', NAMES) == (YES, UNPARSED, UNPARSED)
    assert parse_object('{"being_cut": true, "frying": true, "Frying": false, "serving": false}', NAMES) == (
        YES,
        UNPARSED,
        NO,
    )
    assert parse_object('{"frying": true, "frying": true, "serving": false, "being_cut": false}', NAMES)[1] is UNPARSED


@pytest.mark.parametrize(
    "answer",
    [
        '{"frying": true} {"frying": false}',
        "{'being_cut': True}",
        '{"being_cut": true or false}',
        "[true, false, true]",
        '{"frying": ' + "9" * 5000 + "}",
        '{"frying": true' + " " * MAX_CHARS + "}",
    ],
)
def test_several_objects_or_none_are_no_answer(answer):
    assert parse_object(answer, NAMES) is None


@given(st.dictionaries(st.sampled_from(NAMES), st.sampled_from([True, False, None])))
def test_what_an_object_says_is_what_was_written(said):
    states = {True: YES, False: NO, None: UNSURE}
    expected = tuple(states[said[name]] if name in said else UNPARSED for name in NAMES)
    assert parse_object(json.dumps(said), NAMES) == expected


@pytest.mark.parametrize(
    "answer", ["1,0,1", "1, 0, 1", "[1, 0, 1]", "(1 0 1)", "101", "1;0;1", "```\n1, 0, 1\n```", "1, 0, 1.", " 1\n0\n1 "]
)
def test_zeros_and_ones_are_read_in_order(answer):
    assert parse_vector(answer, 3) == (YES, NO, YES)


@pytest.mark.parametrize(
    "answer",
    [
        "1,0",
        "1,0,1,0",
        "1,0,2",
        "1,0,-1",
        "1.0,0,1",
        "1,0,1 the pan is hot",
        "one, zero, one",
        "[1,0,1",
        "1,,1",
        "\u0661,\u0660,\u0661",
    ],
)
def test_another_number_or_another_figure_is_no_vector(answer):
    assert parse_vector(answer, 3) is None


@given(st.lists(st.floats(0, 1, width=32), min_size=2, max_size=2), st.booleans())
def test_scores_are_read_as_they_were_written(values, is_unknown):
    written = np.float32([math.nan if is_unknown else values[0], values[1]])
    read = parse_scored(scored_answer(("yes", "no"), written.tolist()), ("yes", "no"))
    np.testing.assert_array_equal(np.float32([read["yes"], read["no"]]), written)


def test_the_likeliest_choice_stands_first_and_an_unknown_one_last():
    assert scored_answer(("a", "b + c", "d"), [0.25, 0.5, math.nan]) == "b + c 0.5; a 0.25; d unknown"


@pytest.mark.parametrize(
    "answer", ["yes 0.5", "yes 0.5; no 0.5; no 0.1", "yes 0.5; no nan", "yes 5e9; no 0", "yes; no"]
)
def test_scores_of_other_choices_are_none(answer):
    assert parse_scored(answer, ("yes", "no")) is None


def test_names_that_read_the_same_are_found():
    assert alike_names(("a_b", "c", "a__b")) == ["a_b", "a__b"]
