"""A store of tower features: with a frozen tower every frame is encoded once, however often it is trained on.

In: stretches of frames with the truth of their windows. Out: one memory-mapped file and its index, on disk.
"""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nrray.errors import DataError
from nrray.models.families import CPU_FRAMES_PER_FORWARD
from nrray.train.embedded import TrainableVlm
from nrray.types import Frames

FEATURES_FILE = "features.f16"
INDEX_FILE = "index.npz"

Encode = Callable[[NDArray[np.uint8]], NDArray[np.float16]]
"""(N, H, W, 3) uint8 frames to (N, T, C) float16 tower features."""


@dataclass(frozen=True, kw_only=True)
class LabelledFrames:
    """A stretch of one case's video; targets: (W, A) bool, and captions, W of them: the truth of `frames`' windows."""

    case: int
    frames: Frames
    targets: NDArray[np.bool_]
    captions: list[str]


@dataclass(frozen=True, kw_only=True)
class FeatureSet:
    """features: (N, T, C) float16, on disk; window_frames: (W, F) int64 rows of it; targets: (W, A); cases: (W,);
    captions: (W,) text."""

    features: NDArray[np.float16]
    window_frames: NDArray[np.int64]
    targets: NDArray[np.bool_]
    cases: NDArray[np.int64]
    captions: NDArray[np.str_]


def write_features(stretches: Iterable[LabelledFrames], folder: Path, *, encode: Encode) -> FeatureSet:
    """Encode all frames into `folder` and open the result. Raises DataError where there is no window."""
    folder.mkdir(parents=True, exist_ok=True)
    num_frames, frame_shape = 0, (0, 0)
    window_frames, targets, cases, captions = [], [], [], []
    with (folder / FEATURES_FILE).open("wb") as stream:
        for stretch in stretches:
            features = encode(stretch.frames.pixels)
            stream.write(np.ascontiguousarray(features, dtype=np.float16).tobytes())
            frame_shape = (features.shape[1], features.shape[2])
            window_frames.append(stretch.frames.window_frames.astype(np.int64) + num_frames)
            targets.append(stretch.targets)
            captions.append(np.array(stretch.captions))
            cases.append(np.full(len(stretch.targets), stretch.case, dtype=np.int64))
            num_frames += len(features)
    if not window_frames:
        raise DataError(f"{folder}: found no labelled frames to encode, expected at least one stretch of video.")
    np.savez(
        folder / INDEX_FILE,
        shape=np.array([num_frames, *frame_shape]),
        window_frames=np.concatenate(window_frames),
        targets=np.concatenate(targets),
        cases=np.concatenate(cases),
        captions=np.concatenate(captions),
    )
    return open_features(folder)


def open_features(folder: Path) -> FeatureSet:
    """What `write_features` left in `folder`. Raises DataError where that is nothing."""
    if not (folder / INDEX_FILE).is_file():
        raise DataError(f"{folder}: found no {INDEX_FILE}, expected a finished feature store. Encode the frames again.")
    with np.load(folder / INDEX_FILE) as index:
        shape = tuple(int(size) for size in index["shape"])
        return FeatureSet(
            features=np.memmap(folder / FEATURES_FILE, dtype=np.float16, mode="r", shape=shape),
            window_frames=index["window_frames"],
            targets=index["targets"],
            cases=index["cases"],
            captions=index["captions"],
        )


def trunk_encoder(vlm: TrainableVlm) -> Encode:
    """A function from (N, H, W, 3) uint8 frames to the frozen trunk's features, as the tail will get them.

    The trunk is traced and its normalization folded away: twice the frames per second on a CPU, and features equal
    within 1e-4.
    """
    trunk = copy.deepcopy(vlm.trunk).eval().to(memory_format=torch.channels_last)
    processor = vlm.processor.image_processor
    size = processor.size
    example = torch.zeros(1, 3, size["height"], size["width"]).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        traced = torch.jit.freeze(torch.jit.trace(trunk, example))

    def encode(pixels: NDArray[np.uint8]) -> NDArray[np.float16]:
        blocks = []
        for start in range(0, len(pixels), CPU_FRAMES_PER_FORWARD):
            frames = list(pixels[start : start + CPU_FRAMES_PER_FORWARD])
            values = processor(images=frames, return_tensors="pt")["pixel_values"]
            with torch.no_grad():
                grid = traced(values.contiguous(memory_format=torch.channels_last))  # (n, C, h, w)
            blocks.append(grid.flatten(2).permute(0, 2, 1).half().numpy())
        return np.concatenate(blocks)

    return encode


def case_subset(windows: FeatureSet, cases: Iterable[int], *, every: int = 1) -> FeatureSet:
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
