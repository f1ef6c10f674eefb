import json

import pytest

from nrray.archive.annotations import read_annotations
from nrray.errors import ConfigError, DataError
from tests.formats.support import imported, spans

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


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xyz", "x", "no format has files with the suffix .xyz; set format"),
        ("a.json", "{}", "neither a BORIS project nor Label Studio"),
        ("a.json", "{", "is not JSON"),
        ("a.tsv", "Observation id\tx\n", "tabular events of BORIS.*Aggregated"),
    ],
)
def test_files_of_no_known_format_are_refused(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message):
        imported(tmp_path, {name: content})


def test_activities_that_were_looked_for_are_labelled_also_where_none_was_seen(tmp_path):
    result = imported(tmp_path, {"alone.txt": LINE}, activities=["ventilation"])
    assert read_annotations(result.folder).labelled == {"suction", "ventilation"}
    assert read_annotations(imported(tmp_path, {"alone.txt": LINE}).folder).labelled == {"suction"}
    with pytest.raises(ConfigError, match="activities names \\['gasping'\\], which the label set lacks"):
        imported(tmp_path, {"alone.txt": LINE}, activities=["gasping"])
