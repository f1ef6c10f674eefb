"""Frames on disk to train on: a safetensors file per chunk, whole or not there. The only place where nrray keeps pixels."""

import hashlib
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from nrray.decode.request import SampledFrames
from nrray.errors import DataError
from nrray.storage import PRIVATE_FILE, storage_errors

_OPEN_FILES = 64


def store_file(folder: Path, name: str) -> Path:
    """Where the frames of a chunk lie."""
    return folder / f"{name}.safetensors"


def write_frames(file: Path, sampled: SampledFrames) -> int:
    """Write the decoded frames of a chunk; returns the number of bytes. Raises StorageError."""
    temporary = file.with_name(f".tmp-{os.getpid()}-{file.name}")
    with storage_errors(f"cannot write {file}"):
        try:
            tensors: dict[str, NDArray[Any]] = {
                "pixels": np.ascontiguousarray(sampled.pixels),
                "frame_of_sample": sampled.frame_of_sample,
            }
            save_file(tensors, temporary, metadata={"name": file.stem, "sha256": _digest(tensors)})
            temporary.chmod(PRIVATE_FILE)
            temporary.replace(file)
        except SafetensorError as error:
            raise OSError(f"{error}") from error
        finally:
            temporary.unlink(missing_ok=True)
    return file.stat().st_size


def read_frame_of_sample(file: Path) -> NDArray[np.int32]:
    """(S,) row of `pixels` that each sampled instant shows, -1 for none. Raises DataError for a file that is not whole."""
    try:
        with safe_open(file, framework="numpy") as tensors:
            rows: NDArray[np.int32] = tensors.get_tensor("frame_of_sample")
            name = (tensors.metadata() or {}).get("name")
    except (OSError, SafetensorError) as error:
        raise DataError(f"{file}: cannot be read ({error}). Delete it and run again: it is extracted anew.") from None
    if name != file.stem:
        raise DataError(f"{file}: holds the frames of {name}. Delete it and run again: it is extracted anew.")
    return rows


def is_readable_file(file: Path) -> bool:
    """Whether a file of frames is there and not cut short; reads none of its pixels."""
    try:
        read_frame_of_sample(file)
    except DataError:
        return False
    return True


def is_whole_file(file: Path) -> bool:
    """Whether a file of frames is there and holds the very pixels that were written into it. Reads all of them."""
    if not is_readable_file(file):
        return False
    try:
        with safe_open(file, framework="numpy") as tensors:
            stated = (tensors.metadata() or {}).get("sha256")
            return stated == _digest({name: tensors.get_tensor(name) for name in tensors.keys()})  # noqa: SIM118
    except (OSError, SafetensorError):
        return False


def stated_digest(file: Path) -> str:
    """The digest of the pixels that were written into a file, as it states it. Raises DataError for one that states none."""
    try:
        with safe_open(file, framework="numpy") as tensors:
            return str((tensors.metadata() or {})["sha256"])
    except (OSError, SafetensorError, KeyError) as error:
        raise DataError(f"{file}: states no digest ({error}). Delete it and run again: it is extracted anew.") from None


def _digest(tensors: Mapping[str, NDArray[Any]]) -> str:
    """sha256 over names, shapes and contents."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        total.update(f"{name} {tensors[name].dtype} {tensors[name].shape}\0".encode())
        total.update(np.ascontiguousarray(tensors[name]).reshape(-1).view(np.uint8).data)
    return total.hexdigest()


def whole_windows(frame_of_sample: NDArray[np.int32], frames_per_window: int) -> NDArray[np.bool_]:
    """(num_starts,) whether all frames of the window at each start are there."""
    windows = np.lib.stride_tricks.sliding_window_view(frame_of_sample >= 0, frames_per_window)
    whole: NDArray[np.bool_] = np.asarray(windows.all(axis=1))
    return whole


class FrameStore:
    """Reads windows; opens files as they are asked for, so that it can go to another process."""

    def __init__(self, folder: Path, names: list[str], *, frames_per_window: int) -> None:
        self._folder = folder
        self._names = names
        self._frames_per_window = frames_per_window

    def window(self, chunk: int, start: int) -> NDArray[np.uint8]:
        """(F, H, W, 3) uint8 frames of a window. Raises DataError."""
        file = str(store_file(self._folder, self._names[chunk]))
        try:
            tensors, rows = _opened(file)
            wanted = rows[start : start + self._frames_per_window]
            low = int(wanted.min())
            pixels: NDArray[np.uint8] = tensors.get_slice("pixels")[low : int(wanted.max()) + 1]
        except (OSError, SafetensorError) as error:
            raise DataError(
                f"{file}: cannot be read ({error}). Delete it and run again: it is extracted anew."
            ) from None
        return pixels[wanted - low]


@lru_cache(maxsize=_OPEN_FILES)
def _opened(file: str) -> tuple[Any, NDArray[np.int32]]:
    tensors: Any = safe_open(file, framework="numpy")
    return tensors, tensors.get_tensor("frame_of_sample")
