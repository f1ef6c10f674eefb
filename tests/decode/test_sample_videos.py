"""Real videos from a folder of the user's: NRRAY_SAMPLE_VIDEOS names it."""

import os
from pathlib import Path

import numpy as np
import pytest

from nrray.decode import GuardedDecoder
from tests.decode.asking import CONFIG, grid_us, request

FOLDER = os.environ.get("NRRAY_SAMPLE_VIDEOS", "")
PATHS = sorted(path for path in Path(FOLDER).iterdir() if path.suffix != ".md") if FOLDER else []

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_a_real_video_decodes_whole_and_from_the_middle(path):
    with GuardedDecoder(CONFIG) as guarded:
        facts = guarded.probe(str(path))
        end_us = facts.start_us + facts.duration_us
        samples = grid_us(facts)
        whole = guarded.sample(request(path, samples, end_us=end_us, seekable=facts.seekable))
        assert whole.shortfall == ""
        assert (whole.frame_of_sample >= 0).all()
        lag_us = samples - whole.pts_us[whole.frame_of_sample]
        assert (lag_us >= 0).all()
        assert lag_us.max() < 2_000_000 / facts.measured_fps
        half = len(samples) // 2
        part = guarded.sample(request(path, samples[half:], end_us=end_us, seekable=facts.seekable))
        rows = whole.frame_of_sample[half:]
        assert np.array_equal(part.pts_us[part.frame_of_sample], whole.pts_us[rows])
        assert np.array_equal(part.pixels[part.frame_of_sample], whole.pixels[rows])
