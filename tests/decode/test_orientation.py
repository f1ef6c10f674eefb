"""The display matrix, against where it sends each pixel."""

import math
from itertools import product

import numpy as np
import pytest

from nrray.decode.orientation import Orientation, matrix_orientation
from nrray.errors import DecodeError, ErrorKind

ONE = 1 << 16


def matrix_of(a: float, b: float, c: float, d: float) -> np.ndarray:
    """x' = a x + c y, y' = b x + d y, in the file's 16.16 fixed point."""
    return np.array([a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30]).round().astype(np.int32)


def sent(pixels: np.ndarray, a: int, b: int, c: int, d: int) -> np.ndarray:
    """Each pixel where the matrix sends it, moved so that the picture starts at 0."""
    places = {(a * x + c * y, b * x + d * y): pixels[y, x] for y, x in product(*map(range, pixels.shape[:2]))}
    columns, rows = (sorted({place[i] for place in places}) for i in (0, 1))
    return np.array([[places[x, y] for x in columns] for y in rows])


@pytest.mark.parametrize("sign_x", [1, -1])
@pytest.mark.parametrize("sign_y", [1, -1])
@pytest.mark.parametrize("is_transposed", [False, True])
def test_a_picture_is_turned_and_mirrored_as_its_matrix_says(sign_x, sign_y, is_transposed):
    terms = (0, sign_y, sign_x, 0) if is_transposed else (sign_x, 0, 0, sign_y)
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    np.testing.assert_array_equal(matrix_orientation(matrix_of(*terms)).upright(pixels), sent(pixels, *terms))


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_turns_are_clockwise(degrees):
    cosine, sine = round(math.cos(math.radians(degrees))), round(math.sin(math.radians(degrees)))
    assert matrix_orientation(matrix_of(cosine, sine, -sine, cosine)).clockwise_degrees == degrees


def test_a_matrix_of_nothing_turns_nothing():
    assert matrix_orientation(np.zeros(9, np.int32)) == Orientation()


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_about_a_right_angle_is_one_and_others_are_refused(degrees):
    def turned(by_degrees):
        cosine, sine = math.cos(math.radians(by_degrees)), math.sin(math.radians(by_degrees))
        return matrix_orientation(matrix_of(cosine, sine, -sine, cosine))

    for off_degrees in (-1, 1):
        assert turned(degrees + off_degrees).clockwise_degrees == degrees
    for off_degrees in (-2, 2, 30, 45):
        with pytest.raises(DecodeError, match="expected a right angle") as caught:
            turned(degrees + off_degrees)
        assert caught.value.kind is ErrorKind.UNSUPPORTED


@pytest.mark.parametrize("terms", [(1, 0, 4096, 1), (1, 0, 0, 0), (0, 0, -1, 0)])
def test_a_matrix_that_squeezes_the_picture_to_a_line_is_refused(terms):
    with pytest.raises(DecodeError, match="its header is damaged") as caught:
        matrix_orientation(matrix_of(*terms))
    assert caught.value.kind is ErrorKind.UNSUPPORTED


def test_pixels_that_are_no_squares_are_no_damage():
    assert matrix_orientation(matrix_of(2, 0, 0, 1)) == Orientation()
