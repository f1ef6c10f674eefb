from nrray.report.legible import MISSING, legible


def shown(text):
    return legible(text, max_chars=60)


def test_control_and_direction_characters_are_spelt_out():
    assert shown("a\nb\t\x1b[31m\u202egpj.mp4") == "a\\nb\\t\\x1b[31m\\u202egpj.mp4"
    assert shown("bro\udce9ken") == "bro\\udce9ken"


def test_letters_that_no_font_has_are_squares_and_others_stay():
    assert shown("Säugling \U00012000.mp4") == f"Säugling {MISSING}.mp4"


def test_dollar_signs_are_no_mathematics():
    assert shown("$5 or $x$") == r"\$5 or \$x\$"


def test_text_of_just_the_length_is_whole():
    assert shown("x" * 60) == "x" * 60


def test_of_longer_text_the_middle_is_left_out():
    assert legible("abcdefghijklmnopqrstuvwxyz", max_chars=15) == "abcde ... vwxyz"
    assert len(shown("x" * 61)) == 60


def test_the_length_is_that_of_what_is_drawn():
    assert len(shown("\n" * 40)) == 60
