"""Every renderer draws the same truth, the same bytes for the same moment, and pictures of the asked size."""

import hashlib
import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest

from nrray.simulate import FrameRenderer, SimulateConfig, simulated_case, write_truth
from nrray.simulate.renderers import RENDERERS, Renderer, opened_scene
from tests.simulate.opengl import skip_without_opengl

MOMENTS = (2.0, 17.3, 31.9)
DIGEST = """
import hashlib, sys
from nrray.simulate import FrameRenderer, SimulateConfig, simulated_case
config = SimulateConfig.model_validate_json(sys.argv[1])
renderer = FrameRenderer(simulated_case(config, 0), 1)
print(hashlib.sha256(b"".join(renderer.frame(float(t)).tobytes() for t in sys.argv[2:])).hexdigest())
"""


def config_of(renderer: Renderer, *, size: tuple[int, int] = (160, 120)) -> SimulateConfig:
    return SimulateConfig(num_cases=2, case_seconds=40, seed=7, renderer=renderer, width_px=size[0], height_px=size[1])


def each_renderer(function):
    return pytest.mark.parametrize("renderer", list(RENDERERS), ids=lambda renderer: renderer.value)(function)


def test_every_renderer_has_a_line():
    assert set(RENDERERS) == set(Renderer)


@each_renderer
def test_one_seed_gives_one_truth_under_every_renderer(renderer, tmp_path):
    written = []
    for drawn_by in (Renderer.FLAT, renderer):
        folder = tmp_path / drawn_by.value
        write_truth([simulated_case(config_of(drawn_by), index) for index in range(2)], folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        assert len(files) > 4
        written.append({str(path.relative_to(folder)): path.read_bytes() for path in files})
    assert written[0] == written[1]


@each_renderer
def test_a_moment_has_the_same_bytes_in_any_order_and_in_another_process(renderer):
    skip_without_opengl(renderer)
    case = simulated_case(config_of(renderer), 0)
    with closing(FrameRenderer(case, 1)) as camera, closing(FrameRenderer(case, 0)) as other:
        first = [camera.frame(t).tobytes() for t in MOMENTS]
        other.frame(5.0)  # between two pictures of this one
        again = [camera.frame(t).tobytes() for t in reversed(MOMENTS)]
    assert first == again[::-1]
    arguments = [case.config.model_dump_json(), *(str(t) for t in MOMENTS)]
    command = [sys.executable, "-c", DIGEST, *arguments]
    elsewhere = subprocess.run(command, capture_output=True, text=True, check=True)
    assert elsewhere.stdout.strip() == hashlib.sha256(b"".join(first)).hexdigest()


@each_renderer
def test_a_picture_has_the_size_of_the_config_and_the_caller_may_write_into_it(renderer):
    skip_without_opengl(renderer)
    with closing(opened_scene(simulated_case(config_of(renderer, size=(128, 96)), 0), 0)) as scene:
        picture = scene.picture(12.0)
        before = picture.copy()
        assert picture.shape == (96, 128, 3)
        assert picture.dtype == np.uint8
        picture[:] = 0
        assert np.array_equal(scene.picture(12.0), before)


@each_renderer
def test_the_newborn_is_seen_from_its_arrival_on(renderer):
    skip_without_opengl(renderer)
    case = simulated_case(config_of(renderer), 0)
    arrival = case.scenario.arrival_s
    with closing(opened_scene(case, 0)) as scene:
        empty, also_empty, there = (scene.picture(t).astype(int) for t in (arrival - 1.0, arrival - 0.9, arrival + 2.0))
    assert np.abs(there - empty).mean() > 3 * np.abs(also_empty - empty).mean() + 1


@each_renderer
def test_passers_cover_a_share_of_the_picture_while_they_pass(renderer):
    skip_without_opengl(renderer)
    case = simulated_case(config_of(renderer), 0)
    shares = []
    with closing(opened_scene(case, 0)) as scene:
        for passing in case.scenario.passings:
            assert scene.passers_share(passing.start_s - 0.1) == 0.0
            before = scene.picture(passing.start_s + 0.1)
            shares.append(scene.passers_share((passing.start_s + passing.end_s) / 2))
            assert np.array_equal(scene.picture(passing.start_s + 0.1), before)
    assert 0.005 < max(shares) < 0.8
