"""The frame that serves each sample. Pure arithmetic on presentation times: no files, no pixels.

The rule: a sample is served by the last frame at or before it. Times are compared in microseconds, to which every
backend rounds a PTS in the same way, so that a sample at a frame's rounded PTS picks that frame.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from nrray.types import US_PER_SECOND

# A damaged hole that is shorter is bridged by the frame before it; a longer one has no frames.
MAX_BRIDGED_US = 500_000
# A gap without damage is longer where few pictures are taken, such as one every half a minute.
_MIN_GAP_BRIDGED_US = 2 * US_PER_SECOND
_BRIDGED_INTERVALS = 5


def bridged_us(interval_us: int) -> int:
    """The longest gap without damage that the frame before it serves: 2 s, or five usual intervals of frames."""
    return max(_MIN_GAP_BRIDGED_US, _BRIDGED_INTERVALS * interval_us)


def rounded_us(ticks: int, time_base: Fraction) -> int:
    """`ticks` of `time_base` in microseconds, to the nearest, halves up."""
    denominator = time_base.denominator
    return (2 * ticks * time_base.numerator * US_PER_SECOND + denominator) // (2 * denominator)


@dataclass(frozen=True, kw_only=True)
class DecodedTimes:
    """Times of the frames of one forward pass, and its damage.

    frame_us: (M,) int64, rising; after_damage: (M,) bool, whether packets just before that frame were damaged;
    interval_us: typical distance of frames; last_duration_us: how long the last frame says it lasts, 0 if it does not;
    stop_reason: the last error, "" when there was none; ends_damaged: whether packets behind the last frame were damaged.
    """

    frame_us: NDArray[np.int64]
    after_damage: NDArray[np.bool_]
    interval_us: int
    last_duration_us: int
    stop_reason: str
    ends_damaged: bool = False


@dataclass(frozen=True, kw_only=True)
class Service:
    """frame_of_sample: (S,) int64 index into the decoded frames, -1 for none; shortfall: why, or ""; is_short_by_damage: whether
    the reason is more than a gap of the recording; is_repeated: (S,) bool, served over a damaged hole by the frame before it."""

    frame_of_sample: NDArray[np.int64]
    shortfall: str
    is_short_by_damage: bool
    is_repeated: NDArray[np.bool_]


def serve_samples(times: DecodedTimes, *, sample_us: NDArray[np.int64], video_end_us: int) -> Service:
    """The decoded frame of each sample.

    A gap without damage is served by the frame before it (variable frame rate), up to `bridged_us`: in a longer one nobody
    filmed, and there is no frame from one interval behind its beginning on. The last frame serves all later
    samples when the video was decoded to its end, and only its own interval when decoding stopped well before.
    """
    num_frames = len(times.frame_us)
    if num_frames == 0:
        return Service(
            frame_of_sample=np.full(len(sample_us), -1, np.int64),
            shortfall="not one frame was decoded",
            is_short_by_damage=True,
            is_repeated=np.zeros(len(sample_us), np.bool_),
        )
    chosen = np.searchsorted(times.frame_us, sample_us, side="right") - 1
    reasons: list[str] = []

    early = chosen < 0
    first_us = int(times.frame_us[0])
    too_early = early & (sample_us < first_us - times.interval_us)
    served: NDArray[np.int64] = np.where(early & ~too_early, 0, chosen).astype(np.int64)
    if too_early.any():
        reasons.append(f"the first picture is at {_seconds(first_us)}{_because(times.stop_reason)}")

    gap_us = np.append(np.diff(times.frame_us), 0)
    is_behind_damage = np.append(times.after_damage[1:], False)
    at = np.maximum(served, 0)
    is_late = (served >= 0) & (sample_us >= times.frame_us[at] + times.interval_us)
    in_hole = is_late & (is_behind_damage & (gap_us > MAX_BRIDGED_US))[at]
    in_gap = is_late & (~is_behind_damage & (gap_us > bridged_us(times.interval_us)))[at]
    # A frame is missing where the next one is later than rounding explains.
    is_holed = is_behind_damage & (2 * gap_us > 3 * times.interval_us)
    is_repeated = is_late & is_holed[at] & ~in_hole
    if in_hole.any():
        hole = int(at[in_hole][0])
        start, end = int(times.frame_us[hole]), int(times.frame_us[hole + 1])
        where = f"from {_seconds(start)} to {_seconds(end)}"
        reasons.append(f"nothing could be decoded {where}{_because(times.stop_reason)}")

    is_short_by_damage = bool(reasons)
    if in_gap.any():
        gap = int(at[in_gap][0])
        start, end = int(times.frame_us[gap]), int(times.frame_us[gap + 1])
        reasons.append(f"there is no picture from {_seconds(start)} to {_seconds(end)}: a gap of the recording")

    last_us = int(times.frame_us[-1])
    last_end_us = last_us + max(times.interval_us, times.last_duration_us)
    stopped_early = video_end_us - last_us > MAX_BRIDGED_US and video_end_us - last_end_us > times.interval_us
    if times.ends_damaged:
        is_repeated |= (served == num_frames - 1) & (sample_us >= last_us + times.interval_us)
    beyond = (served == num_frames - 1) & (sample_us >= last_end_us) & stopped_early
    if beyond.any():
        where = f"at {_seconds(last_us)} of {_seconds(video_end_us)}"
        reasons.append(f"decoding stopped {where}{_because(times.stop_reason)}")

    served[in_hole | in_gap | beyond | too_early] = -1
    return Service(
        frame_of_sample=served,
        shortfall="; ".join(reasons),
        is_short_by_damage=is_short_by_damage or bool(beyond.any()),
        is_repeated=is_repeated,
    )


def typical_interval_us(frame_us: NDArray[np.int64], *, claimed_fps: float) -> int:
    """Distance of frames: as the header claims, else the median, else 40 ms (25 fps)."""
    if claimed_fps > 0:
        return max(1, round(US_PER_SECOND / claimed_fps))
    if len(frame_us) > 1:
        return max(1, int(np.median(np.diff(frame_us))))
    return 40_000


def _seconds(time_us: int) -> str:
    return f"{time_us / US_PER_SECOND:.2f} s"


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""
