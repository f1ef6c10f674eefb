"""The renderers of a case: each draws the same truth by its own means, and knows nothing of the others.

A new renderer is a package beside this file and a line in `RENDERERS`.
"""

from collections.abc import Mapping
from enum import Enum
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from nrray.simulate.case import SimulatedCase


class Renderer(str, Enum):
    """How scenes are drawn."""

    FLAT = "flat"  # shapes of one colour, from above
    SOLID = "solid"  # shaded bodies in three dimensions
    THERMAL = "thermal"  # bodies as a thermal camera sees them
    TEXTURED = "textured"  # lit bodies with textures in a room, by VTK


class Scene(Protocol):
    """The world in front of one camera of a case. Its pictures are pure functions of time; the camera's sensor (exposure, light
    meter, blur, noise) is not the scene's."""

    def __init__(self, case: "SimulatedCase", camera_index: int) -> None: ...

    def picture(self, case_s: float) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB at `case_s` seconds of the case's clock, in the size of the case's config; the caller may
        write into it."""
        ...

    def passers_share(self, case_s: float) -> float:
        """Share in [0, 1] of the picture that people who pass or lean over the table cover."""
        ...

    def close(self) -> None:
        """Free what the scene holds outside Python's memory."""
        ...


RENDERERS: Mapping[Renderer, str] = {
    Renderer.FLAT: "flat.scene:FlatScene",
    Renderer.SOLID: "solid.scene:SolidScene",
    Renderer.THERMAL: "thermal.scene:ThermalScene",
    Renderer.TEXTURED: "textured.scene:TexturedScene",
}
"""Module and class of each, imported when it is first used."""


def opened_scene(case: "SimulatedCase", camera_index: int) -> Scene:
    """The scene of one camera, drawn by the renderer of the case's config. Raises ConfigError where what it needs
    is not on this machine."""
    module, _, name = RENDERERS[case.config.renderer].partition(":")
    scene: Scene = getattr(import_module(f"{__name__}.{module}"), name)(case, camera_index)
    return scene
