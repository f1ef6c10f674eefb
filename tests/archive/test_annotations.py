import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrray.archive.annotations import (
    EXTENT_SCHEMA,
    SEGMENT_SCHEMA,
    TruthSegment,
    millisecond_text,
    read_truth,
    truth_with_video_ids,
    window_targets,
)
from nrray.errors import DataError
from nrray.labels import read_label_set

ACTIVITIES = read_label_set().activities
NAMES = [activity.name for activity in ACTIVITIES]


def segment(activity, start_us, end_us):
    return TruthSegment(video_path="v.mp4", activity=activity, start_us=start_us, end_us=end_us, source="s")


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


def test_truth_of_videos_that_the_manifest_lacks_is_refused():
    truth = pa.table({"video_path": ["a.mp4", "b.mp4"]})
    manifest = pa.table({"path": ["a.mp4"], "video_id": ["id-a"]})
    assert truth_with_video_ids(truth.slice(0, 1), manifest)["video_id"].to_pylist() == ["id-a"]
    with pytest.raises(DataError, match=r"1 videos of the truth are not in the manifest: \['b.mp4'\]"):
        truth_with_video_ids(truth, manifest)


def test_a_folder_without_truth_is_said(tmp_path):
    with pytest.raises(DataError, match=r"no segments\.parquet"):
        read_truth(str(tmp_path))


def test_truth_may_lie_on_any_storage():
    tables = {
        "segments.parquet": pa.Table.from_pylist(
            [{"video_path": "a.mp4", "activity": "suction", "start_us": 0, "end_us": 5, "source": "me"}], SEGMENT_SCHEMA
        ),
        "extents.parquet": pa.Table.from_pylist(
            [{"video_path": "a.mp4", "start_us": 0, "end_us": 9, "source": "me"}], EXTENT_SCHEMA
        ),
    }
    for name, table in tables.items():
        with fsspec.open(f"memory://truth/{name}", "wb") as file:
            pq.write_table(table, file)
    segments, extents = read_truth("memory://truth")
    assert segments.equals(tables["segments.parquet"])
    assert extents.equals(tables["extents.parquet"])


@pytest.mark.parametrize(("start_us", "end_us"), [(5_000_000, 5_000_000), (9_000_000, 4_000_000), (-1_000, 5_000_000)])
@pytest.mark.parametrize("what", ["segment", "extent"])
def test_spans_that_cannot_be_are_refused_wherever_they_are_read(tmp_path, what, start_us, end_us):
    good = {"video_path": "a", "activity": "suction", "start_us": 0, "end_us": 10_000_000, "source": "x"}
    bad = {**good, "start_us": start_us, "end_us": end_us}
    for name, schema in (("segment", SEGMENT_SCHEMA), ("extent", EXTENT_SCHEMA)):
        rows = [good, bad] if name == what else [good]
        table = pa.Table.from_pylist([{key: row[key] for key in schema.names} for row in rows], schema=schema)
        pq.write_table(table, tmp_path / f"{name}s.parquet")
    with pytest.raises(DataError, match=rf"annotations of 'a': a {what} ends at {end_us / 1e6:.3f} s, but starts at "):
        read_truth(str(tmp_path))
