"""The page of a run: escaped, self-contained, small, and only what was reported."""

import json
from pathlib import Path

import pytest

from nrray.console.reporter import Reporter
from nrray.console.transcript import Transcript
from nrray.report.run_page import (
    MAX_FAILURES,
    MAX_PICTURES,
    Failure,
    RunFile,
    RunPage,
    RunPicture,
    write_run_page,
)
from nrray.report.training_curves import LearningCurves, training_curves
from nrray.storage import Folder
from tests.report.pages import check_self_contained, parsed

EVIL = "<script>alert(1)</script>.mp4"
PNG = training_curves(
    LearningCurves(training_loss=[(1, 0.5)], validation_loss=[(1, 0.4)], macro_f1=[(1, 0.3)], f1={}, kept_step=None),
    title="t",
)


def page(transcript=None, **more):
    return RunPage(
        **{
            "title": "Run",
            "outcome": "Done.",
            "facts": [("speed", "3 videos per second")],
            "transcript": transcript or Transcript(folder="/here"),
            **more,
        }
    )


def written(tmp_path, run_page):
    address = write_run_page(Folder(str(tmp_path)), run_page)
    assert address == str(tmp_path / "index.html")
    return (tmp_path / "index.html").read_text(encoding="utf-8")


def failure(number=0):
    return Failure(what=f"{number}-{EVIL}", amount="3 windows", kind="failed", reason=f"<b>broken</b> {number}")


def test_names_and_reasons_are_text_wherever_they_stand(tmp_path):
    reporter = Reporter(is_json=True)
    reporter.say(f"labels of {EVIL}")
    reporter.table(f"of {EVIL}", [EVIL], [[EVIL]])
    reporter.next_command(f"nrray relabel '{EVIL}'")
    (tmp_path / "a <b> #1?.parquet").write_bytes(b"")
    html = written(
        tmp_path,
        page(
            reporter.transcript,
            title=EVIL,
            outcome=EVIL,
            facts=[(EVIL, EVIL)],
            failures=[failure()],
            files=[RunFile(file="a <b> #1?.parquet", meaning=EVIL)],
        ),
    )
    assert "<script" not in html
    assert "<b>" not in html
    found = check_self_contained(html, folder=tmp_path)
    assert found.text.count(EVIL) == 12  # the title stands twice
    assert "<b>broken</b> 0" in found.text


def test_a_page_shows_what_was_reported_also_where_nothing_was_printed(tmp_path, capsys):
    reporter = Reporter(is_json=True)
    reporter.say("2 files cannot be read")
    reporter.table("Videos", ["codec", "hours"], [["h264", 1.25], ["av1", 0.5]])
    reporter.next_command("nrray relabel --set output=/a/b")
    found = parsed(written(tmp_path, page(reporter.transcript)))
    assert capsys.readouterr().out == ""
    for text in ("2 files cannot be read", "Videos", "codec", "1.250", "3 videos per second", "--set output=/a/b"):
        assert text in found.text
    assert str(Path.cwd()) in found.text


def test_a_part_of_a_transcript_has_what_was_reported_in_its_block_alone():
    reporter = Reporter(is_json=True)
    reporter.say("before")
    with reporter.transcript.part() as found:
        reporter.say("within")
    reporter.say("after")
    assert found.entries == ["within"]
    assert reporter.transcript.entries == ["before", "within", "after"]


def test_pictures_lie_in_the_page_with_words_for_them_and_the_others_are_linked(tmp_path):
    (tmp_path / "timelines").mkdir()
    pictures = [
        RunPicture(file=f"timelines/{number:04d}.png", description=f"Timeline of {number}") for number in range(11)
    ]
    for picture in pictures[:-1]:
        (tmp_path / picture.file).write_bytes(PNG)
    found = check_self_contained(written(tmp_path, page(pictures=pictures)), folder=tmp_path)
    assert [alt for _, alt in found.images] == [f"Timeline of {number}" for number in range(MAX_PICTURES)]
    assert sorted(link for link in found.links if ".png" in link) == [
        picture.file
        for picture in pictures[:-1]  # the last one was never drawn
    ]


def test_a_page_of_very_many_failures_shows_the_first_and_says_how_many_there_are(tmp_path):
    few = written(tmp_path, page(failures=[failure(number) for number in range(MAX_FAILURES)]))
    many = written(tmp_path, page(failures=[failure(number) for number in range(10_000)]))
    assert "9,950 more of 10,000" in parsed(many).text
    assert len(many) < len(few) + 200
    assert parsed(many).text.count("broken") == MAX_FAILURES


def test_files_that_are_not_there_are_not_named(tmp_path):
    (tmp_path / "here.json").write_text("{}")
    (tmp_path / "nrray.log").write_text("said")
    files = [RunFile(file=name, meaning="of it") for name in ("here.json", "gone.json")]
    links = check_self_contained(written(tmp_path, page(files=files)), folder=tmp_path).links
    assert [link for link in links if not link.startswith("#")] == ["here.json", "nrray.log"]


def test_a_page_is_written_to_any_storage():
    output = Folder("memory://run-page")
    output.create()
    write_run_page(output, page())
    assert parsed(output.read_bytes("index.html").decode()).text.count("3 videos per second") == 1


@pytest.mark.parametrize("is_json", [True, False])
def test_where_the_page_is_is_printed_and_stands_not_in_the_page(is_json, capsys):
    reporter = Reporter(is_json=is_json)
    reporter.page("/out/index.html")
    reporter.finish({})
    out = capsys.readouterr().out
    assert reporter.transcript.entries == []
    if is_json:
        assert json.loads(out) == {}
    else:
        assert out == "Page: /out/index.html\n"
