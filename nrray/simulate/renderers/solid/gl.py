"""MuJoCo and its OpenGL context, asked for when the first scene opens: a machine may lack either."""

import atexit
import os
import sys
import threading
from functools import cache
from types import ModuleType
from typing import Any

from nrray.errors import ConfigError
from nrray.simulate.opengl import ready_opengl

_PLATFORMS = {"linux": "egl", "darwin": "cgl"}  # without a window
_ANY_PX = 64  # pictures are drawn in buffers of their own
_THREAD = threading.local()  # a context is current in one thread


@cache
def loaded_mujoco() -> ModuleType:
    """The module, with a platform of OpenGL that needs no window, unless MUJOCO_GL says otherwise. Raises ConfigError where it
    cannot be imported."""
    if sys.platform in _PLATFORMS:
        os.environ.setdefault("MUJOCO_GL", _PLATFORMS[sys.platform])
    ready_opengl()
    try:
        import mujoco
    except ModuleNotFoundError as error:
        raise ConfigError("renderer solid needs mujoco: pip install 'nrray[solid]'") from error
    except Exception as error:  # what PyOpenGL raises without its libraries has no class in common
        raise ConfigError(_without_gl(error)) from error
    module: ModuleType = mujoco
    return module


def current_context() -> Any:
    """This thread's context without a window, of MuJoCo's class GLContext, made current. It is opened once and stays until
    the process ends, for software rendering compiles its shaders anew in every context (0.3 s). Raises ConfigError where
    there is none."""
    mujoco = loaded_mujoco()
    context = getattr(_THREAD, "context", None)
    try:
        if context is None:
            context = mujoco.GLContext(_ANY_PX, _ANY_PX)
            atexit.register(context.free)  # before MuJoCo's own end of the platform, which was registered earlier
        context.make_current()
    except Exception as error:  # as above: AttributeError, ImportError, RuntimeError or PyOpenGL's own
        raise ConfigError(_without_gl(error)) from error
    _THREAD.context = context
    return context


def _without_gl(error: Exception) -> str:
    platform = os.environ.get("MUJOCO_GL", "of a window")
    reason = (str(error).splitlines() or [""])[0] or type(error).__name__
    return (
        f"renderer solid found no OpenGL context on platform {platform} ({reason}). On Debian or Ubuntu: apt-get install "
        "libegl1 libgl1-mesa-dri; elsewhere set MUJOCO_GL to a platform that works, or choose another renderer."
    )
