"""Segments and extents of a file: their names, times, annotators, and the notes on what is left out or doubtful."""

import json

import pytest

from nrray.errors import ConfigError, DataError
from nrray.types import Origin
from tests.formats.support import imported, notes, spans

LINE = "suction\t1000\t2000\t1000\n"


def test_without_a_known_extent_the_way_to_give_one_is_said(tmp_path):
    with pytest.raises(DataError, match=r"extent=whole .* or extent=none"):
        imported(tmp_path, {"alone.txt": LINE}, extent="stated")
    result = imported(tmp_path, {"alone.txt": LINE}, extent="none")
    assert (result.num_segments, result.num_extents) == (1, 0)
    assert "No extents" in notes(result)


def test_unknown_names_are_refused_with_line_and_closest(tmp_path):
    with pytest.raises(
        DataError, match=r"line 2: unknown activity 'Suctioning'; did you mean 'suction'\?.*names=.*ignore="
    ):
        imported(tmp_path, {"alone.txt": LINE + "Suctioning\t3000\t4000\t1000\n"})
    with pytest.raises(DataError, match="none is close"):
        imported(tmp_path, {"alone.txt": "zzz\t1\t2\t1\n"})


def test_names_are_mapped_and_ignored_ones_are_counted(tmp_path):
    text = "Sug\t1000\t2000\t1000\nHug\t1000\t2000\t1000\nHug\t3000\t4000\t1000\n"
    result = imported(tmp_path, {"alone.txt": text}, names={"Sug": "suction"}, ignore=["Hug"])
    assert spans(result) == [("alone.mp4", "suction", 1000, 2000)]
    assert "'Hug' ignored, 2 times." in notes(result)


def test_names_must_lead_to_the_label_set(tmp_path):
    with pytest.raises(ConfigError, match="names maps to"):
        imported(tmp_path, {"alone.txt": LINE}, names={"Sug": "sucktion"})
    with pytest.raises(ConfigError, match="both in names and in ignore"):
        imported(tmp_path, {"alone.txt": LINE}, names={"Sug": "suction"}, ignore=["Sug"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("suction\t2000\t1000\t-1000\n", "line 1.*ends before it starts"),
        ("suction\t-5\t1000\t1005\n", "line 1.*starts before the video does"),
        ("suction\t200000\t201000\t1000\n", "alone.mp4 ends at 100.000 s.*time unit"),
        ("suction\t90000\t102000\t12000\n", "alone.mp4 ends at 100.000 s"),
    ],
)
def test_times_that_cannot_be_are_refused_with_their_line(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        imported(tmp_path, {"alone.txt": text})


def test_zero_length_and_a_little_too_long_are_said(tmp_path):
    result = imported(tmp_path, {"alone.txt": "suction\t5\t5\t0\nsuction\t90000\t100500\t10500\n"})
    assert spans(result) == [("alone.mp4", "suction", 90000, 100500)]
    assert "1 segment of zero length left out. 1 end of segments up to 0.500 s after" in notes(result)


def test_an_offset_is_added_to_all_times(tmp_path):
    assert spans(imported(tmp_path, {"alone.txt": LINE}, offset_seconds=2.5)) == [("alone.mp4", "suction", 3500, 4500)]
    with pytest.raises(DataError, match="starts before the video"):
        imported(tmp_path, {"alone.txt": LINE}, offset_seconds=-1.5)


def test_one_of_several_annotators_can_be_taken(tmp_path):
    files = {"anna/alone.txt": LINE, "bo/alone.txt": LINE, "bo/phone.txt": LINE}
    both = imported(tmp_path, files, source="{folder}")
    assert both.rivals == ("anna", "bo")
    result = imported(tmp_path, files, source="{folder}", annotator="bo")
    assert {row.source for item in result.files for row in item.annotations.segments} == {"bo"}
    assert [path for path, *_ in spans(result)] == ["alone.mp4", "phone.mov"]
    assert result.num_extents == 2
    assert result.rivals == ()
    assert "Left out: anna (1 observation)." in notes(result)
    with pytest.raises(DataError, match="annotator is 'cleo', and the files are by 'anna', 'bo'"):
        imported(tmp_path, files, source="{folder}", annotator="cleo")


def test_annotators_in_folders_keep_their_names(tmp_path):
    files = {"anna/alone.txt": LINE, "bo/alone.txt": LINE}
    with pytest.raises(DataError, match=r"both annotate alone.mp4 as source 'imported'"):
        imported(tmp_path, files)
    result = imported(tmp_path, files, source="{folder}")
    assert [row.source for item in result.files for row in item.annotations.segments] == ["anna", "bo"]
    with pytest.raises(ConfigError, match="source is"):
        imported(tmp_path, files, source="{person}")


def test_a_first_frame_after_time_zero_is_said(tmp_path):
    result = imported(tmp_path, {"late.txt": LINE})
    assert "first frame after time 0: ['late.mp4']" in notes(result)
    extent = result.files[0].annotations.extents[0]
    assert (extent.start_us, extent.end_us) == (500_000, 100_500_000)


def test_segments_are_imported_in_order_of_time_and_without_a_score(tmp_path):
    result = imported(tmp_path, {"alone.txt": "suction\t3000\t4000\t1000\n" + LINE})
    segments = result.files[0].annotations.segments
    assert [segment.start_us for segment in segments] == [1_000_000, 3_000_000]
    assert {(segment.origin, segment.score, segment.video_id) for segment in segments} == {
        (Origin.IMPORTED, None, None)
    }


def test_an_end_is_noted_from_a_millisecond_after_the_video_on_and_refused_beyond_a_second(tmp_path):
    def line(end_us):
        return f"activity,start_us,end_us\nsuction,90000000,{end_us}\n"

    assert "after the video's" not in notes(imported(tmp_path, {"alone.csv": line(100_000_999)}))
    assert "1 end of segments up to 0.001 s after" in notes(imported(tmp_path, {"alone.csv": line(100_001_000)}))
    assert imported(tmp_path, {"alone.csv": line(101_000_000)}).num_segments == 1
    with pytest.raises(DataError, match=r"but alone\.mp4 ends at 100\.000 s"):
        imported(tmp_path, {"alone.csv": line(101_000_001)})


def test_a_segment_that_starts_at_the_end_of_its_video_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"but alone\.mp4 ends at 100\.000 s"):
        imported(tmp_path, {"alone.txt": "suction\t100000\t100500\t500\n"})


def test_overlaps_are_noted_within_one_annotator_alone(tmp_path):
    header = "activity,start_ms,end_ms,source\n"
    apart = header + "suction,1000,3000,anna\nsuction,2000,4000,bo\n"
    assert "overlapping" not in notes(imported(tmp_path, {"alone.csv": apart}))
    same = header + "suction,1000,3000,anna\nsuction,2000,4000,anna\n"
    assert "1 segment overlapping another of the same activity: together they count once" in notes(
        imported(tmp_path, {"alone.csv": same})
    )


def test_an_offset_moves_the_examined_time_and_never_before_the_video(tmp_path):
    project = {
        "behaviors_conf": {},
        "observations": {
            "one": {
                "type": "MEDIA",
                "file": {"1": ["alone.mp4"]},
                "media_info": {"length": {"alone.mp4": 100}},
                "observation time interval": [10, 20],
            }
        },
    }
    for offset, expected in ((2.5, (12_500_000, 22_500_000)), (-15, (0, 5_000_000))):
        result = imported(tmp_path, {"a.boris": json.dumps(project)}, extent="stated", offset_seconds=offset)
        (extent,) = result.files[0].annotations.extents
        assert (extent.start_us, extent.end_us) == expected


def test_observations_of_one_video_that_no_name_tells_apart_are_numbered(tmp_path):
    task = {"data": {"video": "alone.mp4"}, "annotations": [{"id": 7, "result": []}, {"id": 7, "result": []}]}
    result = imported(tmp_path, {"a.json": json.dumps([task])})
    assert [extent.source for extent in result.files[0].annotations.extents] == ["imported/1.7#1", "imported/1.7#2"]
    assert "2 observations of alone.mp4 kept apart as sources imported/..." in notes(result)
