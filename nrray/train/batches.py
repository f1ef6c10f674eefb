"""The windows of an optimizer step as tensors of a model: their shifts in time, their augmentation. The same for any number of
processes, each of which makes its share."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from nrray.sampling import Sampling
from nrray.train.augment import augmented
from nrray.train.examples import Chunk, Examples, window_name
from nrray.train.frame_store import FrameStore
from nrray.train.order import Order
from nrray.train.training_config import AugmentConfig

ModelInputs = Callable[[NDArray[np.uint8]], dict[str, torch.Tensor]]
"""(B, F, H, W, K) uint8 windows, of red, green and blue or of the channels that the model is shown, to its tensors."""


@dataclass(frozen=True, kw_only=True)
class MicroBatch:
    """Windows that go through the model at once. targets: (B, A) float32; indices: (B,) into the windows of the step, or of
    all examples."""

    inputs: dict[str, torch.Tensor]
    targets: torch.Tensor
    indices: NDArray[np.int64]


class TrainingWindows(torch.utils.data.Dataset):  # type: ignore[misc]
    """Item `step` is this process's share of a step: windows moved in time and augmented, each by amounts that only the seed,
    the step and the window's index in the step decide. channels: (K, 3) weights of red, green and blue in the channels that
    the model is shown, of which windows are made: one costs a third of three."""

    def __init__(
        self,
        examples: Examples,
        *,
        chunks: list[Chunk],
        whole: list[NDArray[np.bool_]],
        store: FrameStore,
        inputs: ModelInputs,
        channels: NDArray[np.float32],
        order: Order,
        augment: AugmentConfig,
        sampling: Sampling,
        max_jitter_seconds: float,
        micro_batch_windows: int,
        process: int,
        num_processes: int,
    ) -> None:
        self._examples = examples
        self._chunks = chunks
        self._whole = whole
        self._store = store
        self._inputs = inputs
        self._channels = torch.from_numpy(channels)
        self._order = order
        self._augment = augment
        self._sampling = sampling
        self._max_jitter_samples = int(max_jitter_seconds * sampling.frames_per_second)
        self._micro_batch_windows = micro_batch_windows
        self._process = process
        self._num_processes = num_processes

    def __getitem__(self, step: int) -> list[MicroBatch]:
        return self.micro_batches(step, self._micro_batch_windows)

    def micro_batches(self, step: int, micro_batch_windows: int) -> list[MicroBatch]:
        """The share of a step, cut into so many windows at once."""
        rows = self._order.rows(step)
        indices = np.arange(self._process, len(rows), self._num_processes)
        return [
            self._micro_batch(step, rows, indices[first : first + micro_batch_windows])
            for first in range(0, len(indices), micro_batch_windows)
        ]

    def names(self, step: int, indices: list[int]) -> str:
        """Windows of a step in words: which videos, where; all of them where no index is given."""
        rows = self._order.rows(step)[indices or slice(None)]
        found = [
            window_name(self._chunks[self._examples.chunk[row]], int(self._examples.start[row]), self._sampling)
            for row in rows.tolist()
        ]
        return ", ".join(found[:4]) + (f" and {len(found) - 4} more" if len(found) > 4 else "")

    def _micro_batch(self, step: int, rows: NDArray[np.int64], indices: NDArray[np.int64]) -> MicroBatch:
        made = [
            self._window(rows[index], np.random.default_rng([self._order.seed, 1, step, index])) for index in indices
        ]
        return MicroBatch(
            inputs=self._inputs(np.stack([pixels for pixels, _ in made])),
            targets=torch.from_numpy(np.stack([targets for _, targets in made]).astype(np.float32)),
            indices=indices,
        )

    def _window(self, row: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        chunk, start = int(self._examples.chunk[row]), int(self._examples.start[row])
        low = max(0, start - self._max_jitter_samples)
        starts = low + np.flatnonzero(self._whole[chunk][low : start + self._max_jitter_samples + 1])
        moved = int(rng.choice(starts))
        pixels = augmented_window(self._store.window(chunk, moved), self._augment, rng, channels=self._channels)
        return pixels, self._chunks[chunk].targets[moved]


class PlainWindows(torch.utils.data.Dataset):  # type: ignore[misc]
    """Item `number` is a micro-batch of this process's share of some examples, neither moved nor augmented."""

    def __init__(
        self,
        examples: Examples,
        *,
        store: FrameStore,
        inputs: ModelInputs,
        micro_batch_windows: int,
        process: int,
        num_processes: int,
    ) -> None:
        self._examples = examples
        self._store = store
        self._inputs = inputs
        self._micro_batch_windows = micro_batch_windows
        self._indices = np.arange(process, len(examples), num_processes)

    def __len__(self) -> int:
        return -(-len(self._indices) // self._micro_batch_windows)

    def __getitem__(self, number: int) -> MicroBatch:
        if number >= len(self):
            raise IndexError(number)
        first = number * self._micro_batch_windows
        indices = self._indices[first : first + self._micro_batch_windows]
        pixels = [self._store.window(int(self._examples.chunk[row]), int(self._examples.start[row])) for row in indices]
        return MicroBatch(
            inputs=self._inputs(np.stack(pixels)),
            targets=torch.from_numpy(self._examples.targets[indices].astype(np.float32)),
            indices=indices,
        )


def on_device(inputs: dict[str, torch.Tensor], device: torch.device) -> dict[str, torch.Tensor]:
    """A batch's tensors on the device of the model."""
    return {name: tensor.to(device, non_blocking=True) for name, tensor in inputs.items()}


def augmented_window(
    pixels: NDArray[np.uint8], config: AugmentConfig, rng: np.random.Generator, *, channels: torch.Tensor
) -> NDArray[np.uint8]:
    """(F, H, W, 3) frames of a window to (F, H, W, K), augmented by amounts that `rng` draws; channels: as in `augmented`."""
    frames = torch.from_numpy(pixels).permute(0, 3, 1, 2).unsqueeze(0).float() / 255
    noise = torch.Generator().manual_seed(int(rng.integers(2**62)))
    made = augmented(frames, config, rng, channels=channels, noise=noise)[0]
    bytes_: NDArray[np.uint8] = (made * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    return bytes_
