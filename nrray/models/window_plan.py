"""The windows of a checkpoint that does not say how it samples video: how many frames of which size, and how many tokens that
is. Told by its config and its processor, before a weight is read: a model on torch's `meta` device will do.

In: checkpoint, what the config of a run sets, the size of the videos. Out: a sampling, with the tokens of a window.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nrray.errors import ModelError
from nrray.models.checkpoint import LOADING_ERRORS, outlined_checkpoint
from nrray.models.families.family import LoadedCheckpoint
from nrray.models.frame_size import FramePattern, FrameSize, frame_pattern, smaller
from nrray.models.frame_stacking import FrameStacking
from nrray.models.resolved import ResolvedCheckpoint
from nrray.sampling import Sampling, SamplingSection

FRAMES_PER_SECOND, WINDOW_SECONDS, STRIDE_SECONDS = 4.0, 3.0, 1.0
"""Where a checkpoint asks for nothing else: squeezes and strokes come at 1 to 2 a second, of which 4 frames a second still show
the movement, and a window of 3 s has several."""
MAX_FRAME_TOKENS = 3072  # of a window: twelve frames of 256 tokens, which is what most towers make of a frame
MAX_WINDOW_BYTES = (
    16 * 2**20
)  # of decoded frames: half of packing.max_unit_mib, so that the windows of a unit share frames
USUAL_VIDEO = FrameSize(width_px=1280, height_px=720)


@dataclass(frozen=True, kw_only=True)
class WindowPlan:
    """A sampling that the checkpoint takes. frame_tokens: that stand for the frames of a window; tokens: all of its longest
    prompt; resized: the size to which the processor brings frames, None where it does not say."""

    sampling: Sampling
    frame_tokens: int
    tokens: int
    resized: FrameSize | None = None

    def text(self) -> str:
        """Tokens in words."""
        words = f", {self.tokens:,} with the longest question" if self.tokens > self.frame_tokens else ""
        return f"{self.frame_tokens:,} tokens a window{words}"

    def sentence(self, name: str, section: SamplingSection) -> str:
        """What a window is, and who said so."""
        chosen = [key for key in SamplingSection.model_fields if key not in section.given]
        by_model = (
            f" {name} does not say how it samples video: {', '.join(chosen)} are what its config and processor are made for, and "
            f"can be set (sampling.{chosen[0]}=...)."
            if chosen
            else ""
        )
        return f"A window is {self.sampling.text()}: {self.text()}.{by_model}"


def planned_window(
    resolved: ResolvedCheckpoint,
    section: SamplingSection,
    *,
    video: FrameSize | None = None,
    questions: Sequence[str] = (),
) -> WindowPlan:
    """The sampling of a checkpoint, with all that `section` sets, for videos of a size (1280x720 where None is known). What the
    checkpoint was trained with comes first where it says that; otherwise the number of frames is its config's where that is
    fixed, and size and rate are lowered until frames take MAX_FRAME_TOKENS and MAX_WINDOW_BYTES at most.

    Raises ConfigError where settings do not go together, ModelError where the checkpoint takes no such windows.
    """
    checkpoint = outlined_checkpoint(resolved)
    longest = max(questions, key=len, default="")
    stacking = FrameStacking.FRAMES
    if resolved.inputs is not None:
        sampling, stacking = section.over(resolved.inputs.sampling), resolved.inputs.frame_stacking
    else:
        sampling = _chosen(checkpoint, section, video or USUAL_VIDEO, question=longest)
    num_images = len(stacking.rows(sampling.frames_per_window))
    checkpoint.family.check_window(checkpoint, num_frames=num_images)
    plan = _measured(checkpoint, sampling, question=longest, num_images=num_images)
    most = checkpoint.family.max_tokens(checkpoint.model.config)
    if most is not None and plan.tokens > most:
        raise ModelError(
            f"model {checkpoint.name}: found windows of {num_images} frames, which are {plan.tokens:,} tokens with the "
            f"question, expected the {most:,} of its max_position_embeddings at most: it has never read so many. Lower "
            f"sampling.frames_per_second, sampling.window_seconds or the frame size."
        )
    return plan


def _most_frame_tokens(checkpoint: LoadedCheckpoint, plan: WindowPlan) -> int:
    """Tokens that frames may take at most in a prompt with as many others as this one."""
    most = checkpoint.family.max_tokens(checkpoint.model.config)
    return MAX_FRAME_TOKENS if most is None else min(MAX_FRAME_TOKENS, most - (plan.tokens - plan.frame_tokens))


def _chosen(checkpoint: LoadedCheckpoint, section: SamplingSection, video: FrameSize, *, question: str) -> Sampling:
    pattern = frame_pattern(
        checkpoint.family.frame_processor(checkpoint.processor),
        video,
        patch_px=_vision_number(checkpoint, "patch_size"),
        image_px=_vision_number(checkpoint, "image_size"),
    )
    for timing in _timings(checkpoint, section):
        timed = section.over(timing)
        checkpoint.family.check_window(checkpoint, num_frames=timed.frames_per_window)
        sampling = _sized(checkpoint, timed, section, pattern, video=video, question=question)
        plan = _measured(checkpoint, sampling, question=question)
        if plan.frame_tokens <= _most_frame_tokens(checkpoint, plan):
            return sampling
    return sampling  # as few frames as can be


def _timings(checkpoint: LoadedCheckpoint, section: SamplingSection) -> list[Sampling]:
    """Rates and windows that may be taken, the finest first; sizes in them mean nothing."""
    made_for = checkpoint.family.num_frames(checkpoint.model.config)
    if made_for is None:
        window = section.given.get("window_seconds", WINDOW_SECONDS)
        rates = [section.given.get("frames_per_second", rate) for rate in (FRAMES_PER_SECOND, 2.0, 1.0)]
        whole = [rate for rate in dict.fromkeys(rates) if _is_whole(window * rate)]
        return [_timing(rate, window) for rate in whole or rates[:1]]
    counts = [made_for.count]
    while not made_for.is_fixed and counts[-1] % 2 == 0 and counts[-1] >= 16:
        counts.append(counts[-1] // 2)
    return [_timing(*_rate_and_window(count, section)) for count in counts]


def _rate_and_window(num_frames: int, section: SamplingSection) -> tuple[float, float]:
    """A whole number of frames a second by which a window has so many frames and lasts about as long as others."""
    given = section.given
    if "frames_per_second" in given:
        return given["frames_per_second"], given.get("window_seconds", num_frames / given["frames_per_second"])
    if "window_seconds" in given:
        return num_frames / given["window_seconds"], given["window_seconds"]
    rate = min(range(1, 121), key=lambda rate: abs(math.log(num_frames / rate / WINDOW_SECONDS)))
    return float(rate), num_frames / rate


def _timing(rate: float, window: float) -> Sampling:
    steps = max(1, round(STRIDE_SECONDS * rate))
    stride = min(steps / rate, window)
    # Unchecked: other settings may be given beside these, with which they do go together.
    return Sampling.model_construct(frames_per_second=rate, window_seconds=window, stride_seconds=stride)


def _sized(
    checkpoint: LoadedCheckpoint,
    timing: Sampling,
    section: SamplingSection,
    pattern: FramePattern,
    *,
    video: FrameSize,
    question: str,
) -> Sampling:
    """The timing with the largest frames that stay within the limits, or with those that the section sets."""
    given = section.given
    if {"frame_width_px", "frame_height_px"} <= given.keys():
        return timing
    size = pattern.size
    if pattern.keeps_aspect:
        made = _measured(checkpoint, _with_size(timing, video, section), question=question).resized
        size = made if made is not None and made.pixels < size.pixels else size  # more would be decoded for nothing
    room = MAX_WINDOW_BYTES / (size.pixels * 3 * timing.frames_per_window)
    if room < 1 and not pattern.is_exact:
        size = smaller(pattern, size, share=room)
    sampling = _with_size(timing, size, section)
    if not pattern.keeps_aspect:
        return sampling
    plan = _measured(checkpoint, sampling, question=question)
    tokens, most = plan.frame_tokens, _most_frame_tokens(checkpoint, plan)
    while tokens > most > 0:
        size = smaller(pattern, size, share=min(0.95, most / tokens))
        fewer = _measured(checkpoint, _with_size(timing, size, section), question=question).frame_tokens
        if fewer >= tokens:
            break  # its tokens do not depend on the size
        sampling, tokens = _with_size(timing, size, section), fewer
    return sampling


def _with_size(timing: Sampling, size: FrameSize, section: SamplingSection) -> Sampling:
    sides = {"frame_width_px": size.width_px, "frame_height_px": size.height_px}
    return Sampling.model_validate({**timing.model_dump(), **sides, **section.given})


def _measured(
    checkpoint: LoadedCheckpoint, sampling: Sampling, *, question: str, num_images: int | None = None
) -> WindowPlan:
    """Tokens of a window, as the processor makes them of black frames. Raises ModelError where it takes none of that size."""
    shape = (num_images or sampling.frames_per_window, sampling.frame_height_px, sampling.frame_width_px, 3)
    try:
        inputs = checkpoint.family.window_processor(checkpoint).tensors(
            [np.zeros(shape, np.uint8)], question=question, frames_per_second=sampling.frames_per_second
        )
        frame_tokens, tokens = checkpoint.family.num_tokens(checkpoint, inputs)
        resized = checkpoint.family.resized(checkpoint.processor, inputs)
    except LOADING_ERRORS as error:
        raise ModelError(
            f"model {checkpoint.name} takes no windows of {sampling.text()}: {type(error).__name__}: {error}. Set the sampling "
            f"section to what it takes, or give another checkpoint."
        ) from error
    return WindowPlan(sampling=sampling, frame_tokens=frame_tokens, tokens=tokens, resized=resized)


def _vision_number(checkpoint: LoadedCheckpoint, name: str) -> int | None:
    config = checkpoint.model.config
    found = getattr(getattr(config, "vision_config", config), name, None)
    return found if isinstance(found, int) and found > 0 else None


def _is_whole(number: float) -> bool:
    return round(number) >= 1 and abs(number - round(number)) < 1e-6
