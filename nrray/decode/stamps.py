"""The time line of a stream, from the stamps of its packets: stamps that their neighbours contradict, clocks that start again,
honest gaps. Pure arithmetic: no files, no pixels.

A clock that falls starts again, and what follows is put behind what came before. A few packets whose stamps jump and come back
are outliers. A jump forward that stays is a gap: nobody filmed.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nrray.types import US_PER_SECOND, ClockKind

# Frames are reordered by at most 16 in the codecs that are decoded, so that stamps in the order of the file fall by up to that.
_REORDERED_INTERVALS = 20
# Behind a stray packet the clock goes on within so much.
_MAX_STEP_OVER_STRAYS_US = 2 * US_PER_SECOND
# So many packets may be stamped wrongly, one after the other, before they count as a clock of their own.
_MAX_OUTLIERS = 8
_MIN_STRAY_US = 60 * US_PER_SECOND
# A picture is shown at most so long after it is decoded.
_MAX_SHOWN_LATE_US = 10 * US_PER_SECOND
_UNKNOWN_INTERVAL_US = 40_000  # 25 frames/s
# A stream whose times of decoding fall more often has them so.
_MAX_FALLS = 8


@dataclass(frozen=True, kw_only=True)
class Stamps:
    """time_us: (M,) int64 on one line, in the order of the file; is_outlier: (M,) bool, packets whose own stamp is not believed;
    interval_us: the median distance of pictures; num_restarts: how often the clock started again."""

    time_us: NDArray[np.int64]
    is_outlier: NDArray[np.bool_]
    interval_us: int
    num_restarts: int

    @property
    def clock(self) -> ClockKind:
        if self.num_restarts:
            return ClockKind.RESTARTS
        return ClockKind.OUTLIERS if self.is_outlier.any() else ClockKind.STEADY


@dataclass(kw_only=True)
class _Run:
    """Packets [first, end) whose clock goes on."""

    first: int
    end: int
    start_us: int
    stop_us: int

    @property
    def is_short(self) -> bool:
        return self.end - self.first <= _MAX_OUTLIERS and self.stop_us - self.start_us < US_PER_SECOND


def stamps_of(pts_us: NDArray[np.int64], decoded_us: NDArray[np.int64], *, are_decoded: bool = False) -> Stamps:
    """pts_us: (M,) presentation times of packets in the order of the file, M > 0; decoded_us: (M,) times of decoding, or, unless
    are_decoded, of presentation where a container has no other."""
    interval_us = _median_step_us(decoded_us)
    slack_us = _REORDERED_INTERVALS * interval_us
    runs = _runs(decoded_us, slack_us=slack_us, max_step_us=slack_us)
    kept, strays = _without_strays(runs, slack_us=slack_us)
    is_outlier = _are_shown_at_no_neighbours_time(pts_us, decoded_us, tolerance_us=_MAX_SHOWN_LATE_US + slack_us)
    if are_decoded:
        is_outlier |= _are_out_of_turn(decoded_us, tolerance_us=interval_us)
    for run in strays:
        is_outlier[run.first : run.end] = True
    time_us = pts_us.copy()
    shift_us, num_restarts, end_us = 0, 0, None
    for run in kept:
        members = np.arange(run.first, run.end)[~is_outlier[run.first : run.end]]
        if not len(members):
            continue
        start_us = int(pts_us[members].min())
        if end_us is not None and start_us + shift_us < end_us - slack_us:
            num_restarts += 1
            shift_us = end_us + interval_us - start_us
        time_us[run.first : run.end] += shift_us
        latest_us = int(pts_us[members].max()) + shift_us
        end_us = latest_us if end_us is None else max(end_us, latest_us)
    return Stamps(
        time_us=time_us,
        is_outlier=is_outlier,
        interval_us=_interval_us(time_us[~is_outlier], interval_us),
        num_restarts=num_restarts,
    )


def _are_shown_at_no_neighbours_time(
    pts_us: NDArray[np.int64], decoded_us: NDArray[np.int64], *, tolerance_us: int
) -> NDArray[np.bool_]:
    """Whether the time of showing is far from that of decoding, and from the times of all packets around it, too: at a gap, some
    containers give times of decoding from before it to pictures from behind it."""
    is_far: NDArray[np.bool_] = np.abs(pts_us - decoded_us) > tolerance_us
    for at in np.flatnonzero(is_far).tolist():
        around = slice(max(0, at - _REORDERED_INTERVALS), at + _REORDERED_INTERVALS + 1)
        others = np.concatenate([np.delete(pts_us[around], at - around.start), decoded_us[around]])
        is_far[at] = bool((np.abs(others - pts_us[at]) > tolerance_us).all())
    return is_far


def _are_out_of_turn(decoded_us: NDArray[np.int64], *, tolerance_us: int) -> NDArray[np.bool_]:
    """Single packets that are decoded before the one ahead of them or behind the one after, in a stream that has its times of
    decoding else in order."""
    is_out = np.zeros(len(decoded_us), np.bool_)
    falls = np.flatnonzero(np.diff(decoded_us) < -tolerance_us) + 1
    if len(falls) > _MAX_FALLS:
        return is_out
    for at in falls.tolist():
        before, after = decoded_us[max(0, at - 2)], decoded_us[min(len(decoded_us) - 1, at + 1)]
        if at >= 2 and before <= decoded_us[at] <= after:
            is_out[at - 1] = True
        elif before <= decoded_us[at - 1] <= after:
            is_out[at] = True
    return is_out


def _median_step_us(decoded_us: NDArray[np.int64]) -> int:
    steps = np.diff(decoded_us)
    steps = steps[steps > 0]
    return max(1, int(np.median(steps))) if len(steps) else _UNKNOWN_INTERVAL_US


def _interval_us(time_us: NDArray[np.int64], otherwise_us: int) -> int:
    steps = np.diff(np.unique(time_us))
    return max(1, int(np.median(steps))) if len(steps) else otherwise_us


def _runs(decoded_us: NDArray[np.int64], *, slack_us: int, max_step_us: int) -> list[_Run]:
    latest_us = np.maximum.accumulate(decoded_us)  # within a run; found again after each break
    steps = np.diff(decoded_us)
    suspected = (steps < -slack_us) | (steps > max_step_us)
    # Slow falls, packet by packet, below what the run has reached:
    suspected |= decoded_us[1:] < latest_us[:-1] - slack_us
    bounds = [0]
    high_us = int(decoded_us[0])
    position = 0
    for at in (np.flatnonzero(suspected) + 1).tolist():
        high_us = max(high_us, int(decoded_us[position:at].max()))
        position = at
        value = int(decoded_us[at])
        if value < high_us - slack_us or value - int(decoded_us[at - 1]) > max_step_us:
            bounds.append(at)
            high_us = value
    bounds.append(len(decoded_us))
    return [
        _Run(first=first, end=end, start_us=int(decoded_us[first:end].min()), stop_us=int(decoded_us[first:end].max()))
        for first, end in pairwise(bounds)
    ]


def _without_strays(runs: list[_Run], *, slack_us: int) -> tuple[list[_Run], list[_Run]]:
    """Runs that are believed, and those that their neighbours contradict."""
    kept: list[_Run] = []
    strays: list[_Run] = []
    waiting = list(reversed(runs))
    while waiting:
        run = waiting.pop()
        if kept and run.is_short and waiting:
            following = waiting[-1]
            is_between = kept[-1].stop_us - slack_us <= run.start_us and run.stop_us <= following.start_us + slack_us
            if not is_between and _goes_on(kept[-1], following, slack_us=slack_us):
                strays.append(run)
                kept[-1] = _joined(kept[-1], waiting.pop())
                continue
        kept.append(run)
    _drop_stray_end(kept, strays, at=-1)
    _drop_stray_end(kept, strays, at=0)
    return kept, strays


def _goes_on(before: _Run, after: _Run, *, slack_us: int) -> bool:
    step_us = after.start_us - before.stop_us
    return -slack_us <= step_us <= _MAX_STEP_OVER_STRAYS_US + slack_us


def _joined(before: _Run, after: _Run) -> _Run:
    # Packets between them are strays, marked one by one.
    return _Run(
        first=before.first,
        end=after.end,
        start_us=min(before.start_us, after.start_us),
        stop_us=max(before.stop_us, after.stop_us),
    )


def _drop_stray_end(kept: list[_Run], strays: list[_Run], *, at: int) -> None:
    """A short first or last run further away than all the rest is long is believed by nobody."""
    if len(kept) < 2 or not kept[at].is_short:
        return
    rest = kept[:at] if at < 0 else kept[1:]
    long_us = max(run.stop_us for run in rest) - min(run.start_us for run in rest)
    neighbour = kept[-2] if at < 0 else kept[1]
    away_us = max(kept[at].start_us - neighbour.stop_us, neighbour.start_us - kept[at].stop_us)
    overlaps = away_us < 0
    if overlaps or away_us > max(_MIN_STRAY_US, long_us):
        strays.append(kept.pop(at))
