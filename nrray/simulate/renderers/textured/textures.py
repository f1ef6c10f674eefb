"""Textures out of noise: skin, woven cloth, print, terrazzo, painted wall, screen. Images are (H, W, 3) uint8 RGB that repeat."""

from collections.abc import Sequence
from math import pi

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import map_coordinates

from nrray.simulate.renderers.textured.geometry import Image, Points, Values

_LATTICE = 24


class Noise:
    """Value noise in space, in octaves: about -1 to 1, the same for the same seed."""

    def __init__(self, seed: Sequence[int]) -> None:
        values = np.random.default_rng(seed).uniform(-1, 1, (_LATTICE, _LATTICE, _LATTICE))
        self._values = values.astype(np.float32)

    def at(self, points: Points, cell: float, octaves: int = 3) -> Values:
        """(N,) at points in space; `cell` is the size of the largest blotches."""
        total, weight = np.zeros(len(points), np.float32), 0.0
        for octave in range(octaves):
            places = (points.T * (2**octave / cell) + 11.3 * octave).astype(np.float32)
            total += map_coordinates(self._values, places, order=1, mode="grid-wrap") / 2**octave
            weight += 0.6 / 2**octave
        scaled: Values = total / np.float32(weight)
        return scaled


def shades(colour: ArrayLike, amount: NDArray[np.floating]) -> NDArray[np.uint8]:
    """The colour made lighter or darker by shares."""
    lit = np.asarray(colour, np.float32) * (1 + amount[..., None])
    return np.asarray(np.clip(lit, 0, 255), np.uint8)


def mixed(first: NDArray[np.uint8], second: ArrayLike, share: NDArray[np.floating]) -> NDArray[np.uint8]:
    """From one colour to another by shares, 0 to 1."""
    share = np.clip(share, 0, 1)[..., None]
    both = first * (1 - share) + np.asarray(second, np.float32) * share
    return np.asarray(np.clip(both, 0, 255), np.uint8)


def skin(points: Points, colour: ArrayLike, noise: Noise, *, blotches: float = 1.0) -> NDArray[np.uint8]:
    """(N, 3): pores, veins and red blotches."""
    base = shades(colour, 0.07 * noise.at(points, 0.9, 3) + 0.05 * noise.at(points, 5.0, 2))
    red = np.asarray(colour, np.float32) * (1.08, 0.74, 0.72)
    marbled = np.clip(noise.at(points + 40.0, 2.6, 3), 0, 1) ** 1.3
    return mixed(base, red, 0.55 * blotches * marbled)


def _clouds(random: np.random.Generator, size: int, cells: int, octaves: int) -> NDArray[np.float32]:
    """(size, size) of noise that repeats, about -1 to 1."""
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        count = cells * 2**octave
        if count > size:
            break
        grid = random.uniform(-1, 1, (count, count)).astype(np.float32)
        around = np.pad(grid, 2, mode="wrap")
        large = cv2.resize(around, None, fx=size / count, fy=size / count, interpolation=cv2.INTER_CUBIC)
        edge = (large.shape[0] - size) // 2
        total += np.asarray(large, np.float32)[edge : edge + size, edge : edge + size] / 2**octave
    return total


def woven(
    random: np.random.Generator, colour: ArrayLike, mark: ArrayLike, pattern: int, *, size: int = 256, count: int = 5
) -> Image:
    """Cloth with threads, stains and a print: 0 plain, 1 stripes, 2 checks, 3 dots."""
    y, x = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    threads = 0.05 * (np.sin(2 * pi * x * 64 / size) + np.sin(2 * pi * y * 64 / size)).astype(np.float32)
    image = shades(colour, threads + 0.05 * _clouds(random, size, 4, 5) + 0.03 * _clouds(random, size, 64, 2))
    u, v = (x * count / size) % 1, (y * count / size) % 1
    if pattern == 1:
        printed = (np.abs(u - 0.5) < 0.14) | (np.abs(u - 0.8) < 0.03)
    elif pattern == 2:
        printed = (np.abs(u - 0.5) < 0.2).astype(float) * 0.6 + (np.abs(v - 0.5) < 0.2) * 0.4
    elif pattern == 3:
        printed = (u - 0.5) ** 2 + (v - 0.5) ** 2 < 0.04
    else:
        printed = np.zeros_like(u)
    share = cv2.GaussianBlur(np.asarray(printed, np.float32), (3, 3), 0.8) * (0.8 + 0.15 * _clouds(random, size, 32, 2))
    return mixed(image, mark, np.asarray(share))


def terrazzo(random: np.random.Generator, colour: ArrayLike, size: int = 256) -> Image:
    """Chips of stone in a floor with seams."""
    image = shades(colour, 0.06 * _clouds(random, size, 3, 5))
    for _ in range(260):
        at, tone = random.integers(0, size, 2), random.uniform(-0.35, 0.35)
        chip = shades(colour, np.array([tone]))[0]
        axes = random.integers(1, 4, 2)
        cv2.ellipse(
            image, at.tolist(), axes.tolist(), float(random.uniform(0, 180)), 0, 360, chip.tolist(), -1, cv2.LINE_AA
        )
    seam = shades(colour, np.array([-0.4]))[0].tolist()
    cv2.line(image, (0, 0), (size, 0), seam, 1)
    cv2.line(image, (0, 0), (0, size), seam, 1)
    return image


def planks(random: np.random.Generator, colour: ArrayLike, size: int = 256) -> Image:
    """Wood: grain along the planks."""
    y = np.arange(size)[:, None] + 9 * _clouds(random, size, 2, 3)
    grain = np.sin(y * 0.55 + 3 * _clouds(random, size, 2, 2)) + 0.6 * np.sin(y * 1.7)
    image = shades(colour, 0.09 * grain + 0.05 * _clouds(random, size, 8, 3))
    for k in range(4):
        cv2.line(image, (0, k * size // 4), (size, k * size // 4), shades(colour, np.array([-0.5]))[0].tolist(), 1)
    return image


def painted(random: np.random.Generator, colour: ArrayLike, size: int = 128) -> Image:
    """A wall: roller marks and a little dirt."""
    return shades(colour, 0.05 * _clouds(random, size, 2, 5) + 0.03 * _clouds(random, size, 32, 2))


def trace(t: float, beat_hz: float, colours: Sequence[ArrayLike]) -> Image:
    """(48, 64, 3): a monitor's curves at time `t`, drawn by a beam that sweeps, and its numbers."""
    image = np.full((48, 64, 3), (8, 12, 16), np.uint8)
    x = np.arange(46)
    age = (t * 14 - x) % 46  # columns since the beam passed
    for row, colour in enumerate(colours):
        phase = ((t - age / 14) * beat_hz * (1.0 if row < 2 else 0.35)) % 1.0
        wave = np.exp(-(((phase - 0.3) / 0.06) ** 2)) if row == 0 else 0.5 + 0.5 * np.sin(2 * pi * phase)
        y = (14 + 15 * row - 9 * wave).astype(int)
        line = np.stack([x + 1, y], 1)[:, None]
        cv2.polylines(image, [line.astype(np.int32)], False, np.asarray(colour).tolist(), 1, cv2.LINE_AA)
        text = str(int(100 + 40 * row + 9 * np.sin(0.21 * t + row)))
        cv2.putText(image, text, (47, 14 + 15 * row), cv2.FONT_HERSHEY_PLAIN, 0.6, np.asarray(colour).tolist(), 1)
    beam = int(t * 14 % 46)
    image[:, beam : beam + 3] = (8, 12, 16)
    return image
