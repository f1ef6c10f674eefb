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
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from nrray.archive.annotations import window_targets
from nrray.decode import DecodeConfig, FrameRequest, sample_frames
from nrray.labels import LabelSet
from nrray.sampling import Sampling, unit_samples_us
from nrray.simulate import (
    Camera,
    FrameRenderer,
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
BLANK_CAPTION = "Nothing is seen."
VALIDATION_CASES, TEST_CASES = 20, 40
CLIP_SECONDS = 6.0  # 13 windows, each a quarter of a second after the one before
PASSER_CLIPS = 1 / 3  # of the clips are of places where somebody comes by
_BLANK_FRAMES = 1000


def simulation_of(*, num_cases: int, case_seconds: float, seed: int) -> SimulateConfig:
    """Cases of all families in turn, one camera each: one more case teaches more than one more camera."""
    return SimulateConfig(
        num_cases=num_cases,
        seed=seed,
        case_seconds=case_seconds,
        videos_per_case=1,
        frames_per_second=4,  # as sampled: drawing takes most of the time
        appearance=FAMILIES,
    )


def split_cases(simulation: SimulateConfig) -> tuple[list[int], list[int], list[int]]:
    """Train, validation and test cases, by family of appearance: the parts share no colour, angle, light or noise."""
    families = [simulation.appearance[i % len(simulation.appearance)] for i in range(simulation.num_cases)]
    held_out = {*VALIDATION_FAMILIES, *TEST_FAMILIES}
    train = [i for i, family in enumerate(families) if family not in held_out]
    validation = [i for i, family in enumerate(families) if family in VALIDATION_FAMILIES]
    test = [i for i, family in enumerate(families) if family in TEST_FAMILIES]
    return [*train, simulation.num_cases], validation[:VALIDATION_CASES], test[:TEST_CASES]  # the last one is blank


def stored_windows(folder: Path, *, simulation: SimulateConfig, sampling: Sampling, label_set: LabelSet) -> WindowSet:
    """Windows of all cases; those of an earlier run with the same settings are opened again."""
    settings = json.dumps([simulation.model_dump(mode="json"), sampling.model_dump(mode="json"), label_set.digest])
    note = folder / "settings.json"
    if note.is_file() and note.read_text(encoding="utf-8") == settings:
        return open_windows(folder)
    shutil.rmtree(folder, ignore_errors=True)
    windows = write_windows(rendered_chunks(simulation, sampling=sampling, label_set=label_set), folder)
    note.write_text(settings, encoding="utf-8")
    return windows


def rendered_chunks(simulation: SimulateConfig, *, sampling: Sampling, label_set: LabelSet) -> Iterator[LabelledFrames]:
    """A clip of every training case, whole videos of the others, and the blank ones, from worker processes."""
    train, validation, test = split_cases(simulation)
    parts = [*((case, True) for case in train[:-1]), *((case, False) for case in (*validation, *test))]
    spawn, num_workers = multiprocessing.get_context("spawn"), len(os.sched_getaffinity(0))
    with concurrent.futures.ProcessPoolExecutor(max_workers=num_workers, mp_context=spawn) as pool:
        waiting: collections.deque[concurrent.futures.Future[LabelledFrames]] = collections.deque()
        for number, (case, is_clip) in enumerate(parts, start=1):
            waiting.append(pool.submit(case_chunk, simulation, case, is_clip, sampling, label_set))
            if len(waiting) >= 16 * num_workers:  # pixels that wait take memory
                yield waiting.popleft().result()
            if number % 500 == 0:
                print(f"case {number} of {len(parts)}", flush=True)
        while waiting:
            yield waiting.popleft().result()
    yield blank_chunk(simulation, sampling, label_set)


def case_chunk(
    simulation: SimulateConfig, index: int, is_clip: bool, sampling: Sampling, label_set: LabelSet
) -> LabelledFrames:
    """A clip at a random place of a case's video, or all of it, through the decoder that every run uses."""
    case = simulated_case(simulation, index)
    camera = case.cameras[0]
    first_frame, num_frames = 0, camera.num_frames
    if is_clip:
        num_frames = round(CLIP_SECONDS * simulation.frames_per_second)
        first_frame = clip_place(case, num_frames, np.random.default_rng([simulation.seed, index, 2]))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "part.mp4"
        render_part(case, 0, file, first_frame=first_frame, num_frames=num_frames)
        return part_chunk(
            case,
            camera,
            file=file,
            index=index,
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
    with contextlib.closing(FrameRenderer(case, 0)) as renderer:
        shares = [renderer.passers_share(t) for t in ((offset_us + sampled.pts_us) / US_PER_SECOND).tolist()]
    window_shares = np.array(shares)[window_frames].mean(axis=1)
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


def blank_chunk(simulation: SimulateConfig, sampling: Sampling, label_set: LabelSet) -> LabelledFrames:
    """Frames of one colour and some noise: a model that has seen none takes them for whatever is frequent."""
    frames = blank_frames(sampling, num_frames=_BLANK_FRAMES, seed=simulation.seed)
    num_windows = len(frames.window_frames)
    return LabelledFrames(
        case=simulation.num_cases,
        frames=frames,
        targets=np.zeros((num_windows, len(label_set.names)), dtype=bool),
        captions=[BLANK_CAPTION] * num_windows,
    )


def data_paragraph(simulation: SimulateConfig, sampling: Sampling) -> str:
    train, validation, test = split_cases(simulation)
    return (
        f"{CLIP_SECONDS:g} s of each of {len(train) - 1} cases of `nrray.simulate` (seed {simulation.seed}) to train, a third "
        f"of them where somebody comes by, whole\nvideos of {simulation.case_seconds:g} s of {len(validation)} cases for "
        f"thresholds and {len(test)} to measure, "
        f"drawn at {simulation.width_px}x{simulation.height_px} px and {simulation.frames_per_second:g} frames/s, encoded "
        f"as\nH.264 (CRF {simulation.crf} and worse) and read back by the decoder of every run at "
        f"{sampling.frames_per_second:g} frames/s and {sampling.frame_width_px}x{sampling.frame_height_px} px. The three "
        f"share no family\nof appearance. Truth is exact: it is what was drawn."
    )
