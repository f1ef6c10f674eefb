"""Where pixels are made for a model."""

import numpy as np
import pytest
import torch

from nrray.models.families.family import processing_device


class RoundingProcessor:
    """Makes pixels that are `error` grey levels off where they are not made on the CPU."""

    def __init__(self, error):
        self.error = error

    def tensors(self, windows, *, question, frames_per_second, device):
        pixels = torch.from_numpy(np.stack(windows)).float() / 127.5 - 1
        return {"pixel_values": pixels + (self.error / 127.5 if device.type != "cpu" else 0)}


@pytest.mark.parametrize(("error", "kept"), [(0.0, True), (0.01, True), (1.0, False)])
def test_pixels_are_made_on_the_device_where_they_come_out_the_same(error, kept):
    elsewhere = torch.device("cuda")
    processor = RoundingProcessor(error)
    found = processing_device(processor, (2, 8, 8, 3), device=elsewhere, frames_per_second=2.0)
    assert found == (elsewhere if kept else torch.device("cpu"))
