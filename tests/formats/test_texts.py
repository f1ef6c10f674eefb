import pytest

from nrray.errors import ConfigError, DataError
from tests.formats.support import imported, notes, spans

ONE = [("alone.mp4", "suction", 1000, 2500)]


def test_the_variant_with_the_original_event_is_read_with_or_without_a_header(tmp_path):
    row = "suction\t1000\t2500\t1500\tSuctioning mouth\n"
    header = "event\tstart\tend\tduration\toriginal event\n"
    for text in (row, header + row):
        result = imported(tmp_path, {"alone.txt": text})
        assert spans(result) == ONE
        assert "1 original event name in the fifth column not kept" in notes(result)


def test_blanks_may_stand_for_tabs(tmp_path):
    assert spans(imported(tmp_path, {"alone.txt": "suction 1000 2500 1500\r\n\r\n"})) == ONE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("suction\t1\t5\t4\nsuction\t1\t5\n", "line 2: found 3 fields"),
        ("suction\t1.5\t5\t4\n", "line 1: times must be whole milliseconds"),
        ("suction\t1\t5\t5\n", "line 1: start 1, end 5 and duration 5 do not fit"),
        ("1000 2500 suction\n", "line 1: found 3 fields.*format=delimited, columns and time_unit"),
    ],
)
def test_what_is_wrong_in_a_millisecond_text_is_named(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        imported(tmp_path, {"alone.txt": text})


def test_start_end_label_needs_columns_and_a_time_unit(tmp_path):
    columns = {"start": 1, "end": 2, "activity": 3}
    with pytest.raises(DataError, match=r"line 1: .* does not say in which unit .* Set time_unit"):
        imported(tmp_path, {"alone.txt": "1000 2500 suction\n"}, columns=columns)
    result = imported(tmp_path, {"alone.txt": "1000 2500 suction\n"}, columns=columns, time_unit="ms")
    assert spans(result) == ONE


@pytest.mark.parametrize(
    ("unit", "start", "end"),
    [
        ("us", "1000000", "2500000"),
        ("ms", "1000", "2500"),
        ("s", "1", "2.5"),
        ("frames", "25", "62.0"),
        ("hh:mm:ss.mmm", "00:00:01.000", "0:00:02,500"),
        ("hh:mm:ss.mmm", "0:01", "00:02.5"),
    ],
)
def test_every_time_unit(tmp_path, unit, start, end):
    text = f"video;what;from;to;who\nalone.mp4;suction;{start};{end};anna\n"
    columns = {"video": "video", "activity": "what", "start": "from", "end": "to", "source": "who"}
    result = imported(tmp_path, {"t.csv": text}, columns=columns, time_unit=unit)
    expected = [("alone.mp4", "suction", 1000, 2480)] if unit == "frames" else ONE
    assert spans(result) == expected
    assert result.files[0].annotations.segments[0].source == "anna"


def test_frames_take_the_set_rate_or_the_measured_one_or_are_refused(tmp_path):
    text = "activity,start_frames,end_frames\nsuction,30,75\n"
    assert spans(imported(tmp_path, {"alone.csv": text}, fps=30)) == ONE
    result = imported(tmp_path, {"phone.csv": text})
    assert spans(result) == [("phone.mov", "suction", 1000, 2500)]
    assert "variable frame rate" in notes(result)
    with pytest.raises(DataError, match=r"no rate of unmeasured.mp4: set fps"):
        imported(tmp_path, {"unmeasured.csv": text})
    with pytest.raises(DataError, match=r"line 2, start: found '1.5', expected a whole frame"):
        imported(tmp_path, {"alone.csv": text.replace("30", "1.5")})


def test_a_duration_stands_for_an_end_or_is_checked_against_it(tmp_path):
    assert spans(imported(tmp_path, {"alone.csv": "activity,start_s,duration_s\nsuction,1,1.5\n"})) == ONE
    text = "activity,start_s,end_s,duration_s\nsuction,1.000,2.500,1.501\n"
    assert spans(imported(tmp_path, {"alone.csv": text})) == ONE  # rounded each on its own
    with pytest.raises(DataError, match=r"line 2: start 1.000, end 2.500 and duration 2.000 do not fit"):
        imported(tmp_path, {"alone.csv": text.replace("1.501", "2.000")})


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("activity,start,end\nsuction,1,2\n", {}, "line 1: .* in which unit"),
        ("a,b\nc,d\n", {}, "line 1: found .*expected a header with activity"),
        ("activity,start_ms,end_s\nsuction,1,2\n", {}, "expected a header"),
        ("activity,start_s,end_s\nsuction,1,5,2,5\n", {}, "line 2: found 5 columns, the header has 3.*Quote them"),
        ("activity,start_s,end_s\nsuction,1,2\n", {"time_unit": "ms"}, "times are in s, and time_unit is ms"),
        ("activity,start_ms,end_ms\nsuction,1\n", {}, "line 2: found 2 columns"),
        ("activity,start_ms,end_ms\nsuction,x,2\n", {}, "line 2, start: found 'x', expected a time in ms"),
        ("activity,start_ms,end_ms\nsuction,nan,2\n", {}, "line 2, start: found 'nan'"),
        ('activity,start_ms,end_ms\n"suction,1,2\n', {}, "not a delimited text"),
        (
            "activity,start_ms,end_ms\n",
            {"columns": {"activity": "x", "start": "start_ms", "end": "end_ms"}, "time_unit": "ms"},
            "expected one called 'x'",
        ),
        (
            "suction,1:99:x,2\n",
            {"columns": {"activity": 1, "start": 2, "end": 3}, "time_unit": "hh:mm:ss.mmm"},
            "00:01",
        ),
    ],
)
def test_what_is_wrong_in_a_table_is_named(tmp_path, text, options, message):
    with pytest.raises(DataError, match=message):
        imported(tmp_path, {"alone.csv": text}, **options)


@pytest.mark.parametrize(
    "columns",
    [{"activity": 1, "start": 2}, {"activity": "a", "start": 2, "end": 3}, {"activity": 0, "start": 2, "end": 3}],
)
def test_column_maps_that_cannot_be_are_refused(tmp_path, columns):
    with pytest.raises(ConfigError):
        imported(tmp_path, {"alone.csv": "x"}, columns=columns, time_unit="ms")


def test_elan_tables_are_read_with_and_without_headers(tmp_path):
    with_header = "Tier\tParticipant\tBegin Time - hh:mm:ss.ms\tEnd Time - hh:mm:ss.ms\tAnnotation\n"
    row = 'suction\tanna\t00:00:01.000\t00:00:02.500\t"odd\n'
    for text in (with_header + row, row):
        result = imported(tmp_path, {"alone.tsv": text}, format="elan_tab")
        assert spans(result) == ONE
        assert result.files[0].annotations.segments[0].source == "anna"
    with pytest.raises(DataError, match="neither ELAN's column headers nor times"):
        imported(tmp_path, {"alone.tsv": "suction\t1000\t2500\n"}, format="elan_tab")


VTT = """WEBVTT - a title

NOTE not
a cue

STYLE
::cue { color: red }

first
00:00:01.000 --> 00:00:02.500 align:start
<v Anna>suction</v>
<b>stimul</b>ation

00:02.000 --> 00:03.000
ventilation
"""


def test_cues_may_overlap_have_ids_settings_tags_and_several_lines(tmp_path):
    result = imported(tmp_path, {"alone.vtt": VTT})
    assert spans(result) == [
        ("alone.mp4", "stimulation", 1000, 2500),
        ("alone.mp4", "suction", 1000, 2500),
        ("alone.mp4", "ventilation", 2000, 3000),
    ]
    assert "1 NOTE left out" in notes(result)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\n00:01.000 --> 00:02.000\nx\n", "line 1: .*expected WEBVTT"),
        ("WEBVTT\n\n1:2 --> 3\nx\n", "line 3: .*expected START --> END"),
        ("WEBVTT\n\nhello\n", "line 3: .*expected a cue"),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\nlaughing\n", "line 3: unknown activity 'laughing'"),
    ],
)
def test_what_is_wrong_in_a_webvtt_is_named(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        imported(tmp_path, {"alone.vtt": text})


def test_what_looks_like_another_unit_or_is_there_twice_is_said(tmp_path):
    text = "activity,start_ms,end_ms\nsuction,1000,3000\nsuction,2000,4000\nventilation,1000,2000\n"
    notes = imported(tmp_path, {"alone.csv": text}).files[0].annotations.notes
    assert "1 segment overlapping another of the same activity: together they count once." in notes
    text = "activity,start_ms,end_ms\nsuction,1,3\nventilation,5,8\n"
    notes = imported(tmp_path, {"alone.csv": text}).files[0].annotations.notes
    assert any("Seconds that were read as milliseconds look like that" in note for note in notes)
