import itertools
from dataclasses import replace

import numpy as np
import pytest

from nrray.simulate import FrameRenderer, SimulateConfig, frame_at, simulated_case
from nrray.simulate.scenario import Airway, Body, Episode, Passing, Scenario
from nrray.workshop.captions import (
    SEEN_SHARE,
    Newborn,
    Others,
    SceneFacts,
    caption_of,
    claims_of,
    window_facts,
)


def episode(kind, start_s, end_s):
    return Episode(kind=kind, start_s=start_s, end_s=end_s, rate_hz=1.0, phase=0.0, variant=0.5)


SCENARIO = Scenario(
    arrival_s=4.0,
    departure_s=30.0,
    airway=(episode(Airway.MASK_STILL, 6.0, 10.0), episode(Airway.VENTILATION, 10.0, 20.0)),
    body=(episode(Body.NOTHING, 6.0, 11.0), episode(Body.STIMULATION, 11.0, 20.0)),
    passings=(
        Passing(start_s=12.0, end_s=15.0, side=0, reach=0.5, forward=True),
        Passing(start_s=17.0, end_s=19.0, side=0, reach=0.9, forward=True),
    ),
)


def test_every_caption_says_its_own_facts_and_no_others():
    for newborn, airway, body, others in itertools.product(Newborn, Airway, Body, Others):
        facts = SceneFacts(newborn=newborn, airway=airway, body=body, others=others)
        assert claims_of(caption_of(facts)) == vars(facts)


def test_a_slot_that_is_not_spoken_of_or_twice_is_no_claim():
    claims = claims_of("A newborn lies on the table. The table is empty. A hand rubs a leg.")
    assert claims == {"newborn": None, "airway": None, "body": Body.LIMB_RUBBED, "others": None}


def test_facts_are_those_of_most_of_the_window():
    before = window_facts(SCENARIO, 0.0, 3.0, passers_share=0.0)
    assert (before.newborn, before.airway, before.others) == (Newborn.ABSENT, Airway.NOTHING, Others.NOBODY)
    assert window_facts(SCENARIO, 8.8, 11.8, passers_share=0.0).airway is Airway.VENTILATION
    assert window_facts(SCENARIO, 8.0, 11.0, passers_share=0.0).airway is Airway.MASK_STILL
    assert window_facts(SCENARIO, 10.0, 12.0, passers_share=0.0).body is Body.NOTHING
    assert window_facts(SCENARIO, 10.0, 14.0, passers_share=0.0).body is Body.STIMULATION
    assert window_facts(SCENARIO, 21.0, 24.0, passers_share=0.0).airway is Airway.NOTHING


def test_who_comes_by_is_told_where_enough_of_them_is_seen():
    assert window_facts(SCENARIO, 11.0, 14.0, passers_share=SEEN_SHARE).others is Others.PASSING
    assert window_facts(SCENARIO, 17.0, 20.0, passers_share=SEEN_SHARE).others is Others.LEANING
    assert window_facts(SCENARIO, 11.0, 14.0, passers_share=0.9 * SEEN_SHARE).others is Others.NOBODY


@pytest.mark.parametrize("size", [(320, 240), (480, 480)])
def test_the_share_of_passers_is_of_the_pixels_that_they_change(size):
    width, height = size
    config = SimulateConfig(num_cases=1, seed=3, case_seconds=60.0, videos_per_case=1, width_px=width, height_px=height)
    drawn = simulated_case(config, 0)
    case = replace(drawn, appearance=replace(drawn.appearance, shadow=0.0))  # a shadow is no person
    alone = replace(case, scenario=replace(case.scenario, passings=()))
    seen = 0
    for passing in case.scenario.passings:
        for t in np.linspace(passing.start_s, passing.end_s, 7)[1:-1].tolist():
            differs = np.abs(frame_at(case, 0, t).astype(int) - frame_at(alone, 0, t)).max(axis=2) > 12
            assert FrameRenderer(case, 0).passers_share(t) == pytest.approx(differs.mean(), abs=0.01)
            assert FrameRenderer(alone, 0).passers_share(t) == 0.0
            seen += differs.mean() > SEEN_SHARE
    assert seen
