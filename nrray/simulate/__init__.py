"""Rendered resuscitations with exact truth. Knows nothing of models or Ray."""

from nrray.simulate.appearance import Appearance
from nrray.simulate.case import Camera, SimulatedCase, camera_spans, case_rows, simulated_case
from nrray.simulate.config import SimulateConfig
from nrray.simulate.render import FrameRenderer, frame_at, render_case, render_part, write_truth
from nrray.simulate.renderers import Renderer
from nrray.simulate.scenario import Episode, Scenario

__all__ = [
    "Appearance",
    "Camera",
    "Episode",
    "FrameRenderer",
    "Renderer",
    "Scenario",
    "SimulateConfig",
    "SimulatedCase",
    "camera_spans",
    "case_rows",
    "frame_at",
    "render_case",
    "render_part",
    "simulated_case",
    "write_truth",
]
