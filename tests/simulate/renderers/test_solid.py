"""The solid renderer: look-alikes in one frame, variety, freed contexts, and errors that say what to install."""

import gc
import os
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from math import pi

import numpy as np
import pytest

from nrray.errors import ConfigError
from nrray.simulate import SimulateConfig, simulated_case
from nrray.simulate.renderers import Renderer, opened_scene
from nrray.simulate.renderers.solid import gl
from nrray.simulate.renderers.solid.look import Sucker, Ventilator, drawn_look
from nrray.simulate.scenario import Airway, Episode
from tests.simulate.opengl import skip_without_opengl

CONFIG = SimulateConfig(case_seconds=40, seed=7, renderer=Renderer.SOLID, width_px=160, height_px=120)
AT_S = 20.0


@pytest.fixture
def _opengl():
    skip_without_opengl(Renderer.SOLID)


needs_opengl = pytest.mark.usefixtures("_opengl")


def case_with(index: int, *episodes: Episode):
    """A case whose newborn lies there, nobody at its body, nobody passing."""
    case = simulated_case(CONFIG, index)
    scenario = replace(case.scenario, arrival_s=1.0, departure_s=40.0, airway=episodes, body=(), passings=())
    return replace(case, scenario=scenario)


def episode(kind: Airway, *, start_s: float, phase: float = 0.0, variant: float = 0.4) -> Episode:
    return Episode(kind=kind, start_s=start_s, end_s=40.0, rate_hz=1.0, phase=phase, variant=variant)


def picture(case, t: float = AT_S):
    with closing(opened_scene(case, 0)) as scene:
        return scene.picture(t).astype(int)


def index_with(look: Sucker | Ventilator) -> int:
    for index in range(100):
        drawn = drawn_look(simulated_case(CONFIG, index).appearance)
        if look in (drawn.sucker, drawn.ventilator):
            return index
    raise AssertionError(f"no case has {look}")


@needs_opengl
@pytest.mark.parametrize("sucker", list(Sucker))
@pytest.mark.parametrize("phase", [0.4, 2.0, 4.4])
def test_one_frame_does_not_tell_a_tube_held_still_from_suction(sucker, phase):
    variant = (6 * pi - 0.8 * AT_S) / 6  # the still hand's sway is at its middle
    index = index_with(sucker)
    moving = picture(case_with(index, episode(Airway.SUCTION, start_s=AT_S, phase=phase, variant=variant)))
    still = picture(case_with(index, episode(Airway.TUBE_STILL, start_s=AT_S, phase=phase, variant=variant)))
    elsewhere = picture(case_with(index, episode(Airway.SUCTION, start_s=AT_S, phase=phase + 1.0, variant=variant)))
    assert np.abs(moving - still).mean() < 0.4 * np.abs(moving - elsewhere).mean()


@needs_opengl
@pytest.mark.parametrize("ventilator", list(Ventilator))
def test_one_frame_does_not_tell_a_bag_that_is_held_from_one_that_is_squeezed(ventilator):
    index = index_with(ventilator)
    variant = 0.9
    still = case_with(index, episode(Airway.MASK_STILL, start_s=10.0, variant=variant))
    squeezed = case_with(index, episode(Airway.VENTILATION, start_s=10.0, variant=variant))
    with closing(opened_scene(still, 0)) as one, closing(opened_scene(squeezed, 0)) as other:
        moments = 20 + np.arange(0, 0.5, 0.02)
        apart = [np.abs(one.picture(t).astype(int) - other.picture(t)).mean() for t in moments]
    assert min(apart) < 0.1 * max(apart)


def test_a_third_of_the_cases_has_another_device():
    looks = [drawn_look(simulated_case(CONFIG, index).appearance) for index in range(150)]
    assert 0.22 < sum(look.ventilator is Ventilator.T_PIECE for look in looks) / 150 < 0.45
    assert 0.22 < sum(look.sucker is Sucker.BULB for look in looks) / 150 < 0.45
    assert len({look.cloth_kind for look in looks}) == 9


@needs_opengl
def test_scenes_free_what_they_hold():
    case = simulated_case(CONFIG.model_copy(update={"width_px": 64, "height_px": 64}), 0)
    with closing(opened_scene(case, 0)) as kept:
        before = kept.picture(AT_S)
        for number in range(40):
            scene = opened_scene(case, 0)
            if number % 20 == 0:
                assert np.array_equal(scene.picture(AT_S), before)
            scene.close()
            scene.close()
        assert np.array_equal(kept.picture(AT_S), before)


@needs_opengl
def test_a_scene_that_nobody_closed_does_no_harm_to_others():
    case = simulated_case(CONFIG, 0)
    with closing(opened_scene(case, 0)) as kept:
        before = kept.picture(AT_S)
        opened_scene(case, 1).picture(AT_S)
        gc.collect()
        assert np.array_equal(kept.picture(AT_S), before)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mujoco", None)
    gl.loaded_mujoco.cache_clear()
    with pytest.raises(ConfigError, match=r"renderer solid needs mujoco: pip install 'nrray\[solid\]'"):
        opened_scene(simulated_case(CONFIG, 0), 0)
    gl.loaded_mujoco.cache_clear()


@pytest.mark.skipif(sys.platform != "linux", reason="EGL is Linux's")
def test_a_machine_without_opengl_is_told_what_to_install(tmp_path):
    program = """
from nrray.errors import ConfigError
from nrray.simulate import SimulateConfig, simulated_case
from nrray.simulate.renderers import opened_scene
try:
    opened_scene(simulated_case(SimulateConfig(renderer="solid"), 0), 0)
except ConfigError as error:
    print(error)
"""
    nobody = {"__EGL_VENDOR_LIBRARY_DIRS": str(tmp_path), "MUJOCO_GL": "egl"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **nobody})
    assert "found no OpenGL context on platform egl" in done.stdout
    assert "libegl1 libgl1-mesa-dri" in done.stdout
    assert "choose another renderer" in done.stdout
    assert done.stderr == ""


def test_the_environment_s_own_platform_is_kept():
    program = "from nrray.simulate.renderers.solid.gl import loaded_mujoco; loaded_mujoco(); import os\n"
    program += "print(os.environ['MUJOCO_GL'], os.environ['LP_NUM_THREADS'])"
    mine = {**os.environ, "MUJOCO_GL": "off", "LP_NUM_THREADS": "3"}
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True, check=True, env=mine).stdout == "off 3\n"
