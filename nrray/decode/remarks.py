"""What a person should know of a file before it is labelled, in sentences."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nrray.decode.packets import StreamPackets
from nrray.decode.request import ProbeResult
from nrray.decode.selection import bridged_us
from nrray.types import US_PER_SECOND, ClockKind
from nrray.wording import counted

_LONG_WITHOUT_KEY_US = 60 * US_PER_SECOND
_CLAIMED_OTHERWISE_US = 1 * US_PER_SECOND


def remarks_on(
    facts: ProbeResult, packets: StreamPackets, *, other_streams: tuple[str, ...], gaps_us: NDArray[np.int64]
) -> ProbeResult:
    """`facts` with their remarks."""
    found = [
        _on_streams(facts, other_streams),
        _on_clock(facts, packets),
        _on_gaps(facts, gaps_us),
        _on_claim(facts, packets),
        _on_keys(facts),
        _on_damage(packets),
        _on_edits(packets),
        ""
        if facts.field_order == "progressive"
        else f"pictures are {facts.field_order}: their fields are deinterlaced",
        "" if not facts.is_mirrored else "pictures are tagged as seen in a mirror: they are mirrored back",
        "" if facts.transfer == "sdr" else f"pictures have the transfer of {facts.transfer}, and are not tone-mapped",
    ]
    return replace(facts, remarks="; ".join(remark for remark in found if remark))


def _on_streams(facts: ProbeResult, others: tuple[str, ...]) -> str:
    if not others:
        return ""
    return (
        f"{facts.num_video_streams} video streams: {facts.stream_index} is labelled, {', '.join(others)} not; to choose another, "
        f"set decode.stream, as in --set decode.stream={others[0].split()[0]}, in scan and relabel"
    )


def _on_clock(facts: ProbeResult, packets: StreamPackets) -> str:
    if facts.clock is ClockKind.NONE:
        return f"a raw stream: {facts.measured_fps:g} frames/s are assumed (decode.raw_frames_per_second)"
    if facts.clock is ClockKind.LOST:
        return "it counts its pictures instead of dating them, and some are lost: from there on all count as damaged"
    if facts.clock is ClockKind.UNCHECKED:
        return "too large to be read through: judged by its beginning and its end"
    stamps = packets.stamps()
    outliers = int(stamps.is_outlier.sum())
    parts = []
    if stamps.num_restarts:
        parts.append(
            f"the clock starts again {counted(stamps.num_restarts, 'time')} in mid-file: the parts are put one behind the other"
        )
    if outliers:
        are = "stamp contradicts its" if outliers == 1 else "stamps contradict their"
        parts.append(f"{outliers} {are} neighbours: the pictures are left out")
    return "; ".join(parts)


def _on_gaps(facts: ProbeResult, gaps_us: NDArray[np.int64]) -> str:
    long_us = gaps_us[gaps_us > bridged_us(round(US_PER_SECOND / facts.measured_fps))]
    if not len(long_us):
        return ""
    seconds = long_us.sum() / US_PER_SECOND
    return f"{counted(len(long_us), 'gap')} without a picture, {seconds:,.1f} s in all: nothing is labelled there"


def _on_claim(facts: ProbeResult, packets: StreamPackets) -> str:
    stopped = f"reading stopped: {packets.stop_reason}" if packets.stop_reason else ""
    claimed = facts.claimed_duration_us
    # Writers disagree whether a file's duration counts from zero or from its first picture.
    found = (facts.duration_us, facts.start_us + facts.duration_us)
    tolerance_us = max(_CLAIMED_OTHERWISE_US, facts.duration_us // 100)
    if claimed is None or any(abs(claimed - duration_us) <= tolerance_us for duration_us in found):
        return stopped
    seconds = f"{claimed / US_PER_SECOND:,.2f} s are claimed, {facts.duration_us / US_PER_SECOND:,.2f} s found"
    if stopped:
        return f"{seconds}; {stopped}"
    return f"{seconds}: it may be cut off" if claimed > facts.duration_us else seconds


def _on_keys(facts: ProbeResult) -> str:
    if not facts.seekable and facts.clock in (ClockKind.STEADY, ClockKind.UNCHECKED):
        return "decoded from its start: seeks show other pictures"
    if facts.num_key_frames == 1 and facts.duration_us > _LONG_WITHOUT_KEY_US:
        return "one key frame only: decoded from its start"
    return ""


def _on_damage(packets: StreamPackets) -> str:
    damaged = int(packets.is_corrupt.sum())
    return f"{counted(damaged, 'packet')} arrived damaged" if damaged else ""


def _on_edits(packets: StreamPackets) -> str:
    discarded = int(packets.is_discarded.sum())
    return f"{counted(discarded, 'picture')} left out, as the file's edit list says" if discarded else ""
