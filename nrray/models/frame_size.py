"""The size of frame that a checkpoint's processor is made for, and others near it: read from the processor's own settings."""

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class FrameSize:
    """Width and height of a frame in pixels."""

    width_px: int
    height_px: int

    @property
    def aspect(self) -> float:
        """Width over height."""
        return self.width_px / self.height_px

    @property
    def pixels(self) -> int:
        """How many it has."""
        return self.width_px * self.height_px


@dataclass(frozen=True, kw_only=True)
class FramePattern:
    """Frames that a processor takes. size: the largest that makes sense of a video; step_px: both sides are multiples of it;
    keeps_aspect: whether size has the video's aspect, so that a smaller one of that aspect will do too; is_exact: whether another
    size would reach the tower as it is, for which it is not made."""

    size: FrameSize
    step_px: int
    keeps_aspect: bool
    is_exact: bool = False


def frame_pattern(processor: Any, source: FrameSize, *, patch_px: int | None, image_px: int | None) -> FramePattern:
    """The frames that an image or video processor of transformers takes of videos of size `source`. patch_px, image_px: patch
    and input of the vision tower, None where the config does not say them.

    A processor that merges patches takes any multiple of them; one that fits the longest edge keeps the aspect too. All others
    make a picture of fixed size: frames come in that very size, squeezed, because a crop would cut away what stands at the edges.
    """
    patch = _whole(getattr(processor, "patch_size", None)) or patch_px
    merge = _whole(getattr(processor, "merge_size", None))
    size = getattr(processor, "size", None)
    if patch is not None and merge is not None:
        return _fitted(source, longest_px=None, step_px=patch * merge)
    if not getattr(processor, "do_resize", True) and image_px is not None:
        exact = FrameSize(width_px=image_px, height_px=image_px)
        return FramePattern(size=exact, step_px=patch or 1, keeps_aspect=False, is_exact=True)
    if getattr(processor, "do_center_crop", False) and (crop := _sides(getattr(processor, "crop_size", None))):
        return _fixed(crop, source, step_px=patch or 2)
    if sides := _sides(size):
        return _fixed(sides, source, step_px=patch or 2)
    if longest := _edge(size, "longest_edge"):
        return _fitted(source, longest_px=longest, step_px=patch or 2)
    side = _edge(size, "shortest_edge") or image_px or min(source.width_px, source.height_px)
    return _fixed(FrameSize(width_px=side, height_px=side), source, step_px=patch or 2)


def smaller(pattern: FramePattern, size: FrameSize, *, share: float) -> FrameSize:
    """A size with `share` of the pixels of another at most, about of its aspect, as the pattern has it."""
    return _nearest(size, pixels=size.pixels * share, step_px=pattern.step_px)


def _fixed(sides: FrameSize, source: FrameSize, *, step_px: int) -> FramePattern:
    """No larger than the video itself: the processor enlarges as well as the decoder does."""
    share = min(1.0, min(source.width_px, source.height_px) / min(sides.width_px, sides.height_px))
    size = sides
    if share < 1:
        size = FrameSize(
            width_px=_floored(sides.width_px * share, step_px), height_px=_floored(sides.height_px * share, step_px)
        )
    return FramePattern(size=size, step_px=step_px, keeps_aspect=False)


def _fitted(source: FrameSize, *, longest_px: int | None, step_px: int) -> FramePattern:
    longest = max(source.width_px, source.height_px)
    share = min(1.0, (longest_px or longest) / longest)
    size = _nearest(source, pixels=source.pixels * share**2, step_px=step_px)
    return FramePattern(size=size, step_px=step_px, keeps_aspect=True)


def _nearest(like: FrameSize, *, pixels: float, step_px: int) -> FrameSize:
    """Multiples of a step with so many pixels at most: as near to an aspect as can be, and not much fewer than these."""
    height = math.sqrt(pixels / like.aspect)
    sides = [[_floored(side, step_px) + more for more in (0, step_px)] for side in (height * like.aspect, height)]
    found = [FrameSize(width_px=width, height_px=height) for width in sides[0] for height in sides[1]]
    least = min(found, key=lambda size: size.pixels)
    fitting = [size for size in found if size.pixels <= pixels * 1.001] or [least]
    return min(
        fitting, key=lambda size: abs(math.log(size.aspect / like.aspect)) + 0.5 * abs(math.log(pixels / size.pixels))
    )


def _floored(length: float, step_px: int) -> int:
    least = math.ceil(16 / step_px) * step_px  # as `Sampling` has it
    return max(least, math.floor(length / step_px + 1e-6) * step_px)


def _sides(size: Any) -> FrameSize | None:
    width, height = _edge(size, "width"), _edge(size, "height")
    return None if width is None or height is None else FrameSize(width_px=width, height_px=height)


def _edge(size: Any, name: str) -> int | None:
    found = size.get(name) if hasattr(size, "get") else getattr(size, name, None)
    return _whole(found)


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
