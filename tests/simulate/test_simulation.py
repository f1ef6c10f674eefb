"""Truth is what was drawn: scenarios under the field's rules, motion where there is an activity, files that agree."""

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from nrray.archive.cases import read_cases
from nrray.simulate import (
    FrameRenderer,
    SimulateConfig,
    camera_spans,
    render_case,
    simulated_case,
    write_truth,
)
from nrray.simulate.appearance import FAMILIES, SLICES_PER_FAMILY, Draw
from nrray.simulate.pose import pose_at
from nrray.simulate.render import kept_frames
from nrray.simulate.scenario import Airway, Body, Episode, Scenario, activity_spans

CONFIG = SimulateConfig(num_cases=3, case_seconds=40, seed=7)


def overlap(one: list[tuple[float, float]], other: list[tuple[float, float]]) -> float:
    return sum(max(0.0, min(a[1], b[1]) - max(a[0], b[0])) for a in one for b in other)


@pytest.mark.parametrize("index", range(40))
def test_every_scenario_keeps_the_field_s_rules(index):
    spans = activity_spans(simulated_case(CONFIG, index).scenario)
    visible = spans["baby_visible"]
    assert overlap(spans["ventilation"], spans["suction"]) == 0
    for activity, mine in spans.items():
        assert all(0 <= start < end <= CONFIG.case_seconds for start, end in mine), activity
        assert overlap(mine, visible) == pytest.approx(sum(end - start for start, end in mine))


def test_a_case_is_the_same_whatever_else_is_simulated():
    alone = simulated_case(CONFIG.model_copy(update={"num_cases": 1}), 1)
    among = simulated_case(CONFIG, 1)
    assert alone.scenario == among.scenario
    assert alone.appearance == among.appearance
    assert alone.cameras == among.cameras
    assert simulated_case(CONFIG.model_copy(update={"seed": 8}), 1).scenario != among.scenario
    assert simulated_case(CONFIG, 2).appearance != among.appearance


def test_the_same_seed_gives_the_same_pixels_in_any_order():
    case = simulated_case(CONFIG, 0)
    forward, again = FrameRenderer(case, 0), FrameRenderer(case, 0)
    times = [3.0, 11.4, 27.8]
    pictures = [forward.frame(t) for t in times]
    for t, picture in reversed(list(zip(times, pictures, strict=True))):
        assert np.array_equal(again.frame(t), picture)
    assert not np.array_equal(FrameRenderer(case, 1).frame(3.0), pictures[0])


def scenario_of(airway: Airway = Airway.NOTHING, body: Body = Body.NOTHING) -> Scenario:
    episode = {"start_s": 0.0, "end_s": 30.0, "rate_hz": 1.0, "phase": 0.3, "variant": 0.4}
    return Scenario(
        arrival_s=0.0,
        departure_s=30.0,
        airway=(Episode(kind=airway, **episode),),
        body=(Episode(kind=body, **episode),),
    )


def travel(scenario: Scenario, part: str) -> float:
    """How far a part moves in three seconds, in canvas pixels."""
    appearance = simulated_case(CONFIG, 0).appearance
    found = []
    for t in np.arange(5.0, 8.0, 0.05):
        pose = pose_at(scenario, appearance, float(t))
        found.append(
            {
                "bag": (20 * pose.bag_mask.squeeze, 0.0),
                "tube": pose.tube.grip,
                "hand": pose.helper.at if pose.helper else (0.0, 0.0),
            }[part]
        )
    return float(np.abs(np.diff(np.array(found), axis=0)).sum())


@pytest.mark.parametrize(
    ("activity", "look_alikes", "part"),
    [
        (Airway.VENTILATION, (Airway.MASK_STILL, Airway.MASK_BESIDE), "bag"),
        (Airway.SUCTION, (Airway.TUBE_STILL, Airway.TUBE_BESIDE), "tube"),
        (Body.STIMULATION, (Body.HAND_RESTING,), "hand"),
    ],
)
def test_an_activity_moves_and_its_look_alikes_do_not(activity, look_alikes, part):
    def scenario(kind):
        return scenario_of(airway=kind) if isinstance(kind, Airway) else scenario_of(body=kind)

    moved = travel(scenario(activity), part)
    assert moved > 30
    for kind in look_alikes:
        assert travel(scenario(kind), part) < 0.2 * moved


def test_no_look_alike_is_an_activity():
    for kind in Airway:
        spans = activity_spans(scenario_of(airway=kind))
        named = [name for name, mine in spans.items() if mine and name != "baby_visible"]
        assert named == ([kind.value] if kind in (Airway.VENTILATION, Airway.SUCTION) else [])


def test_families_share_no_value_of_any_property():
    num_slices = SLICES_PER_FAMILY * len(FAMILIES)
    for name in ("glove hue", "turn", "brightness", "noise", "cloth step"):
        owned = {
            family: {int(num_slices * Draw(family, [7, index]).share(name)) for index in range(60)}
            for family in FAMILIES
        }
        assert all(len(slices) == SLICES_PER_FAMILY for slices in owned.values())
        assert len(set.union(*owned.values())) == num_slices


def test_cases_of_a_family_look_different():
    turns = {round(Draw("oak", [7, index]).between("turn", -40, 40)) for index in range(60)}
    assert len(turns) > 5


def test_a_camera_that_drops_frames_keeps_the_length_of_its_video():
    config = CONFIG.model_copy(update={"appearance": FAMILIES})
    cameras = [camera for index in range(40) for camera in simulated_case(config, index).cameras]
    dropping = [camera for camera in cameras if camera.view.drop_fraction]
    assert dropping
    assert len(dropping) < len(cameras)
    for camera in dropping:
        kept = kept_frames(camera, camera.num_frames)
        assert kept[0] == 0
        assert kept[-1] == camera.num_frames - 1
        assert len(kept) < camera.num_frames


def test_the_files_agree_with_the_truth(tmp_path):
    config = CONFIG.model_copy(update={"case_seconds": 12.0, "output": str(tmp_path)})
    cases = [simulated_case(config, index) for index in range(2)]
    for case in cases:
        render_case(case, tmp_path)
    write_truth(cases, tmp_path)
    segments = pq.read_table(tmp_path / "truth" / "segments.parquet").to_pylist()
    extents = {row["path"]: row for row in pq.read_table(tmp_path / "truth" / "extents.parquet").to_pylist()}
    sidecar = read_cases(str(tmp_path / "cases.csv"))
    assert [row.video_path for row in sidecar.rows] == [camera.video_path for case in cases for camera in case.cameras]
    for case in cases:
        for camera in case.cameras:
            mine = [row for row in segments if row["path"] == camera.video_path]
            assert sorted((row["activity"], row["start_us"], row["end_us"]) for row in mine) == sorted(
                camera_spans(case, camera)
            )
            lines = (tmp_path / "truth" / f"{case.case_id}_{camera.name}.txt").read_text().splitlines()
            assert len(lines) == len(mine)
            assert extents[camera.video_path]["end_us"] >= camera.duration_us
            with av.open(str(tmp_path / "videos" / camera.video_path)) as container:
                stream = container.streams.video[0]
                assert stream.codec_context.name == "h264"
                assert sum(1 for _ in container.decode(stream)) == len(kept_frames(camera, camera.num_frames))
    assert not list(tmp_path.rglob(".tmp-*"))


def test_a_later_camera_sees_the_same_moment():
    case = simulated_case(CONFIG.model_copy(update={"case_seconds": 120.0}), 0)
    first, second = case.cameras[:2]
    starts = {}
    for camera in (first, second):
        starts[camera.name] = {
            (activity, start + camera.start_us)
            for activity, start, end in camera_spans(case, camera)
            if start > 0 and end < camera.duration_us
        }
    assert starts[second.name]
    assert starts[second.name] <= starts[first.name]
