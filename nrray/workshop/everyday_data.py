"""The base model's windows: everyday scenes drawn by worker processes, with their captions, and stored."""

import collections
import concurrent.futures
import functools
import itertools
import json
import multiprocessing
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from nrray.models.strategies.yes_no import INSTRUCTION
from nrray.sampling import Sampling
from nrray.types import US_PER_SECOND, Frames
from nrray.workshop.blank import blank_frames
from nrray.workshop.dialogue import yes_or_no
from nrray.workshop.everyday import Scene, everyday_scene
from nrray.workshop.everyday_captions import (
    BLANK_CAPTION,
    NOTHING,
    asked_of,
    caption_of,
    claims_of,
    facts_of,
    grammar_sentences,
    told_facts,
)
from nrray.workshop.everyday_drawing import SceneDrawer
from nrray.workshop.vlm import CAPTION_PROMPT
from nrray.workshop.window_store import LabelledFrames, WindowSet, open_windows, write_windows

WINDOWS_PER_SCENE = 4  # each a frame after the one before
_BLANK_FRAMES = 200
_CAPTION_SHARE = 0.6  # of the questions
_TRAIN, _TEST = 0, 1  # of a scene's seed


@dataclass(frozen=True, kw_only=True)
class EverydayScenes:
    """How many scenes there are to train on and to measure on. Their cases are numbered in this order, then the blank one."""

    num_train: int
    num_test: int
    seed: int

    @property
    def train_cases(self) -> list[int]:
        """Blank frames among them."""
        return [*range(self.num_train), self.num_train + self.num_test]

    @property
    def test_cases(self) -> list[int]:
        return list(range(self.num_train, self.num_train + self.num_test))


class EverydayLessons:
    """Three in five questions ask for the caption, the others for one fact, to be answered by yes or no."""

    def drawn(self, windows: WindowSet, row: int, rng: np.random.Generator) -> tuple[str, str]:
        """As `Lessons` says."""
        caption = str(windows.captions[row])
        if rng.random() < _CAPTION_SHARE:
            return CAPTION_PROMPT, caption
        asked = asked_of(claims_of(caption) or NOTHING, rng)
        return f"{asked.question} {INSTRUCTION}", yes_or_no(asked.is_true)


def spoken_sentences() -> Iterator[str]:
    """All that is said in lessons, for the tokenizer's vocabulary."""
    for sentence in grammar_sentences():
        yield f"{sentence} {INSTRUCTION}" if sentence.endswith("?") else sentence
    for answer in ("yes", "no", "Yes", "No", "Yes.", "No."):
        yield f"{INSTRUCTION} {answer}"
        yield answer  # as a turn of its own it has no blank before it
    yield CAPTION_PROMPT


def example_scene() -> Scene:
    """One with two hands, for people who read a card."""
    scenes = (everyday_scene(0, _TEST, number) for number in itertools.count())
    return next(scene for scene in scenes if len(scene.hands) == 2)


def stored_scenes(folder: Path, scenes: EverydayScenes, *, sampling: Sampling, num_workers: int) -> WindowSet:
    """Windows of all scenes; those of an earlier run with the same settings are opened again."""
    settings = json.dumps([vars(scenes), sampling.model_dump(mode="json")])
    note = folder / "settings.json"
    if note.is_file() and note.read_text(encoding="utf-8") == settings:
        return open_windows(folder)
    shutil.rmtree(folder, ignore_errors=True)
    windows = write_windows(drawn_chunks(scenes, sampling=sampling, num_workers=num_workers), folder)
    note.write_text(settings, encoding="utf-8")
    return windows


def with_fact_targets(windows: WindowSet) -> WindowSet:
    """The windows with single facts of their captions as targets: (W, 42)."""
    told = {caption: told_facts(claims_of(caption) or NOTHING) for caption in set(windows.captions.tolist())}
    return replace(windows, targets=np.stack([told[caption] for caption in windows.captions.tolist()]))


def drawn_chunks(scenes: EverydayScenes, *, sampling: Sampling, num_workers: int) -> Iterator[LabelledFrames]:
    """All scenes from worker processes, then the blank frames."""
    seeds = [
        *((scenes.seed, _TRAIN, number) for number in range(scenes.num_train)),
        *((scenes.seed, _TEST, number) for number in range(scenes.num_test)),
    ]
    draw = functools.partial(scene_chunk, sampling=sampling)
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(
        max_workers=num_workers, mp_context=spawn, initializer=cv2.setNumThreads, initargs=(1,)
    ) as pool:
        waiting: collections.deque[concurrent.futures.Future[LabelledFrames]] = collections.deque()
        for case, seed in enumerate(seeds):
            waiting.append(pool.submit(draw, case, seed))
            if len(waiting) >= 32 * num_workers:  # pixels that wait take memory
                yield waiting.popleft().result()
            if (case + 1) % 1000 == 0:
                print(f"scene {case + 1} of {len(seeds)}", flush=True)
        while waiting:
            yield waiting.popleft().result()
    yield blank_chunk(scenes, sampling=sampling)


def scene_chunk(case: int, seed: tuple[int, ...], *, sampling: Sampling) -> LabelledFrames:
    """Some windows of one scene, whose facts hold all along."""
    scene = everyday_scene(*seed)
    drawer = SceneDrawer(scene, size_px=sampling.frame_width_px)
    num_frames = sampling.frames_per_window + WINDOWS_PER_SCENE - 1
    starts = np.arange(WINDOWS_PER_SCENE, dtype=np.int64)
    step_us = round(US_PER_SECOND / sampling.frames_per_second)
    return LabelledFrames(
        case=case,
        frames=Frames(
            pixels=np.stack([drawer.frame(number / sampling.frames_per_second) for number in range(num_frames)]),
            pts_us=np.arange(num_frames, dtype=np.int64) * step_us,
            window_frames=starts[:, None] + np.arange(sampling.frames_per_window),
            window_start_us=starts * step_us,
            window_end_us=(starts + sampling.frames_per_window) * step_us,
            frames_per_second=sampling.frames_per_second,
        ),
        targets=np.zeros((WINDOWS_PER_SCENE, 0), dtype=bool),
        captions=[caption_of(facts_of(scene))] * WINDOWS_PER_SCENE,
    )


def blank_chunk(scenes: EverydayScenes, *, sampling: Sampling) -> LabelledFrames:
    """Frames without anything to see, and a caption that says so."""
    frames = blank_frames(sampling, num_frames=_BLANK_FRAMES, seed=scenes.seed)
    num_windows = len(frames.window_frames)
    return LabelledFrames(
        case=scenes.num_train + scenes.num_test,
        frames=frames,
        targets=np.zeros((num_windows, 0), dtype=bool),
        captions=[BLANK_CAPTION] * num_windows,
    )
