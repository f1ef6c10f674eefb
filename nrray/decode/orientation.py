"""The turn that makes a stored picture upright: the display matrix of phones and cameras."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from av.sidedata.sidedata import SideData
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from nrray.errors import DecodeError, ErrorKind


def _unnamed(cls: type[SideDataType], value: int) -> SideDataType:
    """A type of side data that FFmpeg has and PyAV does not name: else frames that carry one could not be looked at."""
    member: Any = object.__new__(cls)
    member._name_, member._value_ = f"UNNAMED_{value}", value
    unnamed: SideDataType = member
    return unnamed


SideDataType._missing_ = classmethod(_unnamed)  # type: ignore[assignment, method-assign]

# Of sine and cosine: a matrix off a right angle by more (1.1 degrees) is no swap of rows and columns.
_MAX_SKEW = 0.02
# Pixels may be no squares; nobody's are ten times as wide as they are high.
_MIN_SQUEEZE = 0.1


@dataclass(frozen=True, kw_only=True)
class Orientation:
    """Rows and columns swapped first, then mirrored left-right, then upside down."""

    is_transposed: bool = False
    is_mirrored: bool = False
    is_flipped: bool = False
    clockwise_degrees: int = 0

    @property
    def is_reflection(self) -> bool:
        """Whether no turn makes the picture upright: it is seen in a mirror."""
        return self.is_transposed ^ self.is_mirrored ^ self.is_flipped

    def upright(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A view of (H, W, 3) stored pixels as they are meant to be seen."""
        turned = pixels.transpose(1, 0, 2) if self.is_transposed else pixels
        if self.is_mirrored:
            turned = turned[:, ::-1]
        return turned[::-1] if self.is_flipped else turned


def frame_orientation(frame: VideoFrame) -> Orientation:
    """The orientation in the frame's display matrix. Raises DecodeError UNSUPPORTED for angles other than right ones."""
    # PyAV's container of side data iterates over its values, its annotations say keys.
    pieces = cast(Iterable[SideData], frame.side_data)
    matrix = next((piece for piece in pieces if piece.type is SideDataType.DISPLAYMATRIX), None)
    return Orientation() if matrix is None else matrix_orientation(np.frombuffer(bytes(matrix), np.int32, count=9))


def matrix_orientation(matrix: NDArray[np.int32]) -> Orientation:
    """The orientation of a 3x3 display matrix in row order: x' = a x + c y, y' = b x + d y, y down."""
    a, b, c, d = (float(matrix[i]) for i in (0, 1, 3, 4))
    along, across = max(abs(a), abs(d)), max(abs(b), abs(c))
    if min(along, across) > _MAX_SKEW * max(along, across):
        degrees = round(math.degrees(math.atan2(b, a)))
        raise DecodeError(
            ErrorKind.UNSUPPORTED, f"the video is tagged to be turned by {degrees} degrees; expected a right angle."
        )
    chosen = (a, d) if along >= across else (b, c)
    if min(map(abs, chosen)) < _MIN_SQUEEZE * max(map(abs, chosen)):
        raise DecodeError(
            ErrorKind.UNSUPPORTED,
            "the video is tagged to be squeezed to a line: its header is damaged. Copy it again from its source.",
        )
    if across > along:
        return Orientation(
            is_transposed=True, is_mirrored=c < 0, is_flipped=b < 0, clockwise_degrees=90 if b > 0 else 270
        )
    return Orientation(is_mirrored=a < 0, is_flipped=d < 0, clockwise_degrees=180 if a < 0 else 0)
