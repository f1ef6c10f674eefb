"""All problems of all files are told at once, each with its file and place, and nothing is written."""

import json

import pytest

from nrray.cli import main
from nrray.errors import DataError
from tests.formats.support import imported, write_manifest

ELAN = """<ANNOTATION_DOCUMENT><HEADER TIME_UNITS="milliseconds">
<MEDIA_DESCRIPTOR MEDIA_URL="alone.mp4" MIME_TYPE="video/mp4"/></HEADER>
<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="0"/><TIME_SLOT TIME_SLOT_ID="ts2"/></TIME_ORDER>
<TIER TIER_ID="suction">
<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2"/></ANNOTATION>
<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts9"/></ANNOTATION>
<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a3" ANNOTATION_REF="a9"/></ANNOTATION>
</TIER></ANNOTATION_DOCUMENT>"""

LACKING = ELAN.replace(' TIME_SLOT_REF1="ts1"', "")


def boris(*events, behaviours=("suction", "ventilation")) -> str:
    return json.dumps(
        {
            "behaviors_conf": {str(n): {"code": code, "type": "State event"} for n, code in enumerate(behaviours)},
            "observations": {
                "o1": {
                    "type": "MEDIA",
                    "file": {"1": ["alone.mp4"]},
                    "events": list(events),
                    "media_info": {"length": {"alone.mp4": 100}},
                }
            },
        }
    )


def label_studio(*values) -> str:
    regions = [{"id": f"r{n}", "value": {"timelinelabels": ["suction"], **value}} for n, value in enumerate(values)]
    return json.dumps([{"id": 1, "data": {"video": "alone.mp4"}, "annotations": [{"id": 1, "result": regions}]}])


BORIS_ROWS = "Observation id\tMedia file\tTotal length\tBehavior\tBehavior type\tStart (s)\tStop (s)\n"

FILES = {
    "millisecond text": (
        "alone.txt",
        "suction\t1000\t2000\t1000\nsuction\t1\nsuction\tx\t2\t1\nsuction\t5\t9\t1\nsuction\t9000\t8000\t-1000\n"
        "suction\t1000\t999000\t998000\nhumming\t1\t2\t1\n",
        ["line 2: found 2 fields", "line 3: times must be", "line 4: start 5", "line 5", "line 6", "line 7: unknown"],
    ),
    "delimited": (
        "alone.csv",
        "activity,start_s,end_s\nsuction,1,2\nsuction,1\nsuction,a,2\nsuction,1,b\nsuction,1,2,3\n",
        ["line 3: found 2 columns", "line 4, start: found 'a'", "line 5, end: found 'b'", "line 6: found 4 columns"],
    ),
    "webvtt": (
        "alone.vtt",
        "WEBVTT\n\n00:01.000 --> 00:02.000\nsuction\n\nno cue\n\n00:01 --> 00:02.000\nsuction\n\n",
        ["line 6: found 'no cue'", "line 8: found '00:01 --> "],
    ),
    "elan": ("alone.eaf", ELAN, ["annotation a1: its time slot", "a2: its time slot 'ts9'", "a3: refers to 'a9'"]),
    "elan that lacks": ("alone.eaf", LACKING, ["annotation a1 lacks", "annotation a2 lacks"]),
    "boris": (
        "a.boris",
        boris([1, "", "suction", "", ""], [2, "", "humming", "", ""], [3], ["x", "", "suction", "", ""]),
        ["'humming' at 2 s is not in", "found the event [3]", "found 'x', expected a time"],
    ),
    "boris pairs": (
        "a.boris",
        boris([1, "", "suction", "", ""], [2, "", "ventilation", "", ""], [500, "", "ventilation", "", ""]),
        ["'suction': started at 1.000 s and not stopped", "'ventilation', 2.000 s: ends at 500.000 s"],
    ),
    "boris aggregated": (
        "a.tsv",
        BORIS_ROWS
        + "o1\talone.mp4\t100\tsuction\tSTATE\t1\tNA\no1\talone.mp4\t100\tsuction\tSTATE\t3\tx\n"
        + "o1\talone.mp4\t100\tsuction\tODD\t3\t4\n",
        ["line 2: 'suction' was started", "line 3, Stop (s): found 'x'", "line 4: Behavior type is 'ODD'"],
    ),
    "label studio": (
        "a.json",
        label_studio({"start": "x", "end": 1}, {"ranges": [{"start": 0, "end": 5}]}, {"ranges": [{"start": 1}]}),
        ["region r0: found 'x'", "region r1: found frames 0 to 5", "region r2: found the range {'start': 1}"],
    ),
}


def said(tmp_path, contents, **options) -> list[str]:
    """The lines of the refusal of an import that leaves nothing behind."""
    with pytest.raises(DataError) as raised:
        imported(tmp_path, contents, **options)
    assert not (tmp_path / "imported").exists()
    return str(raised.value).splitlines()


@pytest.mark.parametrize("kind", FILES)
def test_every_problem_of_a_file_has_a_line_with_its_place(kind, tmp_path):
    name, content, expected = FILES[kind]
    first, *lines = said(tmp_path, {name: content})
    assert first == f"{len(expected)} problems in 1 file; nothing was imported:"
    assert len(lines) == len(expected)
    assert all(f"{tmp_path}/{name}" in line for line in lines)
    for part in expected:
        assert any(part in line for line in lines), (part, lines)


def test_every_file_with_a_problem_is_told_whatever_its_problem(tmp_path):
    contents = {
        "alone.txt": "suction\t1000\t2000\t1000\n",
        "phone.txt": "rubbish\n",
        "cam1/v.mp4.txt": b"s\xf6r\t1\t2\t1\n",
        "a.xyz": "x",
        "b.json": "{",
        "nobody.txt": "suction\t1000\t2000\t1000\n",
        "none.txt": "suction\t1000\t2000\t1000\n",
        "late.mp4.txt": "humming\t1\t2\t1\ncrying\t1\t2\t1\nhumming\t1\t2\t1\n",
    }
    first, *lines = said(tmp_path, contents)
    assert first == "7 problems in 7 files; nothing was imported:"
    for part in (
        "phone.txt, line 1: found 1 field",
        "v.mp4.txt, line 1: byte 0xf6",
        "a.xyz: no format",
        "b.json is not JSON",
        "2 names are of no video",
        "late.mp4.txt, line 1: unknown activity 'humming'",
    ):
        assert any(part in line for line in lines), part
    assert not any(f"{tmp_path}/alone.txt" in line for line in lines)


def test_patterns_that_find_nothing_are_told_together(tmp_path):
    (line,) = said(tmp_path, {}, files=[str(tmp_path / "*.eaf"), str(tmp_path / "b.vtt")])
    assert f"no file found at {tmp_path}/*.eaf, {tmp_path}/b.vtt" in line


def test_one_problem_is_one_sentence(tmp_path):
    (line,) = said(tmp_path, {"alone.txt": "rubbish\n"})
    assert line.startswith(f"{tmp_path}/alone.txt, line 1: found 1 field")


def test_many_problems_are_cut_for_each_file_and_in_all(tmp_path):
    bad = "x\n" * 1000
    first, *lines = said(tmp_path, {"alone.txt": bad, "phone.txt": "rubbish\n"})
    assert first == "1001 problems in 2 files; nothing was imported:"
    assert lines[10] == "  and 990 more in this file"
    assert "phone.txt, line 1" in lines[11]
    contents = {f"case{number}/alone.txt": bad for number in range(20)}
    first, *lines = said(tmp_path, contents)
    assert first == "20000 problems in 20 files; nothing was imported:"
    assert (len(lines), lines[-1]) == (61, "  and 160 lines more")


def test_frame_numbers_of_unknown_videos_are_told_once_for_each(tmp_path):
    rows = "video,activity,start_frames,end_frames\n" + "x.mp4,suction,1,2\n" * 5 + "unmeasured.mp4,suction,1,2\n" * 5
    first, *lines = said(tmp_path, {"all.csv": rows})
    assert first == "2 problems in 1 file; nothing was imported:"
    assert len(lines) == 2


def test_the_exit_code_is_1_and_nothing_is_written(tmp_path, capsys):
    (tmp_path / "alone.txt").write_text("rubbish\nrubbish\n")
    words = [f"files=[{tmp_path}/alone.txt]", f"manifest={write_manifest(tmp_path)}", f"output={tmp_path}/imported"]
    words.append("extent=whole")
    assert main(["import", *(part for word in words for part in ("--set", word))]) == 1
    assert "2 problems in 1 file" in capsys.readouterr().err
    assert not (tmp_path / "imported").exists()


def test_all_files_that_contradict_each_other_are_told(tmp_path):
    text = "suction\t1000\t2000\t1000\n"
    (line,) = said(tmp_path, {f"{who}/{video}.txt": text for who in ("anna", "ben") for video in ("alone", "phone")})
    assert line.count("both annotate") == 2
    assert "alone.mp4 as source 'imported'" in line
    assert "phone.mov as source 'imported'" in line
