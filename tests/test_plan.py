import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrray.errors import ConfigError
from nrray.plan import Packing, plan_sentence, plan_units, unit_ids, unit_windows
from nrray.sampling import Sampling, window_count
from nrray.tables import schema_of
from nrray.types import Unit
from tests.made_tables import bad_video, manifest, video


def planned(seconds, per_unit, sampling=None):
    sampling = sampling or Sampling()
    videos = [video(f"{index:03d}.mp4", seconds=value) for index, value in enumerate(seconds)]
    return plan_units(manifest(*videos), sampling, Packing(max_unit_windows=per_unit))


@given(st.lists(st.floats(0.05, 500), max_size=8), st.integers(1, 70))
def test_units_partition_the_windows_of_every_video(seconds, per_unit):
    plan = planned(seconds, per_unit)
    windows = {}
    for unit in plan.units.to_pylist():
        assert 1 <= unit["num_windows"] <= per_unit
        windows.setdefault(unit["video_id"], []).extend(
            range(unit["first_window"], unit["first_window"] + unit["num_windows"])
        )
    expected = {
        f"id-{index:03d}.mp4": list(range(int(window_count(Sampling(), np.array([round(value * 1e6)]))[0])))
        for index, value in enumerate(seconds)
    }
    assert windows == expected
    assert plan.num_windows == sum(len(found) for found in expected.values())


@given(st.lists(st.floats(0.05, 500), min_size=1, max_size=6), st.integers(1, 30))
def test_what_the_plan_counts_is_what_its_units_hold(seconds, per_unit):
    plan = planned(seconds, per_unit)
    sampling = Sampling()
    units = plan.units.to_pylist()
    frames = [(unit["num_windows"] - 1) * sampling.frames_per_stride + sampling.frames_per_window for unit in units]
    assert plan.num_frames == sum(frames)
    assert plan.sharing_ratio == pytest.approx(plan.num_windows * sampling.frames_per_window / sum(frames))
    assert plan.video_us == sum(round(value * 1e6) for value in seconds)


def test_unit_ids_are_unique_and_sort_by_video_and_time():
    plan = planned([5000, 3, 200], 7)
    ids = plan.units["unit_id"].to_pylist()
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert plan.units.schema == schema_of(Unit)


def test_unit_ids_sort_by_time_beyond_a_hundred_thousand_windows():
    first_windows = [0, 9, 10, 99_999, 100_000, 100_001, 999_999, 1_000_000, 9_999_999]
    ids = unit_ids(pa.array(["id"] * len(first_windows)), np.array(first_windows)).to_pylist()
    assert ids == sorted(ids)
    assert (ids[0], ids[4]) == ("id-0000000", "id-0100000")
    hours = planned([30 * 3600], 1).units["unit_id"].to_pylist()
    assert len(hours) > 100_000
    assert hours == sorted(hours)


def test_planning_twice_gives_the_same_plan():
    assert planned([10, 20.5], 4).units.equals(planned([10, 20.5], 4).units)


def test_unreadable_files_have_no_units_and_are_counted():
    plan = plan_units(manifest(video("a.mp4"), bad_video("b.mp4")), Sampling(), Packing())
    assert (plan.num_videos, plan.num_bad_videos) == (1, 1)
    assert set(plan.units["video_id"].to_pylist()) == {"id-a.mp4"}


@pytest.mark.parametrize("videos", [(), (bad_video("b.mp4"),)])
def test_an_archive_without_a_readable_video_has_an_empty_plan(videos):
    plan = plan_units(manifest(*videos), Sampling(), Packing())
    assert plan.units.num_rows == 0
    assert plan.units.schema == schema_of(Unit)
    assert "0 videos" in plan_sentence(plan, Sampling())
    assert plan.sharing_ratio == 1.0


def test_adding_a_video_leaves_the_units_of_the_others_as_they_were():
    before = plan_units(manifest(video("a.mp4", seconds=90)), Sampling(), Packing(max_unit_windows=20)).units
    both = manifest(video("0.mp4", seconds=33), video("a.mp4", seconds=90))
    after = plan_units(both, Sampling(), Packing(max_unit_windows=20)).units
    assert set(before["unit_id"].to_pylist()) < set(after["unit_id"].to_pylist())


@given(st.integers(1, 40), st.integers(1, 40), st.integers(16, 512), st.integers(1, 64), st.integers(1, 200))
def test_a_unit_never_exceeds_its_memory(window_frames, stride_frames, side_px, mib, asked):
    sampling = Sampling(
        frames_per_second=4,
        window_seconds=window_frames / 4,
        stride_seconds=min(stride_frames, window_frames) / 4,
        frame_width_px=side_px,
        frame_height_px=side_px,
    )
    packing = Packing(max_unit_windows=asked, max_unit_mib=mib)
    if sampling.frames_per_window * sampling.frame_bytes > mib * 2**20:
        with pytest.raises(ConfigError, match="max_unit_mib"):
            unit_windows(sampling, packing)
        return
    count = unit_windows(sampling, packing)

    def frames(windows):
        return (windows - 1) * sampling.frames_per_stride + sampling.frames_per_window

    assert 1 <= count <= asked
    assert frames(count) * sampling.frame_bytes <= mib * 2**20
    assert count == asked or frames(count + 1) * sampling.frame_bytes > mib * 2**20, "as many as fit"


def test_a_window_that_alone_exceeds_a_units_memory_is_refused():
    sampling = Sampling(frame_width_px=512, frame_height_px=512)  # 12 frames of 0.75 MiB
    assert unit_windows(sampling, Packing(max_unit_mib=9)) == 1
    with pytest.raises(ConfigError, match=r"one window of 12 frames of 512x512 px takes more than .*max_unit_mib=8"):
        unit_windows(sampling, Packing(max_unit_mib=8))


def test_a_hundred_hour_video_is_planned_in_whole():
    plan = planned([100 * 3600], 60)
    assert plan.num_windows == 100 * 3600 - 2
    assert plan.units.num_rows == math.ceil(plan.num_windows / 60)
