import json

import pytest

from nrray.errors import DataError
from tests.formats.support import imported, notes, spans

BEHAVIOURS = {
    "0": {"type": "State event", "code": "suction"},
    "1": {"type": "State event", "code": "ventilation"},
    "2": {"type": "Point event", "code": "birth"},
}


def observation(events, *, files=("alone.mp4",), lengths=(100.0,), **changes):
    return {
        "file": {"1": list(files), "2": []},
        "type": "MEDIA",
        "time offset": 0.0,
        "events": [[time, subject, code, modifiers, ""] for time, subject, code, modifiers in events],
        "media_info": {"length": dict(zip(files, lengths, strict=False))},
        **changes,
    }


def project(**observations):
    return json.dumps({"project_format_version": "7.0", "behaviors_conf": BEHAVIOURS, "observations": observations})


def state(start, end, code="suction", subject="", modifiers=""):
    return [(start, subject, code, modifiers), (end, subject, code, modifiers)]


def stated(folder, text, **options):
    return imported(folder, {"p.boris": text}, extent="stated", **options)


def test_states_are_paired_per_subject_behaviour_and_modifiers(tmp_path):
    events = [*state(1, 4), *state(2, 3, subject="b"), *state(2, 6, "ventilation"), *state(2.5, 3.5, modifiers="m")]
    result = stated(tmp_path, project(one=observation(events)))
    assert spans(result) == [
        ("alone.mp4", "suction", 1000, 4000),
        ("alone.mp4", "suction", 2000, 3000),
        ("alone.mp4", "ventilation", 2000, 6000),
        ("alone.mp4", "suction", 2500, 3500),
    ]
    assert "Modifiers of 2 state events not kept" in notes(result)
    assert "Subjects of 2 state events not kept" in notes(result)


def test_the_length_is_the_extent_and_an_interval_narrows_it(tmp_path):
    whole = stated(tmp_path, project(one=observation([])))
    assert [(row.start_us, row.end_us) for row in whole.files[0].annotations.extents] == [(0, 100_000_000)]
    part = stated(tmp_path, project(one=observation([], **{"observation time interval": [10, 20]})))
    assert [(row.start_us, row.end_us) for row in part.files[0].annotations.extents] == [(10_000_000, 20_000_000)]


def extents_of(result):
    return [
        (row.path, row.start_us // 1_000_000, row.end_us // 1_000_000) for row in result.files[0].annotations.extents
    ]


def test_an_interval_that_ends_at_zero_lasts_to_the_end_of_the_file(tmp_path):
    narrowed = observation([], **{"observation time interval": [10, 0]})
    assert extents_of(stated(tmp_path, project(one=narrowed))) == [("alone.mp4", 10, 100)]


def test_an_interval_stands_in_for_the_length_of_a_file_that_has_none(tmp_path):
    unmeasured = observation([], lengths=(), **{"observation time interval": [10, 20]})
    assert extents_of(stated(tmp_path, project(one=unmeasured))) == [("alone.mp4", 10, 20)]


def test_a_file_outside_the_interval_was_not_examined_and_its_segments_have_no_extent(tmp_path):
    both = {"files": ("alone.mp4", "phone.mov"), "lengths": (100, 100), "observation time interval": [20, 60]}
    assert extents_of(stated(tmp_path, project(one=observation([], **both)))) == [("alone.mp4", 20, 60)]
    with pytest.raises(DataError, match=r"does not say which part of phone\.mov was examined"):
        stated(tmp_path, project(one=observation(state(150, 160), **both)))


def test_an_open_state_is_refused_naming_it_unless_it_lasts_to_the_end(tmp_path):
    text = project(one=observation([*state(1, 4), (90.5, "", "suction", "")]))
    with pytest.raises(
        DataError, match=r"observation 'one', behaviour 'suction': started at 90.500 s.*open_states=to_end"
    ):
        stated(tmp_path, text)
    assert spans(stated(tmp_path, text, open_states="to_end"))[1] == ("alone.mp4", "suction", 90500, 100000)
    unknown = project(one=observation([(90.5, "", "suction", "")], lengths=()))
    with pytest.raises(DataError, match="the media's length is not known"):
        imported(tmp_path, {"p.boris": unknown}, open_states="to_end")


def test_point_events_are_counted_and_left_out(tmp_path):
    result = stated(tmp_path, project(one=observation([(1, "", "birth", ""), (2, "", "birth", "")])))
    assert spans(result) == []
    assert "2 point events left out" in notes(result)


def test_the_time_offset_is_taken_off_again(tmp_path):
    text = project(one=observation(state(3601, 3604), **{"time offset": 3600.0}))
    assert spans(stated(tmp_path, text)) == [("alone.mp4", "suction", 1000, 4000)]
    with pytest.raises(DataError, match="counts from the media's creation date"):
        stated(tmp_path, project(one=observation([], media_creation_date_as_offset=True)))


def test_times_over_several_files_go_to_the_right_one_and_are_cut_at_the_border(tmp_path):
    files = ("/videos/alone.mp4", "C:\\videos\\phone.mov")
    text = project(one=observation([*state(95, 105), *state(150, 160)], files=files, lengths=(100, 100)))
    assert spans(stated(tmp_path, text)) == [
        ("alone.mp4", "suction", 95000, 100000),
        ("phone.mov", "suction", 0, 5000),
        ("phone.mov", "suction", 50000, 60000),
    ]
    with pytest.raises(DataError, match=r"2 videos one after the other.*no length of .*phone\.mov"):
        stated(tmp_path, project(one=observation([], files=files, lengths=(100,))))
    with pytest.raises(DataError, match=r"of several videos.*videos=\{'/videos/alone.mp4': PATH"):
        stated(tmp_path, text, video="alone.mp4")


def test_videos_of_other_names_are_renamed(tmp_path):
    text = project(one=observation(state(1, 2), files=["their name.avi"], lengths=(100,)))
    with pytest.raises(DataError, match=r"videos=\{'their name.avi': PATH\}"):
        stated(tmp_path, text)
    assert spans(stated(tmp_path, text, videos={"their name.avi": "alone.mp4"}))[0][0] == "alone.mp4"


def test_two_observations_of_one_video_stay_apart(tmp_path):
    result = stated(tmp_path, project(anna=observation(state(1, 2)), bo=observation([])))
    assert {row.source for row in result.files[0].annotations.extents} == {"imported/anna", "imported/bo"}
    assert "2 observations of alone.mp4 kept apart" in notes(result)


def test_live_observations_are_counted_and_parallel_videos_said(tmp_path):
    live = observation(state(1, 2), files=(), lengths=()) | {"type": "LIVE", "file": []}
    parallel = observation(state(1, 2)) | {"file": {"1": ["alone.mp4"], "2": ["phone.mov"]}}
    result = stated(tmp_path, project(live=live, both=parallel))
    assert spans(result) == [("alone.mp4", "suction", 1000, 2000)]
    assert "1 observation without video with 2 events left out" in notes(result)
    assert "player 1's: ['both']" in notes(result)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "is no BORIS project"),
        ("{", "is not JSON"),
        (project(one=observation([(1, "", "dance", "")])), "'dance' at 1 s is not in the project's ethogram"),
        (project(one=observation([("x", "", "suction", "")])), "'suction': found 'x'"),
        (project(one=observation([]) | {"events": [[1]]}), r"found the event \[1\]"),
        (project(one=[]), "observation 'one': found .*, expected a mapping"),
        (project(one=observation([], files=("a", "a"))), "expected names, each once"),
        (project(one=observation([]) | {"events": 1}), "events: found '1', expected a list"),
        (project(one=observation(state(1, 500))), "ends at 500.000 s, the media end at 100.000 s"),
    ],
)
def test_what_is_wrong_in_a_project_is_named(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        stated(tmp_path, text)


OLD = "Observation id\tMedia file\tTotal length\tFPS\tSubject\tBehavior\tBehavior type\tStart (s)\tStop (s)\n"
NEW = "Observation id,Source,Time offset (s),Media duration (s),Behavior,Behavior type,Start (s),Stop (s),Extra\n"


def test_aggregated_rows_are_read_by_name_whatever_the_version(tmp_path):
    old = OLD + "o\talone.mp4\t100.0\t25\tNo focal subject\tsuction\tSTATE\t1\t4\n"
    old += "o\talone.mp4\t100.0\t25\tbaby\tbirth\tPOINT\t2\t2\n"
    new = NEW + "o,player #1:/v/alone.mp4,10,100.0,suction,STATE,11,14,x\n"
    for name, text in (("a.tsv", old), ("a.csv", new)):
        result = imported(tmp_path, {name: text}, extent="stated")
        assert spans(result) == [("alone.mp4", "suction", 1000, 4000)]
        assert [row.end_us for row in result.files[0].annotations.extents] == [100_000_000]
    assert "1 POINT row left out" in notes(imported(tmp_path, {"a.tsv": old}))


def test_aggregated_times_over_several_files_need_lengths_that_add_up(tmp_path):
    rows = "o\talone.mp4\t{0}\t25\t\tsuction\tSTATE\t1\t4\no\tphone.mov\t{0}\t25\t\tsuction\tSTATE\t150\t160\n"
    result = imported(tmp_path, {"a.tsv": OLD + rows.format(200.0)})
    assert spans(result) == [("alone.mp4", "suction", 1000, 4000), ("phone.mov", "suction", 50000, 60000)]
    with pytest.raises(DataError, match=r"a total of 260.000 s, the manifest measured 200.000 s"):
        imported(tmp_path, {"a.tsv": OLD + rows.format(260.0)})


def test_an_observation_longer_than_its_one_named_video_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"line 2: the observation is 200\.000 s long, alone\.mp4 is 100\.000 s"):
        imported(tmp_path, {"a.tsv": OLD + "o\talone.mp4\t200\t25\t\tsuction\tSTATE\t1\t4\n"})


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("o\talone.mp4\t100\t25\t\tsuction\tSTATE\t1\tNA\n", "line 2: 'suction' was started and not stopped"),
        ("o\talone.mp4\t100\t25\t\tsuction\tODD\t1\t2\n", "line 2: Behavior type is 'ODD'"),
        ("o\talone.mp4\t100\n", "line 2: found 3 columns"),
        ("o\talone.mp4\t100\t25\t\tsuction\tSTATE\tx\t2\n", r"line 2, Start \(s\): found 'x'"),
        ("o\talone.mp4\t-1\t25\t\tsuction\tSTATE\t1\t2\n", "line 2: found the length -1, expected seconds from 0 on"),
    ],
)
def test_what_is_wrong_in_an_aggregated_row_is_named(tmp_path, row, message):
    with pytest.raises(DataError, match=message):
        imported(tmp_path, {"a.tsv": OLD + row})
