"""OpenGL without a window, for the renderers that draw with it: what must be so before its driver is loaded."""

import os
from contextlib import suppress
from functools import cache
from importlib import import_module


@cache
def ready_opengl() -> None:
    """Called before a package that opens contexts is imported. Software rendering gets one thread, unless LP_NUM_THREADS says
    otherwise: the cores are Ray's. Mesa's driver brings an LLVM, and so does triton, which torch imports: a process that loads
    triton's second ends by a segmentation fault, so that it is loaded first where there is one."""
    os.environ.setdefault("LP_NUM_THREADS", "1")
    with suppress(ImportError):
        import_module("triton")
