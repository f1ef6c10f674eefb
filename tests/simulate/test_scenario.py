"""Scenarios, poses and cameras of simulated cases, without a pixel."""

from itertools import pairwise

import numpy as np
import pytest

from nrray.simulate import SimulateConfig, camera_spans, simulated_case
from nrray.simulate.appearance import Draw, drawn_appearance
from nrray.simulate.case import case_rows
from nrray.simulate.pose import mouth_of, pose_at
from nrray.simulate.scenario import Airway, Body, Episode, Scenario, activity_spans, drawn_scenario, episode_at

CONFIG = SimulateConfig(seed=7)
APPEARANCE = simulated_case(CONFIG, 0).appearance
SCENARIOS = [drawn_scenario(np.random.default_rng(seed), 90.0) for seed in range(300)]


def seconds_of(kind) -> float:
    """Of all scenarios together."""
    episodes = [episode for scenario in SCENARIOS for episode in (*scenario.airway, *scenario.body)]
    return sum(episode.end_s - episode.start_s for episode in episodes if episode.kind is kind)


def test_activities_take_about_as_much_of_the_time_as_in_the_field():
    shares = dict.fromkeys(activity_spans(SCENARIOS[0]), 0.0)
    for scenario in SCENARIOS:
        for activity, spans in activity_spans(scenario).items():
            shares[activity] += sum(end - start for start, end in spans) / (90.0 * len(SCENARIOS))
    field = {"baby_visible": 0.84, "ventilation": 0.28, "suction": 0.13, "stimulation": 0.12}
    assert shares == pytest.approx(field, abs=0.06)


def test_a_still_look_alike_takes_about_as_much_time_as_its_activity():
    for kind, still in ((Airway.VENTILATION, Airway.MASK_STILL), (Airway.SUCTION, Airway.TUBE_STILL)):
        assert 0.5 < seconds_of(still) / seconds_of(kind) < 2


def test_an_episode_is_followed_at_once_by_one_of_another_kind():
    for scenario in SCENARIOS[:50]:
        for track in (scenario.airway, scenario.body):
            for before, after in pairwise(track):
                assert after.kind is not before.kind
                assert after.start_s == before.end_s


def test_somebody_passes_about_every_half_minute_and_never_two_at_once():
    passings = drawn_scenario(np.random.default_rng(0), 3600.0).passings
    assert 60 < len(passings) < 200
    assert all(after.start_s >= before.end_s + 8 for before, after in pairwise(passings))


def episode(kind, *, start_s=0.0, end_s=30.0, variant=0.4) -> Episode:
    return Episode(kind=kind, start_s=start_s, end_s=end_s, rate_hz=1.0, phase=0.3, variant=variant)


def test_an_episode_begins_at_its_start_and_is_over_at_its_end():
    first, second = episode(Airway.SUCTION, end_s=5.0), episode(Airway.VENTILATION, start_s=5.0, end_s=9.0)
    found = [episode_at((first, second), t) for t in (0.0, 4.999, 5.0, 9.0)]
    assert found == [first, first, second, None]


def poses(airway=Airway.NOTHING, body=Body.NOTHING, *, variant=0.4):
    """After the newborn was brought."""
    scenario = Scenario(
        arrival_s=0.0,
        departure_s=30.0,
        airway=(episode(airway, variant=variant),),
        body=(episode(body, variant=variant),),
    )
    return [pose_at(scenario, APPEARANCE, float(t)) for t in np.arange(5.0, 9.0, 0.05)]


def test_the_chest_rises_with_the_bag_while_the_mask_is_on_the_face_and_never_else():
    lifts = {kind: [pose.newborn.lift for pose in poses(kind)] for kind in Airway}
    assert lifts[Airway.VENTILATION] == [pose.bag_mask.squeeze for pose in poses(Airway.VENTILATION)]
    assert max(lifts[Airway.VENTILATION]) > 0.9
    assert max(pose.bag_mask.squeeze for pose in poses(Airway.BAG_TESTED)) > 0.9
    assert {max(lifts[kind]) for kind in Airway if kind is not Airway.VENTILATION} == {0.0}


@pytest.mark.parametrize("variant", [0.0, 0.4, 0.99])
def test_the_mask_is_on_the_face_where_it_is_said_to_be(variant):
    mouth = np.array(mouth_of(APPEARANCE))
    for kind in (Airway.VENTILATION, Airway.MASK_STILL, Airway.MASK_BESIDE, Airway.BAG_TESTED):
        is_on = kind in (Airway.VENTILATION, Airway.MASK_STILL)
        for pose in poses(kind, variant=variant):
            distance = np.linalg.norm(np.array(pose.bag_mask.mask) - mouth)
            assert distance < 5 if is_on else distance > 30


@pytest.mark.parametrize("variant", [0.0, 0.4, 0.99])
def test_a_suction_tube_is_in_the_mouth_and_a_still_one_at_the_lips(variant):
    depth = {
        kind: [pose.tube.tip[1] - mouth_of(APPEARANCE)[1] for pose in poses(kind, variant=variant)]
        for kind in (Airway.SUCTION, Airway.TUBE_STILL)
    }
    assert max(depth[Airway.SUCTION]) <= 0
    assert 0 < min(depth[Airway.TUBE_STILL]) < max(depth[Airway.TUBE_STILL]) < 6


@pytest.mark.parametrize("variant", [0.1, 0.9])
def test_only_stimulation_and_a_resting_hand_are_on_the_trunk(variant):
    for kind in Body:
        for pose in poses(body=kind, variant=variant):
            if pose.helper is None:
                assert kind is Body.NOTHING
                continue
            along = (pose.helper.at[0] - APPEARANCE.head_x) / APPEARANCE.size
            across = abs(pose.helper.at[1] - APPEARANCE.head_y) / APPEARANCE.size
            is_on_trunk = 35 < along < 80 and across < 25
            assert is_on_trunk == (kind in (Body.STIMULATION, Body.HAND_RESTING))


def test_the_newborn_is_there_from_arrival_to_departure_and_is_brought_by_a_hand():
    scenario = Scenario(
        arrival_s=2.0, departure_s=20.0, airway=(episode(Airway.NOTHING),), body=(episode(Body.NOTHING),)
    )
    seen = {t: pose_at(scenario, APPEARANCE, t) for t in (1.99, 2.0, 3.0, 10.0, 19.99, 20.0)}
    assert [pose.newborn is not None for pose in seen.values()] == [False, True, True, True, True, False]
    assert [pose.helper is not None for pose in seen.values()] == [False, True, True, False, False, False]
    assert seen[2.0].newborn.y > seen[3.0].newborn.y > seen[10.0].newborn.y == APPEARANCE.head_y


def test_properties_of_a_case_are_drawn_apart():
    def within_slice(name):
        return round(30 * Draw("oak", [7, 1]).share(name) % 1, 6)

    names = ("glove hue", "turn", "brightness", "noise", "cloth step")
    assert len({within_slice(name) for name in names}) == len(names)


def test_families_of_appearance_take_turns():
    config = CONFIG.model_copy(update={"appearance": ("oak", "pine", "elm")})
    for index in range(6):
        expected = drawn_appearance(config.appearance[index % 3], [config.seed, index])
        assert simulated_case(config, index).appearance == expected


@pytest.mark.parametrize("case_seconds", [20.0, 90.0, 3600.0])
def test_the_newborn_comes_to_the_table_within_two_minutes_of_its_birth(case_seconds):
    for index in range(10):
        (first, *_) = case_rows(simulated_case(CONFIG.model_copy(update={"case_seconds": case_seconds}), index))
        assert 20 <= (first.instants["table_arrival"] - first.instants["birth"]) / 1e6 <= 90


def test_the_first_camera_starts_with_the_case_and_others_later():
    for index in range(10):
        first, second = simulated_case(CONFIG, index).cameras
        assert first.start_us == 0 < second.start_us
        assert first.duration_us == 90_000_000


def test_spans_of_a_camera_lie_within_its_video():
    for index in range(20):
        case = simulated_case(CONFIG, index)
        for camera in case.cameras:
            for _, start_us, end_us in camera_spans(case, camera):
                assert 0 <= start_us < end_us <= camera.duration_us
