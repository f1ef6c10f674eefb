import json

import pytest

from nrray.archive.annotations import read_annotations
from nrray.errors import ConfigError, DataError
from tests.formats.support import imported, notes, spans

LINE = "suction\t1000\t2000\t1000\n"


def test_an_import_is_a_folder_of_annotations_with_a_record_of_its_files(tmp_path):
    result = imported(tmp_path, {"alone.txt": LINE})
    annotations = read_annotations(result.folder)
    assert annotations.segments.to_pylist() == [
        {
            "video_id": None,
            "path": "alone.mp4",
            "activity": "suction",
            "start_us": 1_000_000,
            "end_us": 2_000_000,
            "score": None,
            "source": "imported",
            "origin": "imported",
        }
    ]
    assert annotations.extents.to_pylist() == [
        {"path": "alone.mp4", "start_us": 0, "end_us": 100_000_000, "source": "imported"}
    ]
    record = json.loads((tmp_path / "imported/import.json").read_text())
    assert record["files"][0]["format"] == "millisecond_text"
    assert len(record["files"][0]["sha256"]) == 64
    assert imported(tmp_path, {"alone.txt": LINE}).num_segments == 1  # again, over its own output


def test_annotations_that_no_import_wrote_are_not_overwritten(tmp_path):
    (tmp_path / "imported").mkdir()
    (tmp_path / "imported/segments.parquet").write_bytes(b"precious")
    with pytest.raises(DataError, match="annotations that no import wrote"):
        imported(tmp_path, {"alone.txt": LINE})


def test_one_bad_file_leaves_nothing_half_written(tmp_path):
    with pytest.raises(DataError, match=r"phone\.txt, line 1"):
        imported(tmp_path, {"alone.txt": LINE, "phone.txt": "rubbish\n"})
    assert not (tmp_path / "imported").exists()


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


def test_a_byte_order_mark_is_no_name_and_other_encodings_are_refused(tmp_path):
    assert imported(tmp_path, {"alone.txt": b"\xef\xbb\xbf" + LINE.encode()}).num_segments == 1
    with pytest.raises(DataError, match=r"alone\.txt, line 2: byte 0xf6 is not UTF-8\. Save"):
        imported(tmp_path, {"alone.txt": LINE.encode() + b"st\xf6r\t1\t2\t1\n"})


def test_videos_are_found_by_path_then_by_unique_name_else_refused(tmp_path):
    assert spans(imported(tmp_path, {"x/cam2/v.mp4.txt": LINE}))[0][0] == "cam2/v.mp4"
    with pytest.raises(DataError, match=r"'v\.mp4' may be 2 videos of the manifest.*cam1/v\.mp4"):
        imported(tmp_path, {"v.mp4.txt": LINE})
    with pytest.raises(DataError, match="no video of the manifest is called 'nobody'"):
        imported(tmp_path, {"nobody.txt": LINE})
    assert spans(imported(tmp_path, {"nobody.txt": LINE}, video="cam1/v.mp4"))[0][0] == "cam1/v.mp4"
    with pytest.raises(DataError, match="option `video`: no video"):
        imported(tmp_path, {"nobody.txt": LINE}, video="cam1/w.mp4")


def test_all_unknown_names_of_a_file_are_told_at_once(tmp_path):
    lines = LINE + "".join(f"{name}\t3000\t4000\t1000\n" for name in ("Suctioning", "crying", "wrapping", "crying"))
    with pytest.raises(DataError, match=r"'Suctioning'.*Unknown too.*'crying' \(2\), 'wrapping' \(1\)"):
        imported(tmp_path, {"alone.txt": lines})


def test_all_unknown_videos_are_told_at_once(tmp_path):
    files = {"nobody.txt": LINE, "alone.txt": LINE, "none.txt": LINE}
    with pytest.raises(
        DataError, match=r"2 names are of no video .*'nobody' \(.*nobody\.txt\); 'none' \(.*videos="
    ) as raised:
        imported(tmp_path, files)
    assert "alone.txt" not in str(raised.value)
    tiers = "video,start,end,activity\nx.mp4,1,2,suction\ny.mp4,1,2,suction\nalone.mp4,1,2,suction\n"
    columns = {name: name for name in ("video", "start", "end", "activity")}
    with pytest.raises(DataError, match=r"2 names are of no video .*'x\.mp4'.*'y\.mp4'"):
        imported(tmp_path, {"all.csv": tiers}, columns=columns, time_unit="s")


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


def test_options_that_concern_no_file_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="open_states has no effect: it concerns boris"):
        imported(tmp_path, {"alone.txt": LINE}, open_states="to_end")
    with pytest.raises(ConfigError, match="fps has no effect"):
        imported(tmp_path, {"alone.txt": LINE}, fps=25)


def test_patterns_find_files_and_empty_ones_are_refused(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/phone.txt").write_text(LINE)
    result = imported(tmp_path, {"alone.txt": LINE}, files=[str(tmp_path / "*.txt"), str(tmp_path / "in/*.txt")])
    assert [path for path, *_ in spans(result)] == ["alone.mp4", "phone.mov"]
    with pytest.raises(DataError, match="no file found at"):
        imported(tmp_path, {"alone.txt": LINE}, files=[str(tmp_path / "*.eaf")])


def test_a_first_frame_after_time_zero_is_said(tmp_path):
    result = imported(tmp_path, {"late.txt": LINE})
    assert "first frame after time 0: ['late.mp4']" in notes(result)
    extent = result.files[0].annotations.extents[0]
    assert (extent.start_us, extent.end_us) == (500_000, 100_500_000)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xyz", "x", "nothing known reads .xyz; set format"),
        ("a.json", "{}", "neither a BORIS project nor Label Studio"),
        ("a.json", "{", "is not JSON"),
        ("a.tsv", "Observation id\tx\n", "tabular events of BORIS.*Aggregated"),
    ],
)
def test_files_of_no_known_format_are_refused(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message):
        imported(tmp_path, {name: content})
