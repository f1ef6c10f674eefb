from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from nrray.simulate import SimulateConfig, simulated_case
from nrray.simulate.appearance import FAMILIES, SLICES_PER_FAMILY
from nrray.simulate.renderers import Renderer, opened_scene
from nrray.simulate.renderers.thermal.looks import drawn_looks
from nrray.simulate.scenario import Airway, Body, Scenario
from tests.simulate.renderers.look_alikes import MOVING_AND_STILL, PASSINGS, scenario_of

CONFIG = SimulateConfig(seed=4, case_seconds=40, renderer=Renderer.THERMAL, appearance=FAMILIES)
STEP_SECONDS = 0.25


def motion(case, scenario: Scenario) -> float:
    """Mean absolute difference of pictures a quarter of a second apart, in grey levels, over three seconds."""
    scene = opened_scene(replace(case, scenario=scenario), 0)
    pictures = [scene.picture(t).astype(float) for t in np.arange(6.0, 9.0, STEP_SECONDS).tolist()]
    return float(np.mean([np.abs(after - before).mean() for before, after in pairwise(pictures)]))


def test_the_same_seed_gives_the_same_pixels_in_any_order():
    case = simulated_case(CONFIG, 0)
    forward, again = opened_scene(case, 0), opened_scene(case, 0)
    times = [1.0, 11.4, 27.8]
    pictures = [forward.picture(t) for t in times]
    for t, picture in reversed(list(zip(times, pictures, strict=True))):
        assert np.array_equal(again.picture(t), picture)
    pictures[0][:] = 0  # the caller's own
    assert np.array_equal(forward.picture(times[0]), again.picture(times[0]))
    assert not np.array_equal(opened_scene(case, 1).picture(11.4), pictures[1])


@pytest.mark.parametrize(("width", "height"), [(320, 240), (128, 128), (64, 640)])
def test_pictures_have_the_size_of_the_config(width, height):
    config = CONFIG.model_copy(update={"width_px": width, "height_px": height})
    picture = opened_scene(simulated_case(config, 1), 0).picture(20.0)
    assert picture.shape == (height, width, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 10


@pytest.mark.parametrize("index", range(8))
@pytest.mark.parametrize(("activity", "still"), MOVING_AND_STILL)
def test_an_activity_moves_and_its_look_alike_does_not(index, activity, still):
    case = simulated_case(CONFIG, index)
    assert motion(case, scenario_of(**activity)) > 2.5 * motion(case, scenario_of(**still))


@pytest.mark.parametrize(
    ("activity", "still"),
    [
        ({"airway": Airway.VENTILATION}, {"airway": Airway.MASK_STILL}),
        ({"airway": Airway.SUCTION}, {"airway": Airway.TUBE_STILL}),
        ({"body": Body.STIMULATION}, {"body": Body.HAND_RESTING}),
    ],
)
@pytest.mark.parametrize("phase", [0.2, 1.9, 4.0])
def test_a_still_look_alike_stands_where_the_activity_passes(activity, still, phase):
    """One picture of the activity, of a second of it, is the look-alike's, but for the hands' slow sway."""
    case = simulated_case(CONFIG, 2)
    moving = opened_scene(replace(case, scenario=scenario_of(**activity, phase=phase)), 0)
    resting = opened_scene(replace(case, scenario=scenario_of(**still, phase=phase)), 0)
    difference = {
        t: np.abs(moving.picture(t).astype(float) - resting.picture(t)).mean()
        for t in np.arange(8.0, 10.0, 0.05).tolist()
    }
    assert min(difference.values()) < 0.25 * max(difference.values())


@pytest.mark.parametrize("size", [(320, 240), (480, 480)])
@pytest.mark.parametrize("index", range(4))
def test_the_share_of_passers_is_of_the_pixels_that_they_change(size, index):
    config = CONFIG.model_copy(update={"width_px": size[0], "height_px": size[1]})
    case = simulated_case(config, index)
    alone = opened_scene(replace(case, scenario=scenario_of(Airway.MASK_STILL)), 0)
    passed = opened_scene(replace(case, scenario=scenario_of(Airway.MASK_STILL, passings=PASSINGS)), 0)
    for passing in PASSINGS:
        shares = []
        for t in np.linspace(passing.start_s, passing.end_s, 7)[1:-1].tolist():
            differs = np.abs(passed.picture(t).astype(int) - alone.picture(t)).max(axis=2) > 2
            shares.append(passed.passers_share(t))
            assert shares[-1] == pytest.approx(differs.mean(), abs=0.03)
            assert alone.passers_share(t) == 0.0
        assert max(shares) > 0.05


@pytest.mark.parametrize(("name", "low", "high"), [("newborn", 34.6, 36.8), ("head_turn", -0.4, 0.4)])
def test_families_of_appearance_share_no_slice_of_temperatures_and_angles(name, low, high):
    slices = []
    for family in ("oak", "pine"):
        config = CONFIG.model_copy(update={"appearance": (family,)})
        cases = [simulated_case(config, index) for index in range(12)]
        values = [getattr(drawn_looks(case.family, case.appearance.texture_seed), name) for case in cases]
        slices.append({int((value - low) / (high - low) * SLICES_PER_FAMILY * len(FAMILIES)) for value in values})
    assert not slices[0] & slices[1]
