"""The plan: which windows of which videos, packed into bounded units. A pure function of manifest and config;
no pixels, no bytes, and columnar, so that ten thousand hours are planned in seconds."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from nrray.config import Section
from nrray.errors import ConfigError
from nrray.sampling import Sampling, window_count
from nrray.tables import schema_of
from nrray.types import ProbeStatus, Unit, hours_of
from nrray.wording import counted


class Packing(Section):
    """Packing of windows into units: the grain of decoding, of retry and of loss in a crash."""

    max_unit_windows: int = Field(60, ge=1, le=10_000, description="consecutive windows of one unit")
    max_unit_mib: int = Field(32, ge=1, le=1024, description="decoded frames of one unit, as handed between processes")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`units` holds rows of `Unit`, in manifest order."""

    units: pa.Table
    num_videos: int
    num_bad_videos: int
    num_windows: int
    num_frames: int
    video_us: int
    sharing_ratio: float  # frames that windows ask for / frames that are decoded


def unit_windows(sampling: Sampling, packing: Packing) -> int:
    """Windows per unit: as many as asked, as long as a unit's frames stay within max_unit_mib.

    Raises ConfigError where not even one window does.
    """
    budget_frames = packing.max_unit_mib * 2**20 // sampling.frame_bytes
    if budget_frames < sampling.frames_per_window:
        raise ConfigError(
            f"one window of {counted(sampling.frames_per_window, 'frame')} of {sampling.frame_width_px}x"
            f"{sampling.frame_height_px} px takes more than packing.max_unit_mib={packing.max_unit_mib}: "
            f"raise it or lower the frame size"
        )
    fitting = (budget_frames - sampling.frames_per_window) // sampling.frames_per_stride + 1
    return min(packing.max_unit_windows, fitting)


def plan_units(manifest: pa.Table, sampling: Sampling, packing: Packing) -> Plan:
    """Every window of every readable video, once."""
    readable = manifest.filter(pc.equal(manifest["status"], ProbeStatus.OK.value))
    per_unit = unit_windows(sampling, packing)
    duration_us = np.asarray(readable["duration_us"].to_numpy(), dtype=np.int64)
    windows = window_count(sampling, duration_us) if len(duration_us) else np.zeros(0, np.int64)
    units_of_video = -(-windows // per_unit)

    video_index = np.repeat(np.arange(len(windows)), units_of_video)
    first_unit_of_video = np.cumsum(units_of_video) - units_of_video
    ordinal = np.arange(len(video_index)) - first_unit_of_video[video_index]
    first_window = ordinal * per_unit
    num_windows = np.minimum(per_unit, windows[video_index] - first_window)

    video_id = readable["video_id"].combine_chunks().take(pa.array(video_index))
    units = pa.table(
        [
            unit_ids(video_id, first_window),
            video_id,
            pa.array(first_window.astype(np.int32)),
            pa.array(num_windows.astype(np.int32)),
        ],
        schema=schema_of(Unit),
    )
    frames = int(((num_windows - 1) * sampling.frames_per_stride + sampling.frames_per_window).sum())
    return Plan(
        units=units,
        num_videos=readable.num_rows,
        num_bad_videos=manifest.num_rows - readable.num_rows,
        num_windows=int(windows.sum()),
        num_frames=frames,
        video_us=int(duration_us.sum()),
        sharing_ratio=int(windows.sum()) * sampling.frames_per_window / frames if frames else 1.0,
    )


def unit_ids(video_id: pa.Array, first_window: np.ndarray) -> pa.Array:
    """`<video_id>-<first window, 7 digits>`: sorts by video and time."""
    padded = pc.utf8_lpad(pc.cast(pa.array(first_window), pa.string()), 7, "0")
    return pc.binary_join_element_wise(video_id, padded, "-")


def plan_sentence(plan: Plan, sampling: Sampling) -> str:
    """The plan in one line for a person."""
    hours = hours_of(plan.video_us)
    return (
        f"{counted(plan.num_videos, 'video')}, {hours:.2f} h: {counted(plan.num_windows, 'window')} of "
        f"{sampling.window_seconds:g} s every {sampling.stride_seconds:g} s in {counted(plan.units.num_rows, 'unit')}; "
        f"{counted(plan.num_frames, 'frame')} to decode at "
        f"{sampling.frames_per_second:g}/s, each used by {plan.sharing_ratio:.2f} windows"
    )
