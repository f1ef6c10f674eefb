import hashlib
import os
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from nrray.errors import ConfigError
from nrray.simulate import SimulateConfig, simulated_case
from nrray.simulate.appearance import FAMILIES
from nrray.simulate.renderers import Renderer, opened_scene
from nrray.simulate.scenario import Airway, Body
from tests.simulate.renderers.look_alikes import MOVING_AND_STILL, PASSINGS, scenario_of

CONFIG = SimulateConfig(
    seed=6, case_seconds=40, renderer=Renderer.TEXTURED, appearance=FAMILIES, width_px=128, height_px=128
)
STEP_SECONDS = 0.2


def without_gl() -> str:
    """Why nothing can be drawn here; empty where it can."""
    try:
        opened_scene(simulated_case(CONFIG, 0), 0).close()
    except ConfigError as error:
        return str(error) if "found no OpenGL" in str(error) else ""
    return ""


REASON = without_gl()
needs_gl = pytest.mark.skipif(bool(REASON), reason=REASON or "-")


def pictures_of(case, scenario, times):
    with closing(opened_scene(replace(case, scenario=scenario), 0)) as scene:
        return [scene.picture(float(t)) for t in times]


@cache
def motion(index, airway=Airway.NOTHING, body=Body.NOTHING) -> float:
    """Share of pixels that change clearly from one picture to the next, over two seconds."""
    drawn = simulated_case(CONFIG, index)
    steady = replace(drawn.cameras[0], view=replace(drawn.cameras[0].view, shake_px=0.0))
    case = replace(drawn, cameras=(steady,))
    pictures = pictures_of(case, scenario_of(airway, body), np.arange(6.0, 8.0, STEP_SECONDS))
    return float(np.mean([(np.abs(b.astype(int) - a).max(axis=2) > 24).mean() for a, b in pairwise(pictures)]))


def digest_of(seed: int) -> str:
    """Of a few pictures of both cameras."""
    case = simulated_case(CONFIG.model_copy(update={"seed": seed}), 0)
    digest = hashlib.sha256()
    for camera in range(len(case.cameras)):
        with closing(opened_scene(case, camera)) as scene:
            for t in (3.0, 11.4, 27.8):
                digest.update(scene.picture(t).tobytes())
    return digest.hexdigest()


@needs_gl
def test_the_same_seed_gives_the_same_pixels_in_any_order():
    case = simulated_case(CONFIG, 0)
    with closing(opened_scene(case, 0)) as forward, closing(opened_scene(case, 0)) as again:
        times = [1.0, 4.0, 11.4, 27.8]
        pictures = [forward.picture(t) for t in times]
        for t, picture in reversed(list(zip(times, pictures, strict=True))):
            again.passers_share(t)
            assert np.array_equal(again.picture(t), picture)
        pictures[0][:] = 0  # the caller's own
        assert np.array_equal(forward.picture(times[0]), again.picture(times[0]))


@needs_gl
def test_another_process_draws_the_same_bytes():
    code = "from tests.simulate.renderers.test_textured import digest_of; print(digest_of(2))"
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    other = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True, check=True
    )
    assert other.stdout.split()[-1] == digest_of(2)
    assert digest_of(2) != digest_of(3)


@needs_gl
@pytest.mark.parametrize(("width", "height"), [(320, 240), (128, 128), (64, 640), (640, 64)])
def test_pictures_have_the_size_of_the_config(width, height):
    config = CONFIG.model_copy(update={"width_px": width, "height_px": height})
    with closing(opened_scene(simulated_case(config, 1), 0)) as scene:
        picture = scene.picture(20.0)
    assert picture.shape == (height, width, 3)
    assert picture.dtype == np.uint8
    assert picture.flags.writeable
    assert picture.std() > 10


@needs_gl
@pytest.mark.parametrize("index", [4, 6])  # bag and catheter, T-piece and bulb
@pytest.mark.parametrize(("activity", "still"), MOVING_AND_STILL)
def test_an_activity_moves_and_its_look_alike_does_not(index, activity, still):
    assert motion(index, **activity) > 2.5 * motion(index, **still)


@needs_gl
@pytest.mark.parametrize(
    ("activity", "still"),
    [
        ({"airway": Airway.VENTILATION}, {"airway": Airway.MASK_STILL}),
        ({"airway": Airway.BAG_TESTED}, {"airway": Airway.MASK_BESIDE}),
        ({"body": Body.STIMULATION}, {"body": Body.HAND_RESTING}),
    ],
)
@pytest.mark.parametrize("phase", [0.2, 4.0])
def test_a_still_look_alike_stands_where_the_activity_passes(activity, still, phase):
    case = simulated_case(CONFIG, 2)
    times = np.arange(8.0, 10.0, 0.1)
    moving = pictures_of(case, scenario_of(**activity, phase=phase), times)
    resting = pictures_of(case, scenario_of(**still, phase=phase), times)
    differences = [np.abs(a.astype(float) - b).mean() for a, b in zip(moving, resting, strict=True)]
    assert min(differences) < 0.3 * max(differences)


@needs_gl
@pytest.mark.parametrize(("size", "index"), [((320, 240), 0), ((200, 200), 1)])
def test_the_share_of_passers_is_of_the_pixels_that_they_change(size, index):
    config = CONFIG.model_copy(update={"width_px": size[0], "height_px": size[1]})
    case = simulated_case(config, index)
    alone = replace(case, scenario=scenario_of(Airway.MASK_STILL))
    passed = replace(case, scenario=scenario_of(Airway.MASK_STILL, passings=PASSINGS))
    most = []
    with closing(opened_scene(alone, 0)) as without, closing(opened_scene(passed, 0)) as scene:
        for passing in PASSINGS:
            shares = []
            for t in np.linspace(passing.start_s, passing.end_s, 7)[1:-1].tolist():
                differs = np.abs(scene.picture(t).astype(int) - without.picture(t)).max(axis=2) > 4
                shares.append(scene.passers_share(t))
                assert shares[-1] == pytest.approx(differs.mean(), abs=0.03)
                assert without.passers_share(t) == 0.0
            most.append(max(shares))
    assert sum(share > 0.05 for share in most) >= 2


@needs_gl
def test_the_newborn_comes_and_goes():
    case = simulated_case(CONFIG, 1)
    scenario = replace(scenario_of(), arrival_s=4.0, departure_s=30.0, airway=(), body=())
    empty, lying, gone = pictures_of(case, scenario, [3.9, 12.0, 30.1])
    coming = pictures_of(case, scenario, [4.9])[0]
    leaving = pictures_of(case, scenario, [29.3])[0]
    still = replace(scenario, arrival_s=35.0, departure_s=40.0)
    nobody = pictures_of(case, still, [3.9, 12.0, 30.1])
    assert np.array_equal(empty, nobody[0])
    assert np.array_equal(gone, nobody[2])
    assert (np.abs(lying.astype(int) - nobody[1]).max(axis=2) > 20).mean() > 0.08
    for carried in (coming, leaving):
        assert (np.abs(carried.astype(int) - lying).max(axis=2) > 20).mean() > 0.04


@needs_gl
@pytest.mark.harsh
def test_scenes_are_opened_and_closed_two_hundred_times():
    psutil = pytest.importorskip("psutil")
    case = simulated_case(CONFIG.model_copy(update={"width_px": 64, "height_px": 64}), 3)
    process = psutil.Process()

    def opened(times: int) -> int:
        for _ in range(times):
            with closing(opened_scene(case, 0)) as scene:
                scene.picture(20.0)
        return process.memory_info().rss

    before = opened(20)
    files = process.num_fds()
    assert opened(180) - before < 60e6
    assert process.num_fds() <= files + 4


@pytest.mark.parametrize(
    ("block", "says"),
    [
        ("import sys; sys.modules['vtkmodules.vtkRenderingOpenGL2'] = None", "needs vtk"),
        (
            "import ctypes\ndef none(name, *a, **k): raise OSError(name)\n"
            "import nrray.simulate.renderers.textured.stage\nctypes.CDLL = none",
            "libegl1 libgl1-mesa-dri",
        ),
    ],
)
def test_what_is_missing_is_named(block, says):
    code = (
        f"{block}\nfrom nrray.simulate import SimulateConfig, simulated_case\n"
        "from nrray.simulate.renderers import opened_scene\nfrom nrray.errors import ConfigError\n"
        "case = simulated_case(SimulateConfig(renderer='textured'), 0)\n"
        "try:\n    opened_scene(case, 0)\nexcept ConfigError as error:\n    print(error)\n"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert says in done.stdout
    assert "choose another renderer" in done.stdout
