import dataclasses

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrray.archive.manifest import (
    check_manifest,
    content_id_of,
    duplicate_groups,
    facts_of_videos,
    manifest_table,
    manifest_videos,
    problem_counts,
    video_id_of,
)
from nrray.errors import DataError
from nrray.tables import schema_of
from nrray.types import Video
from tests.made_tables import bad_video, video


def test_videos_come_back_from_their_table_sorted_by_path():
    videos = [video("b.mp4"), bad_video("a.mp4"), video("日本.mp4", start_us=-5)]
    table = manifest_table(videos)
    assert manifest_videos(table) == sorted(videos, key=lambda item: item.path)
    assert table["path"].to_pylist() == ["a.mp4", "b.mp4", "日本.mp4"]


def test_an_empty_manifest_has_its_schema():
    assert manifest_table([]).schema == schema_of(Video)
    assert manifest_videos(manifest_table([])) == []


def test_a_table_that_is_no_manifest_is_refused():
    table = manifest_table([video("a.mp4")])
    with pytest.raises(DataError, match="content_id"):
        manifest_videos(table.drop_columns(["content_id"]))
    position = table.column_names.index("status")
    with pytest.raises(DataError, match="status"):
        manifest_videos(table.set_column(position, "status", pa.array(["splendid"])))
    position = table.column_names.index("schema_version")
    with pytest.raises(DataError, match="schema_version"):
        manifest_videos(table.set_column(position, "schema_version", pa.array([99], pa.int16())))


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("video_id", ["a", "a"], r"2 rows have the video_id a: \['a.mp4', 'b.mp4'\]"),
        ("duration_us", [-5, 1], r"1 rows cannot be planned, such as .*'duration_us': -5"),
        ("duration_us", [1, None], r"'path': 'b.mp4'.*'duration_us': None"),
        ("start_us", [None, 0], r"'start_us': None"),
        ("status", ["fine", "ok"], r"'status': 'fine'"),
        ("duration_us", [1.5, 2.5], r"column duration_us holds double, expected int64"),
    ],
)
def test_a_manifest_that_was_edited_is_refused_with_the_row(column, values, message):
    table = manifest_table([video("a.mp4"), video("b.mp4")])
    check_manifest(table, name="m.parquet")
    index = table.column_names.index(column)
    with pytest.raises(DataError, match=message):
        check_manifest(table.set_column(index, column, pa.array(values)), name="m.parquet")


def test_a_manifest_with_files_that_cannot_be_read_is_fine():
    check_manifest(manifest_table([video("a.mp4"), bad_video("b.mp4")]), name="m.parquet")


def test_content_ids_depend_on_size_and_on_every_chunk():
    ids = {
        content_id_of(10, [b"ab", b"c"]),
        content_id_of(11, [b"ab", b"c"]),
        content_id_of(10, [b"a", b"bc"]),
        content_id_of(10, [b"abc"]),
        content_id_of(10, []),
    }
    assert len(ids) == 5
    assert content_id_of(10, [b"ab", b"c"]) in ids
    assert all(len(found) == 24 for found in ids)


@given(st.text(max_size=50), st.text(max_size=50))
def test_copies_of_one_content_have_ids_of_their_own(first, second):
    same = video_id_of("content", first) == video_id_of("content", second)
    assert same == (first == second)


def test_names_that_are_not_unicode_have_an_id():
    assert len(video_id_of("content", "bro\udce9ken.mp4")) == 16


def test_copies_are_grouped_and_empty_files_are_not():
    copy = dataclasses.replace(video("b.mp4"), content_id=video("a.mp4").content_id)
    empty = [dataclasses.replace(bad_video(name), content_id="same") for name in ("x", "y")]
    groups = duplicate_groups([video("a.mp4"), copy, video("c.mp4"), *empty])
    assert [[item.path for item in group] for group in groups] == [["a.mp4", "b.mp4"]]


def test_problems_are_counted_by_kind():
    other = dataclasses.replace(bad_video("c"), error_kind="unreadable")
    assert problem_counts([video("a"), bad_video("b"), bad_video("d"), other]) == {"empty": 2, "unreadable": 1}


def test_facts_of_videos_come_in_the_order_asked_for_and_an_unknown_seek_counts_as_one():
    table = manifest_table([video("a.mp4"), dataclasses.replace(video("b.mp4", start_us=7), seekable=None)])
    facts = facts_of_videos(table, pa.array(["id-b.mp4", "id-a.mp4", "id-b.mp4"]))
    assert facts["uri"].to_pylist() == ["/archive/b.mp4", "/archive/a.mp4", "/archive/b.mp4"]
    assert facts["start_us"].to_pylist() == [7, 0, 7]
    assert facts["seekable"].to_pylist() == [True, True, True]


def test_key_frames_lie_a_mean_distance_apart_and_a_file_without_seeking_has_one_start():
    table = manifest_table(
        [
            dataclasses.replace(video("a.mp4"), num_key_frames=4),
            dataclasses.replace(video("b.mp4"), num_key_frames=4, seekable=False),
            dataclasses.replace(video("c.mp4"), num_key_frames=None),
            dataclasses.replace(video("d.mp4"), num_key_frames=0),
        ]
    )
    facts = facts_of_videos(table, table["video_id"].combine_chunks())
    whole_us = video("a.mp4").duration_us
    assert facts["key_interval_us"].to_pylist() == [whole_us // 4, whole_us, None, whole_us]
