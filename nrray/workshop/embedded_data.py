"""The embedded model's windows: rendered, encoded to H.264, decoded as in every run, and stored.

It trains on a few seconds of each of thousands of cases: on whole videos of 280 cases the same network learned the cases
by heart (F1 0.95 on their windows, 0.62 on others'). It is measured on whole videos. The parts of the split share no
family of appearance.
"""

import collections
import concurrent.futures
import contextlib
import json
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nrray.archive.annotations import window_targets
from nrray.decode import DecodeConfig, FrameRequest, sample_frames
from nrray.labels import LabelSet
from nrray.sampling import Sampling, unit_samples_us
from nrray.simulate import (
    Camera,
    FrameRenderer,
    Renderer,
    SimulateConfig,
    SimulatedCase,
    camera_spans,
    render_part,
    simulated_case,
)
from nrray.simulate.appearance import FAMILIES
from nrray.types import US_PER_SECOND, Frames
from nrray.workshop.blank import blank_frames
from nrray.workshop.captions import caption_of, window_facts
from nrray.workshop.window_store import LabelledFrames, WindowSet, open_windows, write_windows

VALIDATION_FAMILIES = ("maple",)
TEST_FAMILIES = ("oak", "pine")
TRAINED_RENDERERS = (Renderer.FLAT, Renderer.SOLID, Renderer.THERMAL)
UNSEEN_RENDERER = Renderer.TEXTURED
BLANK_CAPTION = "Nothing is seen."
VALIDATION_CASES, TEST_CASES = 10, {Renderer.FLAT: 40, Renderer.SOLID: 20, Renderer.THERMAL: 20, UNSEEN_RENDERER: 32}
CLIP_SECONDS = 6.0  # 13 windows, each a quarter of a second after the one before
PASSER_CLIPS = 1 / 3  # of the clips are of places where somebody comes by
_BLANK_FRAMES = 1000


class Part(str, Enum):
    """What a case is for."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"  # a renderer and other families of appearance than those that were trained on
    UNSEEN = "unseen"  # a renderer that took no part


@dataclass(frozen=True, kw_only=True)
class SourceCase:
    """A simulated case, and what it is for. `number` is its own among those of all renderers."""

    number: int
    simulation: SimulateConfig
    index: int
    part: Part


def source_cases(*, num_cases: int, case_seconds: float, seed: int) -> list[SourceCase]:
    """`num_cases` cases of each trained renderer, seven of ten families to train, and cases of the unseen one. Case k of two
    renderers has the same truth, so that each has a seed of its own."""
    sources: list[SourceCase] = []
    for offset, renderer in enumerate((*TRAINED_RENDERERS, UNSEEN_RENDERER)):
        simulation = SimulateConfig(
            num_cases=num_cases,
            seed=seed + offset,
            renderer=renderer,
            case_seconds=case_seconds,
            videos_per_case=1,  # one more case teaches more than one more camera
            frames_per_second=4,  # as sampled: drawing takes most of the time
            appearance=FAMILIES,
        )
        wanted = {Part.TRAIN: num_cases, Part.VALIDATION: VALIDATION_CASES, Part.TEST: TEST_CASES[renderer]}
        if renderer is UNSEEN_RENDERER:
            wanted = {Part.UNSEEN: TEST_CASES[renderer]}
        for index in range(num_cases):
            part = _part(FAMILIES[index % len(FAMILIES)]) if renderer is not UNSEEN_RENDERER else Part.UNSEEN
            if wanted[part]:
                wanted[part] -= 1
                number = len(sources)
                sources.append(SourceCase(number=number, simulation=simulation, index=index, part=part))
    return sources


def _part(family: str) -> Part:
    if family in VALIDATION_FAMILIES:
        return Part.VALIDATION
    return Part.TEST if family in TEST_FAMILIES else Part.TRAIN


def numbers_of(sources: Sequence[SourceCase], part: Part, *, renderer: Renderer | None = None) -> list[int]:
    """Numbers of the cases of a part; the blank ones are trained on too. renderer: of one alone."""
    numbers = [
        source.number for source in sources if source.part is part and renderer in (None, source.simulation.renderer)
    ]
    return [*numbers, len(sources)] if part is Part.TRAIN else numbers


def stored_windows(
    folder: Path, *, sources: Sequence[SourceCase], sampling: Sampling, label_set: LabelSet
) -> WindowSet:
    """Windows of all cases; those of an earlier run with the same settings are opened again."""
    simulations = {source.simulation.renderer.value: source.simulation.model_dump(mode="json") for source in sources}
    settings = json.dumps([len(sources), simulations, sampling.model_dump(mode="json"), label_set.digest])
    note = folder / "settings.json"
    if note.is_file() and note.read_text(encoding="utf-8") == settings:
        return open_windows(folder)
    shutil.rmtree(folder, ignore_errors=True)
    windows = write_windows(rendered_chunks(sources, sampling=sampling, label_set=label_set), folder)
    note.write_text(settings, encoding="utf-8")
    return windows


def rendered_chunks(
    sources: Sequence[SourceCase], *, sampling: Sampling, label_set: LabelSet
) -> Iterator[LabelledFrames]:
    """A clip of every training case, whole videos of the others, and the blank ones, from worker processes."""
    spawn, num_workers = multiprocessing.get_context("spawn"), len(os.sched_getaffinity(0))
    with concurrent.futures.ProcessPoolExecutor(max_workers=num_workers, mp_context=spawn) as pool:
        waiting: collections.deque[concurrent.futures.Future[LabelledFrames]] = collections.deque()
        for source in sources:
            waiting.append(pool.submit(case_chunk, source, sampling, label_set))
            if len(waiting) >= 16 * num_workers:  # pixels that wait take memory
                yield waiting.popleft().result()
            if source.number % 500 == 499:
                print(f"case {source.number + 1} of {len(sources)}", flush=True)
        while waiting:
            yield waiting.popleft().result()
    yield blank_chunk(len(sources), seed=sources[0].simulation.seed, sampling=sampling, label_set=label_set)


def case_chunk(source: SourceCase, sampling: Sampling, label_set: LabelSet) -> LabelledFrames:
    """A clip at a random place of a case's video, or all of it, through the decoder that every run uses."""
    simulation = source.simulation
    case = simulated_case(simulation, source.index)
    camera = case.cameras[0]
    first_frame, num_frames = 0, camera.num_frames
    if source.part is Part.TRAIN:
        num_frames = round(CLIP_SECONDS * simulation.frames_per_second)
        first_frame = clip_place(case, num_frames, np.random.default_rng([simulation.seed, source.index, 2]))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "part.mp4"
        render_part(case, 0, file, first_frame=first_frame, num_frames=num_frames)
        return part_chunk(
            case,
            camera,
            file=file,
            index=source.number,
            offset_us=first_frame * US_PER_SECOND // simulation.frames_per_second,
            duration_us=num_frames * US_PER_SECOND // simulation.frames_per_second,
            sampling=sampling,
            label_set=label_set,
        )


def clip_place(case: SimulatedCase, num_frames: int, random: np.random.Generator) -> int:
    """The clip's first frame: anywhere, but every third clip where somebody comes by, whom one in eight would show."""
    last = case.cameras[0].num_frames - num_frames
    place = int(random.integers(last + 1))
    if random.random() < PASSER_CLIPS and case.scenario.passings:
        passing = case.scenario.passings[random.integers(len(case.scenario.passings))]
        middle_s = (passing.start_s + passing.end_s) / 2 - case.cameras[0].start_us / US_PER_SECOND
        place = round((middle_s - random.uniform(0, CLIP_SECONDS)) * case.config.frames_per_second)
    return min(max(place, 0), last)


def part_chunk(
    case: SimulatedCase,
    camera: Camera,
    *,
    file: Path,
    index: int,
    offset_us: int,
    duration_us: int,
    sampling: Sampling,
    label_set: LabelSet,
) -> LabelledFrames:
    """All windows, one at every frame of the grid, of a part that starts at `offset_us` of its camera's video."""
    dense = sampling.model_copy(update={"stride_seconds": 1 / sampling.frames_per_second})
    window_us = round(sampling.window_seconds * US_PER_SECOND)
    step_us = round(US_PER_SECOND / sampling.frames_per_second)
    num_windows = (duration_us - window_us) // step_us + 1
    request = FrameRequest(
        uri=str(file),
        sample_us=unit_samples_us(dense, start_us=0, first_window=0, num_windows=num_windows),
        width_px=sampling.frame_width_px,
        height_px=sampling.frame_height_px,
        video_end_us=duration_us,
    )
    sampled = sample_frames(request, DecodeConfig())
    starts = offset_us + np.arange(num_windows, dtype=np.int64) * step_us
    window_frames = sampled.frame_of_sample[np.arange(num_windows)[:, None] + np.arange(sampling.frames_per_window)]
    window_shares = passers_shares(case, (offset_us + sampled.pts_us) / US_PER_SECOND)[window_frames].mean(axis=1)
    activity, start_us, end_us = zip(*camera_spans(case, camera), strict=True)
    truth = pa.table({"activity": activity, "start_us": start_us, "end_us": end_us})
    return LabelledFrames(
        case=index,
        frames=Frames(
            pixels=sampled.pixels,
            pts_us=sampled.pts_us,
            window_frames=window_frames,
            window_start_us=starts,
            window_end_us=starts + window_us,
            frames_per_second=sampling.frames_per_second,
        ),
        targets=window_targets(truth, label_set.activities, starts, starts + window_us),
        captions=[
            caption_of(
                window_facts(
                    case.scenario, start / US_PER_SECOND, (start + window_us) / US_PER_SECOND, passers_share=share
                )
            )
            for start, share in zip((starts + camera.start_us).tolist(), window_shares.tolist(), strict=True)
        ],
    )


def passers_shares(case: SimulatedCase, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) shares of the first camera's picture that passers cover at (N,) seconds of its video."""
    shares = np.zeros(len(seconds))
    times = seconds + case.cameras[0].start_us / US_PER_SECOND
    busy = [i for i, t in enumerate(times) if any(p.start_s <= t < p.end_s for p in case.scenario.passings)]
    if busy:  # to open a scene takes longer than to look at it
        with contextlib.closing(FrameRenderer(case, 0)) as renderer:
            shares[busy] = [renderer.passers_share(float(seconds[i])) for i in busy]
    return shares


def blank_chunk(number: int, *, seed: int, sampling: Sampling, label_set: LabelSet) -> LabelledFrames:
    """Frames of one colour and some noise: a model that has seen none takes them for whatever is frequent."""
    frames = blank_frames(sampling, num_frames=_BLANK_FRAMES, seed=seed)
    num_windows = len(frames.window_frames)
    return LabelledFrames(
        case=number,
        frames=frames,
        targets=np.zeros((num_windows, len(label_set.names)), dtype=bool),
        captions=[BLANK_CAPTION] * num_windows,
    )


def data_paragraph(sources: Sequence[SourceCase], sampling: Sampling) -> str:
    """The scenes, and how they became frames."""
    simulation = sources[0].simulation
    count = {part: len([source for source in sources if source.part is part]) for part in Part}
    trained = ", ".join(renderer.value for renderer in TRAINED_RENDERERS)
    return (
        f"{CLIP_SECONDS:g} s of each of {count[Part.TRAIN]} cases of `nrray.simulate` to train (renderers {trained}; seeds from "
        f"{simulation.seed} on), a\nthird of them where somebody comes by; whole videos of {simulation.case_seconds:g} s of "
        f"{count[Part.VALIDATION]} cases for thresholds and\n{count[Part.TEST]} to measure, and {count[Part.UNSEEN]} of the "
        f"renderer {UNSEEN_RENDERER.value}, which took no part in anything else. All are drawn at\n{simulation.width_px}x"
        f"{simulation.height_px} px and {simulation.frames_per_second:g} frames/s, encoded as H.264 (CRF {simulation.crf} and "
        f"worse) and read back by the decoder\nof every run at {sampling.frames_per_second:g} frames/s and "
        f"{sampling.frame_width_px}x{sampling.frame_height_px} px. Training, validation and test share no family of appearance. "
        f"Truth is exact: it\nis what was drawn."
    )
