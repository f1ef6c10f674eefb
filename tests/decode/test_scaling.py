"""Colours are those that a picture's tags say, whatever its format."""

import av
import numpy as np
import pytest

from nrray.decode.scaling import Scaler

# Kr and Kb of ITU-R BT.601 and BT.709; AVColorSpace numbers.
BT601, BT709, UNTAGGED = 5, 1, 2
WEIGHTS = {BT601: (0.299, 0.114), BT709: (0.2126, 0.0722), UNTAGGED: (0.299, 0.114)}
LIMITED, FULL = 1, 2
COLOURS = ((90, 110, 160), (180, 140, 120), (60, 120, 124))  # Y, Cb, Cr


def rgb_of(colour: tuple[int, int, int], matrix: int, color_range: int) -> list[float]:
    y, cb, cr = colour[0], colour[1] - 128, colour[2] - 128
    if color_range == LIMITED:
        y, cb, cr = (y - 16) * 255 / 219, cb * 255 / 224, cr * 255 / 224
    kr, kb = WEIGHTS[matrix]
    red, blue = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    return [red, (y - kr * red - kb * blue) / (1 - kr - kb), blue]


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p", "nv12"])
@pytest.mark.parametrize("color_range", [LIMITED, FULL])
@pytest.mark.parametrize("matrix", WEIGHTS)
def test_matrix_and_range_are_the_tagged_ones(pix_fmt, color_range, matrix):
    for colour in COLOURS:
        planes = np.repeat(np.array(colour, np.uint8), 320 * 240)
        plain = av.VideoFrame.from_ndarray(planes.reshape(3, 240, 320), format="yuv444p")
        frame = plain if pix_fmt == "yuv444p" else plain.reformat(format=pix_fmt)
        frame.colorspace, frame.color_range = matrix, color_range
        found = Scaler().scaled_rgb(frame, width_px=96, height_px=64).reshape(-1, 3)
        assert (found == found[0]).all()
        assert found[0].tolist() == pytest.approx(rgb_of(colour, matrix, color_range), abs=2)
