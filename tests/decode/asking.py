"""How tests ask: a grid of samples over a whole video, and the frame numbers that come back."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nrray.decode import DecodeConfig, FrameRequest, ProbeResult, SampledFrames, probe_video
from nrray.types import US_PER_SECOND, ClockKind
from tests.videos import frame_number

CONFIG = DecodeConfig()


def request(
    path: Path | str,
    sample_us: NDArray[np.int64] | list[int],
    *,
    end_us: int,
    seekable: bool = True,
    size=(80, 48),
    clock: ClockKind = ClockKind.STEADY,
    frame_interval_us: int | None = None,
    stream_index: int | None = None,
) -> FrameRequest:
    return FrameRequest(
        uri=str(path),
        sample_us=np.asarray(sample_us, np.int64),
        width_px=size[0],
        height_px=size[1],
        video_end_us=end_us,
        seekable=seekable,
        clock=clock,
        frame_interval_us=frame_interval_us,
        stream_index=stream_index,
    )


def request_of(path: Path | str, facts: ProbeResult, *, step_us: int = 250_000, size=(80, 48)) -> FrameRequest:
    """As a unit asks: all that the probe found."""
    return request(
        path,
        grid_us(facts, step_us),
        end_us=facts.start_us + facts.duration_us,
        seekable=facts.seekable,
        size=size,
        clock=facts.clock,
        frame_interval_us=round(US_PER_SECOND / facts.measured_fps),
        stream_index=facts.stream_index,
    )


def grid_us(facts: ProbeResult, step_us: int = 250_000) -> NDArray[np.int64]:
    return np.arange(facts.start_us, facts.start_us + facts.duration_us, step_us, dtype=np.int64)


def grid_request(path: Path | str, *, seekable: bool = True, size=(80, 48)) -> FrameRequest:
    facts = probe_video(str(path), CONFIG)
    return request(path, grid_us(facts), end_us=facts.start_us + facts.duration_us, seekable=seekable, size=size)


def sound_numbers(frames: SampledFrames) -> list[int | None]:
    """As `numbers`, and None of samples whose frame is damaged or an earlier one."""
    return [number if sound else None for number, sound in zip(numbers(frames), frames.is_sound, strict=True)]


def numbers(frames: SampledFrames) -> list[int | None]:
    """The number burnt into the frame of each sample."""
    by_row = [frame_number(pixels) for pixels in frames.pixels]
    return [by_row[row] if row >= 0 else None for row in frames.frame_of_sample]
