import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrray.archive.annotations import (
    check_one_annotator,
    millisecond_text,
    num_overlapping,
    read_annotations,
    unit_doubt,
    window_targets,
    write_annotations,
)
from nrray.errors import DataError
from nrray.intervals import Interval
from nrray.labels import read_label_set
from nrray.storage import Folder
from nrray.tables import rows_from_table, table_from_rows
from nrray.types import Extent, Origin, Segment

ACTIVITIES = read_label_set().activities
NAMES = [activity.name for activity in ACTIVITIES]


def segment(activity="suction", start_us=0, end_us=10_000_000, *, path="v.mp4", source="s"):
    return Segment(path=path, activity=activity, start_us=start_us, end_us=end_us, source=source, origin=Origin.HUMAN)


def extent(start_us=0, end_us=10_000_000, *, path="v.mp4", source="s"):
    return Extent(path=path, start_us=start_us, end_us=end_us, source=source)


def test_millisecond_text_is_in_order_of_start():
    segments = [segment("stimulation", 2_000_000, 2_500_000), segment("suction", 1_000, 5_000_000)]
    assert millisecond_text(segments) == "suction\t1\t5000\t4999\nstimulation\t2000\t2500\t500\n"


@given(
    st.lists(
        st.tuples(st.sampled_from(NAMES), st.integers(0, 12_000), st.integers(1, 6_000)).map(
            lambda drawn: (drawn[0], drawn[1], drawn[1] + drawn[2])
        ),
        max_size=8,
    )
)
def test_targets_are_the_covered_milliseconds_counted_one_by_one(spans_ms):
    starts = np.arange(0, 10_000, 1_000, dtype=np.int64)
    table = pa.table(
        {
            "activity": pa.array([name for name, _, _ in spans_ms], pa.string()),
            "start_us": pa.array([start * 1000 for _, start, _ in spans_ms], pa.int64()),
            "end_us": pa.array([end * 1000 for _, _, end in spans_ms], pa.int64()),
        }
    )
    found = window_targets(table, ACTIVITIES, starts * 1000, (starts + 3_000) * 1000)
    for column, activity in enumerate(ACTIVITIES):
        covered = np.zeros(20_000, bool)
        for name, start, end in spans_ms:
            if name == activity.name:
                covered[start:end] = True
        expected = [covered[start : start + 3_000].sum() > activity.positive_coverage * 3_000 for start in starts]
        assert found[:, column].tolist() == expected


def test_a_window_of_which_exactly_the_stated_share_is_covered_is_negative():
    activity = ACTIVITIES[NAMES.index("suction")].model_copy(update={"positive_coverage": 0.5})
    starts = np.array([0, 0], np.int64)
    table = table_from_rows([segment("suction", 0, 1500)], Segment)
    assert window_targets(table, [activity], starts, np.array([3000, 2999])).tolist() == [[False], [True]]


def test_a_folder_without_annotations_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no segments\.parquet"):
        read_annotations(str(tmp_path))
    write_annotations(Folder(str(tmp_path)), [], [])
    (tmp_path / "extents.parquet").unlink()
    with pytest.raises(DataError, match=r"no extents\.parquet"):
        read_annotations(str(tmp_path))


@pytest.mark.parametrize("place", ["memory://annotations", "{tmp_path}/new/folder"])
def test_annotations_on_any_storage_come_back_as_they_were(tmp_path, place):
    folder = Folder(place.format(tmp_path=tmp_path))
    segments = [segment(), segment("ventilation", 5, 9, path="w.mp4", source="t")]
    extents = [extent(), extent(3, 12, path="w.mp4", source="t")]
    write_annotations(folder, segments, extents)
    found = read_annotations(folder.uri)
    assert rows_from_table(found.segments, Segment) == segments
    assert rows_from_table(found.extents, Extent) == extents
    assert {field.type for field in found.extents.schema} == {pa.string(), pa.int64()}  # no column is coded


def test_written_tables_name_their_version_and_a_newer_one_is_refused(tmp_path):
    write_annotations(Folder(str(tmp_path)), [segment()], [extent()])
    for name in ("segments", "extents"):
        path = tmp_path / f"{name}.parquet"
        table = pq.read_table(path)
        assert table["schema_version"].to_pylist() == [1]
        newer = pa.array([2], pa.int16())
        pq.write_table(table.set_column(table.num_columns - 1, "schema_version", newer), path)
        with pytest.raises(DataError, match=rf"{name}\.parquet has schema_version 2, expected at most 1"):
            read_annotations(str(tmp_path))
        pq.write_table(table, path)


@pytest.mark.parametrize("with_version", [True, False])
def test_a_folder_whose_videos_are_in_a_column_video_path_reads(tmp_path, with_version):
    facts = {"video_path": ["a.mp4", "b.mp4"], "start_us": [0, 5], "end_us": [7, 9], "source": ["simulation", "anna"]}
    version = {"schema_version": pa.array([1, 1], pa.int16())} if with_version else {}
    pq.write_table(pa.table({**facts, "activity": ["suction", "crying"], **version}), tmp_path / "segments.parquet")
    pq.write_table(pa.table({**facts, **version}), tmp_path / "extents.parquet")
    found = read_annotations(str(tmp_path))
    assert rows_from_table(found.segments, Segment) == [
        Segment(path="a.mp4", activity="suction", start_us=0, end_us=7, source="simulation", origin=Origin.SIMULATED),
        Segment(path="b.mp4", activity="crying", start_us=5, end_us=9, source="anna", origin=Origin.IMPORTED),
    ]
    assert rows_from_table(found.extents, Extent) == [
        Extent(path="a.mp4", start_us=0, end_us=7, source="simulation"),
        Extent(path="b.mp4", start_us=5, end_us=9, source="anna"),
    ]


@pytest.mark.parametrize("key", ["path", "video_path"])
def test_missing_columns_are_named(tmp_path, key):
    write_annotations(Folder(str(tmp_path)), [segment()], [extent()])
    pq.write_table(pa.table({key: ["a"], "activity": ["suction"], "start_us": [0]}), tmp_path / "segments.parquet")
    with pytest.raises(DataError, match=r"segments\.parquet lacks the columns \[.*'end_us'"):
        read_annotations(str(tmp_path))


@pytest.mark.parametrize(("start_us", "end_us"), [(5_000_000, 5_000_000), (9_000_000, 4_000_000), (-1_000, 5_000_000)])
@pytest.mark.parametrize("noun", ["segment", "extent"])
def test_times_that_cannot_be_are_refused_wherever_they_are_read(tmp_path, noun, start_us, end_us):
    segments = [segment(), segment("suction", start_us, end_us)] if noun == "segment" else [segment()]
    extents = [extent(), extent(start_us, end_us)] if noun == "extent" else [extent()]
    write_annotations(Folder(str(tmp_path)), segments, extents)
    with pytest.raises(
        DataError, match=rf"annotations of 'v.mp4': a {noun} ends at {end_us / 1e6:.3f} s, but starts at "
    ):
        read_annotations(str(tmp_path))


def test_overlaps_are_counted_within_one_video_activity_and_annotator():
    first = segment("suction", 0, 10)
    assert num_overlapping([first, segment("suction", 9, 12)]) == 1
    assert num_overlapping([first, segment("suction", 10, 12)]) == 0
    assert num_overlapping([first, segment("suction", 9, 12, source="t")]) == 0
    assert num_overlapping([first, segment("suction", 9, 12, path="w.mp4")]) == 0
    assert num_overlapping([first, segment("ventilation", 9, 12)]) == 0
    inside = [segment("suction", 2, 3), segment("suction", 5, 6)]  # the first one reaches over both
    assert num_overlapping([first, *inside]) == 2
    assert num_overlapping([*reversed(inside), first]) == 2


@pytest.mark.parametrize(
    ("segments", "extents"),
    [
        ([segment(source="anna"), segment(source="bo")], []),
        ([segment(source="anna")], [extent(source="bo")]),  # bo examined the video and saw nothing
        ([], [extent(source="anna"), extent(source="bo")]),
    ],
)
def test_two_annotators_of_one_video_are_refused_by_name(tmp_path, segments, extents):
    write_annotations(Folder(str(tmp_path)), segments, extents)
    with pytest.raises(DataError, match=r"1 videos, such as 'v\.mp4', were annotated by several: anna, bo"):
        check_one_annotator(read_annotations(str(tmp_path)))


def test_annotators_of_different_videos_go_together(tmp_path):
    segments = [segment(source="anna"), segment(path="w.mp4", source="bo")]
    write_annotations(Folder(str(tmp_path)), segments, [extent(source="anna"), extent(path="w.mp4", source="bo")])
    check_one_annotator(read_annotations(str(tmp_path)))


def doubt_of(segments, **lengths_us):
    """Of videos that start at one second, by the stems of their paths."""
    times = {
        f"{stem}.mp4": Interval(start_us=1_000_000, end_us=1_000_000 + length) for stem, length in lengths_us.items()
    }
    return unit_doubt(table_from_rows(segments, Segment), times)


def test_only_a_video_longer_than_ten_seconds_shows_a_wrong_unit_of_time():
    early = [segment("suction", 1_000_100, 1_100_000)]
    assert doubt_of(early, v=10_000_000) is None
    assert "all annotations of 1 of 1 videos end within the first" in str(doubt_of(early, v=10_000_001))


def test_ends_from_two_percent_of_the_video_on_raise_no_doubt():
    assert doubt_of([segment("suction", 1_000_000, 2_999_999)], v=100_000_000) is not None
    assert doubt_of([segment("suction", 1_000_000, 3_000_000)], v=100_000_000) is None


def test_the_last_end_of_a_video_decides_whether_its_unit_is_doubted():
    early, late = segment("suction", 1_000_000, 1_100_000), segment("suction", 60_000_000, 70_000_000)
    assert doubt_of([late, early], v=100_000_000) is None


def test_one_video_among_others_is_doubted_where_no_segment_lasts_as_long_as_a_glance():
    others = [segment("suction", 60_000_000, 70_000_000, path="w.mp4")]
    lengths = {"v": 100_000_000, "w": 100_000_000}
    assert "'v.mp4'" in str(doubt_of([*others, segment("suction", 1_000_000, 1_199_999)], **lengths))
    assert doubt_of([*others, segment("suction", 1_000_000, 1_200_000)], **lengths) is None


def test_an_activity_is_labelled_where_it_was_looked_for_or_found(tmp_path):
    folder = Folder(str(tmp_path))
    write_annotations(folder, [segment("suction")], [extent()], activities=("ventilation",))
    assert read_annotations(folder.uri).labelled == {"suction", "ventilation"}
    (tmp_path / "activities.json").unlink()
    assert read_annotations(folder.uri).labelled == {"suction"}, "a folder that says nothing says what it has"
    (tmp_path / "activities.json").write_text("{}")
    with pytest.raises(DataError, match=r"activities\.json"):
        read_annotations(folder.uri)
