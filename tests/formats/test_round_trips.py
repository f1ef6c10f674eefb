import csv
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrray.errors import ConfigError, DataError
from nrray.formats import Format
from nrray.types import Extent, Origin, Segment
from tests.formats.support import exported, imported, reimported, spans

FORMATS = [kind.value for kind in Format]
KEEP_SOURCE = ("delimited", "elan", "elan_tab", "label_studio")
STEP_US = 40_000  # of 25 frames per second; a whole number of milliseconds


def segment(activity="suction", start_us=1_000_000, end_us=2_000_000, path="cam1/v.mp4", source="anna"):
    return Segment(
        path=path, activity=activity, start_us=start_us, end_us=end_us, source=source, origin=Origin.IMPORTED
    )


def order(item):
    return (item.path, item.start_us, item.end_us, item.activity, item.source)


on_grid = st.builds(
    lambda activity, start, length, path, source: segment(
        activity, start * STEP_US, (start + length) * STEP_US, path, source
    ),
    st.sampled_from(["suction", "ventilation", "stimulation"]),
    st.integers(0, 1000),
    st.integers(1, 400),
    st.sampled_from(["cam1/v.mp4", "alone.mp4"]),
    st.sampled_from(["anna", "bo"]),
)


@pytest.mark.parametrize("format_", FORMATS)
@settings(max_examples=15, deadline=None)
@given(drawn=st.lists(on_grid, min_size=1, max_size=8, unique=True))
def test_segments_on_the_grid_come_back_as_they_were(format_, drawn):
    if format_ == "boris":  # holds one segment of a kind at a time
        last = {}
        drawn = [
            item
            for item in sorted(drawn, key=order)
            if item.start_us >= last.get(key := (item.path, item.activity, item.source), -1)
            and last.update({key: item.end_us}) is None
        ]
    with tempfile.TemporaryDirectory() as name:
        exported(Path(name), format_, drawn)
        back = reimported(Path(name), format_)
    expected = drawn if format_ in KEEP_SOURCE else [replace(item, source="") for item in drawn]
    found = back if format_ in KEEP_SOURCE else [replace(item, source="") for item in back]
    assert sorted(found, key=order) == sorted(expected, key=order)


def test_microseconds_survive_delimited_text_in_microseconds_and_seconds(tmp_path):
    exact = [segment(start_us=1_234_567, end_us=2_345_678)]
    for unit in ("us", "s"):
        result = exported(tmp_path / unit, "delimited", exact, time_unit=unit)
        assert not [note for note in result.notes if "rounded" in note]
        assert reimported(tmp_path / unit, "delimited") == exact


@pytest.mark.parametrize("format_", FORMATS)
def test_what_is_finer_than_the_format_is_rounded_and_said(tmp_path, format_):
    result = exported(tmp_path, format_, [segment(start_us=1_000_400, end_us=2_000_400), segment(end_us=1_000_100)])
    assert "2 segments rounded" in " ".join(result.notes)
    assert "1 segment of zero length after rounding left out" in " ".join(result.notes)
    assert [(row.start_us, row.end_us) for row in reimported(tmp_path, format_)] == [(1_000_000, 2_000_000)]


@pytest.mark.parametrize("format_", FORMATS)
def test_files_end_in_a_newline_and_a_video_without_segments_has_one_too(tmp_path, format_):
    extents = [Extent(path="alone.mp4", start_us=0, end_us=9_000_000, source="anna")]
    result = exported(tmp_path, format_, [segment()], extents)
    assert [name.rsplit(".", 1)[0] for name in result.files] == ["alone.mp4", "cam1/v.mp4"]
    for name in result.files:
        content = (tmp_path / "exported" / name).read_bytes()
        assert content.endswith(b"\n") or content == b""
    assert len(reimported(tmp_path, format_)) == 1


@pytest.mark.parametrize("name", ["=1+2", "+a", "-a", "@SUM(A1)", "'=1", "''=1", "'a", "a=1"])
def test_no_name_is_a_formula_in_a_csv_and_all_come_back_as_they_were(tmp_path, name):
    drawn = [segment(path="alone.mp4", source=name)]
    (file,) = exported(tmp_path, "delimited", drawn).files
    (row,) = list(csv.reader((tmp_path / "exported" / file).read_text().splitlines()))[1:]
    assert not [cell for cell in row if cell.startswith(("=", "+", "-", "@"))]
    assert reimported(tmp_path, "delimited") == drawn


def test_boris_keeps_the_examined_time_and_joins_overlaps(tmp_path):
    extents = [Extent(path="alone.mp4", start_us=5_000_000, end_us=50_000_000, source="anna")]
    both = [
        segment(start_us=6_000_000, end_us=9_000_000, path="alone.mp4"),
        segment(start_us=8_000_000, end_us=10_000_000, path="alone.mp4"),
    ]
    result = exported(tmp_path, "boris", both, extents)
    assert "1 segment joined" in " ".join(result.notes)
    back = imported(tmp_path, {"x.boris": (tmp_path / "exported/alone.mp4.boris").read_bytes()}, extent="stated")
    assert spans(back) == [("alone.mp4", "suction", 6000, 10000)]
    assert [(row.start_us, row.end_us) for row in back.files[0].annotations.extents] == [(5_000_000, 50_000_000)]


def test_boris_keeps_segments_apart_that_only_touch(tmp_path):
    touching = [segment(start_us=1_000_000, end_us=2_000_000), segment(start_us=2_000_000, end_us=3_000_000)]
    assert not [note for note in exported(tmp_path, "boris", touching).notes if "joined" in note]
    assert [(row.start_us, row.end_us) for row in reimported(tmp_path, "boris")] == [
        (1_000_000, 2_000_000),
        (2_000_000, 3_000_000),
    ]


def test_an_import_is_the_origin_of_its_segments_whoever_made_them_before(tmp_path):
    exported(tmp_path, "delimited", [replace(segment(), origin=Origin.SIMULATED, score=0.5, video_id="0123")])
    assert reimported(tmp_path, "delimited") == [segment()]


@pytest.mark.parametrize(("format_", "suffix"), [("elan", ".eaf"), ("webvtt", ".vtt"), ("delimited", ".csv")])
def test_names_that_mean_something_to_the_format_are_escaped(tmp_path, format_, suffix):
    odd = 'a<b>&"c", --> d'
    exported(tmp_path, format_, [segment(odd, path="alone.mp4")])
    content = (tmp_path / f"exported/alone.mp4{suffix}").read_bytes()
    back = imported(tmp_path, {f"alone{suffix}": content}, names={odd: "suction"})
    assert spans(back) == [("alone.mp4", "suction", 1000, 2000)]


def test_names_that_no_line_can_hold_are_refused(tmp_path):
    with pytest.raises(DataError, match="control characters"):
        exported(tmp_path, "millisecond_text", [segment("a\tb")])
    with pytest.raises(DataError, match="leads out of the archive"):
        exported(tmp_path, "webvtt", [segment(path="../x.mp4")])


def test_settings_without_effect_and_missing_facts_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="time_unit has no effect"):
        exported(tmp_path, "webvtt", [segment()], time_unit="us")
    with pytest.raises(ConfigError, match="set manifest"):
        exported(tmp_path, "boris", [segment()], manifest=None)
    with pytest.raises(ConfigError, match="set manifest, or fps"):
        exported(tmp_path, "label_studio", [segment()], manifest=None)
    with pytest.raises(DataError, match="set fps"):
        exported(tmp_path, "label_studio", [segment(path="unmeasured.mp4")])


def test_a_variable_frame_rate_is_said(tmp_path):
    result = exported(tmp_path, "label_studio", [segment(path="phone.mov")])
    assert "variable frame rate" in " ".join(result.notes)
