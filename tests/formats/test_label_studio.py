import json

import pytest

from nrray.errors import DataError
from tests.formats.support import imported, notes, spans


def region(value, number="r1"):
    return {"id": number, "type": "timelinelabels", "value": value}


def frames(first, last, label="suction"):
    return region({"ranges": [{"start": first, "end": last}], "timelinelabels": [label]})


def task(*results, video="alone.mp4", **changes):
    annotations = [{"id": number, "result": list(result), **changes} for number, result in enumerate(results, start=1)]
    return {"id": 7, "data": {"video": video}, "annotations": annotations}


def test_frames_count_from_one_and_include_the_last(tmp_path):
    text = json.dumps([task([frames(1, 25), frames(26, 26)])])
    assert spans(imported(tmp_path, {"t.json": text})) == [
        ("alone.mp4", "suction", 0, 1000),
        ("alone.mp4", "suction", 1000, 1040),
    ]


def test_the_rate_is_the_given_or_the_measured_one_or_the_file_is_refused(tmp_path):
    text = json.dumps([task([frames(51, 100)], video="unmeasured.mp4")])
    with pytest.raises(DataError, match=r"task 1 .*region r1: .*no rate of unmeasured\.mp4: set fps"):
        imported(tmp_path, {"t.json": text})
    assert spans(imported(tmp_path, {"t.json": text}, fps=50)) == [("unmeasured.mp4", "suction", 1000, 2000)]
    variable = imported(tmp_path, {"t.json": json.dumps([task([frames(31, 60)], video="phone.mov")])})
    assert spans(variable) == [("phone.mov", "suction", 1000, 2000)]
    assert "variable frame rate" in notes(variable)


def test_plain_regions_in_seconds_and_several_labels(tmp_path):
    value = {"start": 1.25, "end": 2.5, "labels": ["suction", "ventilation"]}
    assert spans(imported(tmp_path, {"t.json": json.dumps([task([region(value)])])})) == [
        ("alone.mp4", "suction", 1250, 2500),
        ("alone.mp4", "ventilation", 1250, 2500),
    ]


def test_what_is_no_stretch_or_was_skipped_is_counted(tmp_path):
    box = region({"sequence": [{"frame": 1, "x": 1}], "labels": ["suction"]})
    choice = {"id": "c", "type": "choices", "value": {"choices": ["good"]}}
    tasks = [
        task([box, choice]),
        task([frames(1, 2)], was_cancelled=True),
        {"id": 9, "data": {"video": "alone.mp4"}, "annotations": [], "predictions": [{"result": []}]},
    ]
    result = imported(tmp_path, {"t.json": json.dumps(tasks)})
    assert spans(result) == []
    assert result.num_extents == 1  # somebody examined the video and found nothing
    for counted in ("1 prediction", "2 other regions", "1 skipped annotation", "2 unannotated tasks"):
        assert f"{counted} left out." in notes(result)


def test_annotators_keep_their_names_and_nameless_ones_stay_apart(tmp_path):
    named = [task([frames(1, 2)], completed_by={"email": "anna@x"}), task([frames(1, 2)], completed_by=3)]
    result = imported(tmp_path, {"t.json": json.dumps(named)})
    assert {row.source for row in result.files[0].annotations.segments} == {"anna@x", "3"}
    nameless = imported(tmp_path, {"t.json": json.dumps([task([frames(1, 2)], [frames(1, 2)])])})
    assert {row.source for row in nameless.files[0].annotations.segments} == {"imported/1.1", "imported/1.2"}


@pytest.mark.parametrize(
    "name", ["/data/upload/3/0a1b2c3d-alone.mp4", "/data/local-files/?d=x/alone.mp4", "s3://bucket/x/alone.mp4?a=1"]
)
def test_addresses_of_label_studio_lead_to_the_video(tmp_path, name):
    assert spans(imported(tmp_path, {"t.json": json.dumps([task([frames(1, 25)], video=name)])}))[0][0] == "alone.mp4"


def test_one_video_for_tasks_of_several_is_refused(tmp_path):
    tasks = [task([frames(1, 2)]), task([frames(1, 2)], video="phone.mov")]
    with pytest.raises(DataError, match="of several videos"):
        imported(tmp_path, {"t.json": json.dumps(tasks)}, video="alone.mp4")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"video": "alone.mp4", "timeline": []}], "Export as JSON, not JSON-MIN"),
        ([task([frames(0, 5)])], "found frames 0 to 5; they count from 1"),
        ([task([frames(5, 4)])], "found frames 5 to 4"),
        ([task([frames(1.5, 4)])], "expected whole frame numbers"),
        ([{"data": {}, "annotations": [{"id": 1, "result": []}]}], "its data names no video"),
        ([task([region({"start": "x", "end": 1, "labels": ["suction"]})])], "region r1: found 'x'"),
        ([task([frames(1, 2, "Dance")])], "region r1: unknown activity 'Dance'"),
    ],
)
def test_what_is_wrong_in_a_task_is_named(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        imported(tmp_path, {"t.json": json.dumps(content)})
