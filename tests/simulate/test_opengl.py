"""OpenGL beside what else is in a process: other renderers, and torch after them."""

import subprocess
import sys

import pytest

from nrray.simulate.renderers import Renderer
from tests.simulate.opengl import skip_without_opengl

DRAW = """
from contextlib import closing
from nrray.simulate import FrameRenderer, Renderer, SimulateConfig, simulated_case

def drawn(name):
    config = SimulateConfig(renderer=name, case_seconds=20, width_px=64, height_px=64)
    with closing(FrameRenderer(simulated_case(config, 0), 0)) as renderer:
        return renderer.frame(3.0).tobytes()
"""


def output_of(code):
    done = subprocess.run([sys.executable, "-c", DRAW + code], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("name", [Renderer.SOLID.value, Renderer.TEXTURED.value])
def test_torch_can_be_imported_after_a_scene_was_drawn(name):
    skip_without_opengl(Renderer.SOLID)
    assert output_of(f"drawn('{name}'); import torch; print(int(torch.ones(3).sum()))") == "3"


def test_renderers_draw_in_turns_in_one_process():
    skip_without_opengl(Renderer.SOLID)
    code = "first = drawn('solid'); drawn('textured'); print(drawn('solid') == first, drawn('textured') == drawn('textured'))"
    assert output_of(code) == "True True"
