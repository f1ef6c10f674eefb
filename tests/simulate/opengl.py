"""Whether this machine has OpenGL without a window, which two renderers need."""

from functools import cache

import pytest

from nrray.errors import ConfigError
from nrray.simulate.renderers import Renderer
from nrray.simulate.renderers.solid.gl import current_context, loaded_mujoco


@cache
def why_without_opengl() -> str:
    """Empty where a context opens. A missing package is no reason to skip: the extra `test` brings it."""
    try:
        loaded_mujoco()
        current_context()
    except ConfigError as error:
        if "OpenGL" not in str(error):
            raise
        return str(error)
    return ""


def skip_without_opengl(renderer: Renderer) -> None:
    if renderer in (Renderer.SOLID, Renderer.TEXTURED) and why_without_opengl():
        pytest.skip(why_without_opengl())
