"""A store of frames to train on: every frame once on disk, and the windows that show it.

In: chunks of frames with the truth of their windows. Out: one memory-mapped file and its index.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nrray.errors import DataError
from nrray.types import Frames

FRAMES_FILE = "frames.u8"
INDEX_FILE = "index.npz"


@dataclass(frozen=True, kw_only=True)
class LabelledFrames:
    """A chunk of one case's video; targets: (W, A) bool, and captions, W of them: the truth of `frames`' windows."""

    case: int
    frames: Frames
    targets: NDArray[np.bool_]
    captions: list[str]


@dataclass(frozen=True, kw_only=True)
class WindowSet:
    """pixels: (N, H, W, 3) uint8, on disk or on a device; window_frames: (W, F) int64 rows of it; targets: (W, A);
    cases: (W,); captions: (W,) text."""

    pixels: torch.Tensor
    window_frames: NDArray[np.int64]
    targets: NDArray[np.bool_]
    cases: NDArray[np.int64]
    captions: NDArray[np.str_]

    def batch(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """(B, F, H, W, 3) uint8 pixels of windows `rows`, where the store's pixels are."""
        frames: torch.Tensor = self.pixels[torch.from_numpy(self.window_frames[rows]).to(self.pixels.device)]
        return frames

    def to(self, device: torch.device) -> "WindowSet":
        """The same windows with their pixels on `device`."""
        return replace(self, pixels=self.pixels.to(device))


def write_windows(chunks: Iterable[LabelledFrames], folder: Path) -> WindowSet:
    """Write all frames into `folder` and open the result. Raises DataError where there is no window."""
    folder.mkdir(parents=True, exist_ok=True)
    num_frames, frame_shape = 0, (0, 0, 3)
    window_frames, targets, cases, captions = [], [], [], []
    with (folder / FRAMES_FILE).open("wb") as stream:
        for chunk in chunks:
            pixels = chunk.frames.pixels
            stream.write(np.ascontiguousarray(pixels).data)
            frame_shape = (pixels.shape[1], pixels.shape[2], 3)
            window_frames.append(chunk.frames.window_frames.astype(np.int64) + num_frames)
            targets.append(chunk.targets)
            captions.append(np.array(chunk.captions))
            cases.append(np.full(len(chunk.targets), chunk.case, dtype=np.int64))
            num_frames += len(pixels)
    if not window_frames:
        raise DataError(f"{folder}: found no labelled frames, expected at least one chunk of video.")
    np.savez(
        folder / INDEX_FILE,
        shape=np.array([num_frames, *frame_shape]),
        window_frames=np.concatenate(window_frames),
        targets=np.concatenate(targets),
        cases=np.concatenate(cases),
        captions=np.concatenate(captions),
    )
    return open_windows(folder)


def open_windows(folder: Path) -> WindowSet:
    """The windows that `write_windows` left in `folder`. Raises DataError where there are none."""
    if not (folder / INDEX_FILE).is_file():
        raise DataError(f"{folder}: found no {INDEX_FILE}, expected a finished window store. Write the frames again.")
    with np.load(folder / INDEX_FILE) as index:
        shape = tuple(int(size) for size in index["shape"])
        # "c": torch takes no read-only memory; nothing that is written here reaches the file
        pixels = np.memmap(folder / FRAMES_FILE, dtype=np.uint8, mode="c", shape=shape)
        return WindowSet(
            pixels=torch.from_numpy(pixels),
            window_frames=index["window_frames"],
            targets=index["targets"],
            cases=index["cases"],
            captions=index["captions"],
        )


def case_subset(windows: WindowSet, cases: Iterable[int], *, every: int = 1) -> WindowSet:
    """The windows of `cases`, of each case the first and then every `every`th."""
    wanted = np.isin(windows.cases, list(cases))
    _, first, rank = np.unique(windows.cases, return_index=True, return_inverse=True)
    nth = np.arange(len(windows.cases)) - first[rank]  # a case's windows are consecutive
    picked = wanted & (nth % every == 0)
    return replace(
        windows,
        window_frames=windows.window_frames[picked],
        targets=windows.targets[picked],
        cases=windows.cases[picked],
        captions=windows.captions[picked],
    )
