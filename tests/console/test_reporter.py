import json
from pathlib import Path

import pytest

from nrray.console.reporter import PIPE_COLUMNS, Reporter, printable

NASTY = "two\nlines \x1b[31mred\x1b[0m [bold]\u202egpj.mp4"


def test_a_sentence_shows_names_as_they_are_and_no_terminal_sequence(capsys):
    Reporter().say(NASTY)
    assert capsys.readouterr().out == "two\nlines \\x1b[31mred\\x1b[0m [bold]\\u202egpj.mp4\n"


def test_text_is_printable_and_its_lines_stay_lines():
    assert printable("a\tb\nc\x07") == "a\\tb\nc\\x07"


def test_a_table_shows_names_as_they_are_and_no_terminal_sequence(capsys):
    Reporter().table("Files [1]", ["path [x]", "units"], [["\x1b[31m[red].mp4", 1]])
    out = capsys.readouterr().out
    assert "Files [1]" in out
    assert "path [x]" in out
    assert "\\x1b[31m[red].mp4" in out


def test_numbers_are_right_aligned_and_have_three_decimals(capsys):
    Reporter().table("t", ["name", "count", "share", "mixed"], [["a", 1, 0.5, 1], ["b", 1000, 0.25, None]])
    header, first, second = capsys.readouterr().out.splitlines()[1:]
    assert first.split() == ["a", "1", "0.500", "1"]
    assert second.split() == ["b", "1000", "0.250", "-"]
    assert first.index("1") == second.index("1000") + 3
    assert first.rindex("1") == header.index("mixed"), "a column that is not of numbers alone is left-aligned"


def test_a_table_without_rows_is_not_printed(capsys):
    Reporter().table("t", ["name"], [])
    assert capsys.readouterr().out == ""


def test_the_document_is_printed_only_where_it_is_asked_for(capsys):
    Reporter().finish({"a": 1})
    assert capsys.readouterr().out == ""


def test_with_json_the_document_stands_alone(capsys):
    reporter = Reporter(is_json=True)
    reporter.say("a sentence")
    reporter.table("t", ["name"], [["row"]])
    reporter.next_command("nrray relabel")
    reporter.console.print("progress of a run")
    reporter.finish({"b": Path("/x"), "a": [1, None]})
    streams = capsys.readouterr()
    assert json.loads(streams.out) == {"a": [1, None], "b": "/x"}
    assert streams.out.index('"a"') < streams.out.index('"b"')
    assert streams.err == "progress of a run\n"


def test_the_next_command_is_one_line_however_long(capsys):
    command = "nrray relabel " + " ".join(f"--set output=/data/{number:040d}" for number in range(6))
    assert len(command) > 2 * PIPE_COLUMNS
    Reporter().next_command(command)
    assert capsys.readouterr().out == f"Next: {command}\n"


def test_only_paths_below_the_folder_that_one_is_in_are_shortened(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Reporter().next_command(f"nrray x --set a={tmp_path}/m '{tmp_path}/n o' b=[{tmp_path}/p] /data{tmp_path}/q")
    assert capsys.readouterr().out == f"Next: nrray x --set a=m 'n o' b=[p] /data{tmp_path}/q\n"


@pytest.mark.parametrize("text", ["x" * 300])
def test_a_long_sentence_is_one_line_in_a_pipe(text, capsys):
    Reporter().say(text)
    assert capsys.readouterr().out == f"{text}\n"
