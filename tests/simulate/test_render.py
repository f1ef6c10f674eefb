from dataclasses import replace

import av
import numpy as np
import pytest
from pydantic import ValidationError

from nrray.simulate import FrameRenderer, SimulateConfig, simulated_case
from nrray.simulate.render import render_part

CASE = simulated_case(SimulateConfig(seed=7, case_seconds=40, width_px=160, height_px=120), 0)


def test_a_camera_that_starts_later_shows_the_same_moment_earlier_in_its_video():
    first, second = CASE.cameras
    late, early = (
        FrameRenderer(replace(CASE, cameras=(first, replace(second, start_us=start_us))), 1)
        for start_us in (3_000_000, 0)
    )
    assert np.array_equal(late.frame(7.0), early.frame(10.0))
    assert not np.array_equal(late.frame(7.0), early.frame(7.0))


def test_a_part_of_a_video_begins_at_its_first_frame(tmp_path):
    rate = CASE.config.frames_per_second
    render_part(CASE, 0, tmp_path / "part.mp4", first_frame=12 * rate, num_frames=2)
    with av.open(str(tmp_path / "part.mp4")) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(float)

    def distance(seconds):
        return np.abs(picture - FrameRenderer(CASE, 0).frame(seconds)).mean()

    assert distance(12.0) < 0.5 * distance(0.0)


def test_a_simulation_without_a_family_of_appearance_is_refused():
    with pytest.raises(ValidationError, match="expected at least one family of alder, birch"):
        SimulateConfig(appearance=())
