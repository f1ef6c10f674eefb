"""Rates of decoding, side by side on one core: this package through its guard, the ffmpeg program, and seeking
window by window."""

import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from nrray.decode.guard import GuardedDecoder
from nrray.decode.probe import probe_video
from nrray.decode.request import DecodeConfig, FrameRequest
from nrray.decode.source import local_path
from nrray.errors import DecodeError, ErrorKind
from nrray.types import US_PER_SECOND

_WINDOW_SECONDS, _STRIDE_SECONDS = 3, 1


@dataclass(frozen=True, kw_only=True)
class DecodeRates:
    """Rates over one video, all on `core` (None: not pinned); the dicts are by way of decoding. `speed_against` is above 1 where
    this package is the faster."""

    path: str
    core: int | None
    repeats: int
    video_seconds: float
    codec: str
    width_px: int
    height_px: int
    frames_per_second: float
    unit_seconds: float
    seconds_per_video_second: dict[str, float]
    source_frames_per_second: dict[str, float]
    speed_against: dict[str, float]


def bench_decode(
    path: str,
    *,
    frames_per_second: float = 4.0,
    unit_seconds: float = 60.0,
    width_px: int = 224,
    height_px: int = 224,
    repeats: int = 5,
    windows_seconds: float = 20.0,
) -> DecodeRates:
    """Medians of `repeats` interleaved runs over the whole local video at `path`, all pinned to one core.

    Seeking window by window is timed over the first `windows_seconds` only, as it is slow. Raises DecodeError.
    """
    file = local_path(path)
    if file is None:
        raise DecodeError(ErrorKind.UNSUPPORTED, f"{path}: the benchmark needs a local file.")
    config = DecodeConfig()
    facts = probe_video(file, config)
    video_seconds = facts.duration_us / US_PER_SECOND
    windows_seconds = min(windows_seconds, video_seconds)
    step_us = US_PER_SECOND / frames_per_second
    grid_us = facts.start_us + np.rint(np.arange(0, facts.duration_us, step_us)).astype(np.int64)
    per_unit = round(unit_seconds * frames_per_second)
    units = [
        FrameRequest(
            uri=file,
            sample_us=grid_us[first : first + per_unit],
            width_px=width_px,
            height_px=height_px,
            video_end_us=facts.start_us + facts.duration_us,
            seekable=facts.seekable,
            clock=facts.clock,
            frame_interval_us=round(US_PER_SECOND / facts.measured_fps),
        )
        for first in range(0, len(grid_us), per_unit)
    ]
    ffmpeg = shutil.which("ffmpeg")
    with _one_core() as core, GuardedDecoder(config) as guarded:
        guarded.probe(file)  # starts the child, on this core

        def guarded_pass() -> None:
            for unit in units:
                guarded.sample(unit)

        def ffmpeg_pass() -> None:
            scale = f"fps={frames_per_second:g},scale={width_px}:{height_px}"
            arguments = ["-v", "error", "-threads", "1", "-i", file, "-an", "-vf", scale, "-f", "null", "-"]
            subprocess.run([str(ffmpeg), *arguments], check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def windows_pass() -> None:
            last_us = facts.start_us + round(windows_seconds * US_PER_SECOND)
            starts = range(facts.start_us, last_us, _STRIDE_SECONDS * US_PER_SECOND)
            offsets_us = np.rint(np.arange(0, _WINDOW_SECONDS * US_PER_SECOND, step_us)).astype(np.int64)
            for start_us in starts:
                decode_window(file, start_us + offsets_us, width_px=width_px, height_px=height_px)

        ways: dict[str, tuple[Callable[[], None], float]] = {
            "guarded": (guarded_pass, video_seconds),
            "window_by_window": (windows_pass, windows_seconds),
        }
        if ffmpeg is not None:
            ways["ffmpeg"] = (ffmpeg_pass, video_seconds)
        cost = _interleaved_cost(ways, repeats)
    return DecodeRates(
        path=path,
        core=core,
        repeats=repeats,
        video_seconds=video_seconds,
        codec=facts.codec,
        width_px=facts.width_px,
        height_px=facts.height_px,
        frames_per_second=frames_per_second,
        unit_seconds=unit_seconds,
        seconds_per_video_second=cost,
        source_frames_per_second={way: facts.measured_fps / seconds for way, seconds in cost.items()},
        speed_against={way: seconds / cost["guarded"] for way, seconds in cost.items() if way != "guarded"},
    )


def decode_window(path: str, sample_us: NDArray[np.int64], *, width_px: int, height_px: int) -> int:
    """One step of a loop over windows: open, seek, decode to the window's end, keep the first frame at or after each time.
    Returns the number of frames kept."""
    kept: list[NDArray[Any]] = []
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        assert stream.time_base is not None
        container.seek(int(int(sample_us[0]) / US_PER_SECOND / stream.time_base), stream=stream)
        for frame in container.decode(stream):
            if frame.pts is None or float(frame.pts * stream.time_base) * US_PER_SECOND < sample_us[len(kept)]:
                continue
            small = frame.reformat(width=width_px, height=height_px, format="rgb24", interpolation="BICUBIC")
            kept.append(small.to_ndarray())
            if len(kept) == len(sample_us):
                break
    return len(kept)


def _interleaved_cost(ways: dict[str, tuple[Callable[[], None], float]], repeats: int) -> dict[str, float]:
    """Median seconds of work per second of video of each way; the ways take turns, so that a slow spell hits all."""
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(repeats):
        for way, (run, seconds) in ways.items():
            start = time.perf_counter()
            run()
            taken[way].append((time.perf_counter() - start) / seconds)
    return {way: statistics.median(values) for way, values in taken.items()}


@contextmanager
def _one_core() -> Iterator[int | None]:
    """Pin this process and the children that it starts meanwhile to one core; None where the system cannot."""
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    allowed = os.sched_getaffinity(0)
    core = max(allowed)
    os.sched_setaffinity(0, {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, allowed)
