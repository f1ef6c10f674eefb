"""How well a model's looks tell drawn from real videos, and videos of its own making from others.

    python tests/benchmarks/looks.py --model DIR --frames DIR.work/frames [--videos FOLDER]

A line per renderer and part, and one for all real videos: the medians of their cases (1 is as far as held-out cases of the
model's own making), how many are outside its domain, and the AUC against held-out cases of the renderers that it learned from.
Then shares that are outside by looks that are fitted to few cases of one renderer, as `nrray finetune` leaves them, over random
choices of these.
"""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nrray.decode import DecodeConfig, FrameRequest, sample_frames
from nrray.decode.probe import probe_video
from nrray.labels import read_label_set
from nrray.models.checkpoint import load_checkpoint
from nrray.models.config import CheckpointChoice, Execution
from nrray.models.looks import Looks, fitted_looks, read_looks
from nrray.models.resolved import resolve_checkpoint
from nrray.models.tower_features import tower_features
from nrray.sampling import Sampling, unit_samples_us, unit_window_samples, window_count
from nrray.train.trainee.window_inputs import WindowInputs
from nrray.workshop.embedded_data import Part, numbers_of, source_cases, stored_windows
from nrray.workshop.train_embedded import CASES, SEED
from nrray.workshop.window_store import case_subset

CASE_WINDOWS, VIDEO_WINDOWS = 8, 40
TUNED_CASES = ((12, 6), (4, 2))  # to train, to validate
DRAWS = 20
REAL = "real videos"


@dataclass(frozen=True, kw_only=True)
class Group:
    """Windows of one making: features (N, D), cases (N,)."""

    features: NDArray[np.float32]
    cases: NDArray[np.int64]

    def medians(self, looks: Looks) -> NDArray[np.float32]:
        """Of each case."""
        found = looks.distances(self.features)
        return np.array([np.median(found[self.cases == case]) for case in np.unique(self.cases)], np.float32)

    def of(self, cases: Iterable[int]) -> "Group":
        mine = np.isin(self.cases, list(cases))
        return Group(features=self.features[mine], cases=self.cases[mine])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--frames", type=Path, required=True)
    parser.add_argument("--videos", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    resolved = resolve_checkpoint(CheckpointChoice(path=str(arguments.model)))
    looks = read_looks(resolved.folder)
    checkpoint = load_checkpoint(resolved, execution=Execution(num_threads=arguments.threads))
    assert looks is not None, f"{arguments.model} has no looks.safetensors"
    assert resolved.inputs is not None, f"{arguments.model} does not say which inputs it takes"
    sampling = resolved.inputs.sampling
    inputs = WindowInputs(
        processor=checkpoint.family.window_processor(checkpoint),
        question=resolved.inputs.prompt,
        frame_stacking=resolved.inputs.frame_stacking,
        frames_per_second=sampling.frames_per_second,
    )

    def group(windows: Iterable[NDArray[np.uint8]], cases: NDArray[np.int64]) -> Group:
        return Group(features=tower_features(checkpoint, (inputs(window[None]) for window in windows)), cases=cases)

    groups: dict[str, Group] = {}
    sources = source_cases(num_cases=CASES, case_seconds=60.0, seed=SEED)
    stored = stored_windows(arguments.frames, sources=sources, sampling=sampling, label_set=read_label_set())
    for renderer in dict.fromkeys(source.simulation.renderer for source in sources):
        for part in (Part.VALIDATION, Part.TEST, Part.UNSEEN):
            if numbers := numbers_of(sources, part, renderer=renderer):
                mine = case_subset(stored, numbers)
                rows = np.concatenate([_evenly(np.flatnonzero(mine.cases == number)) for number in numbers])
                groups[f"{renderer.value}, {part.value}"] = group(mine.batch(rows).numpy(), mine.cases[rows])
    if arguments.videos:
        groups[REAL] = group(*real_windows(arguments.videos, sampling))
    print(f"outside from {looks.far:.2f} on")
    held_out = np.concatenate(
        [g.medians(looks) for name, g in groups.items() if name.endswith((", validation", ", test"))]
    )
    for name, found in groups.items():
        print(line(name, found.medians(looks), looks, held_out), flush=True)
    for name in [name for name, found in groups.items() if name != REAL and len(np.unique(found.cases)) > 18]:
        for num_train, num_validation in TUNED_CASES:
            print(tuned_line(name, groups, num_train=num_train, num_validation=num_validation), flush=True)


def line(name: str, medians: NDArray[np.float32], looks: Looks, held_out: NDArray[np.float32]) -> str:
    """One group of cases in words."""
    low, middle, high = np.percentile(medians, [5, 50, 95])
    farther = float((medians[:, None] > held_out).mean())
    return (
        f"{name:24} {middle:5.2f} ({low:.2f} to {high:.2f})  outside {(medians >= looks.far).sum():3} of {len(medians):3}"
        f"  AUC {farther:.3f}"
    )


def tuned_line(name: str, groups: dict[str, Group], *, num_train: int, num_validation: int) -> str:
    """The shares that are outside by looks fitted to few cases of one group: of its other cases, and of each other group."""
    random, own = np.random.default_rng(0), groups[name]
    shares: dict[str, list[float]] = {}
    for _ in range(DRAWS):
        cases = random.permutation(np.unique(own.cases))
        train, held_out = own.of(cases[:num_train]), own.of(cases[num_train : num_train + num_validation])
        looks = fitted_looks(
            train.features, cases=train.cases, held_out=held_out.features, held_out_cases=held_out.cases
        )
        for other, found in {**groups, name: own.of(cases[num_train + num_validation :])}.items():
            shares.setdefault(other, []).append(float((found.medians(looks) >= looks.far).mean()))
    texts = ", ".join(f"{other} {np.mean(found):.2f}" for other, found in shares.items())
    return f"fitted to {num_train} + {num_validation} cases of {name}: outside are {texts}"


def real_windows(folder: Path, sampling: Sampling) -> tuple[list[NDArray[np.uint8]], NDArray[np.int64]]:
    """(F, H, W, 3) windows of all videos that have one, and the number of the video of each."""
    windows, cases = [], []
    for number, file in enumerate(sorted(file for file in folder.iterdir() if file.suffix != ".md")):
        video = probe_video(str(file), DecodeConfig())
        num_windows = int(window_count(sampling, np.array([video.duration_us]))[0])
        sampled = sample_frames(
            FrameRequest(
                uri=str(file),
                sample_us=unit_samples_us(sampling, start_us=video.start_us, first_window=0, num_windows=num_windows),
                width_px=sampling.frame_width_px,
                height_px=sampling.frame_height_px,
                video_end_us=video.start_us + video.duration_us,
            ),
            DecodeConfig(),
        )
        rows = sampled.frame_of_sample[unit_window_samples(sampling, num_windows)]
        whole = rows[(rows >= 0).all(axis=1)][: VIDEO_WINDOWS * max(1, len(rows) // VIDEO_WINDOWS)]
        for window in whole[:: max(1, len(whole) // VIDEO_WINDOWS)]:
            windows.append(sampled.pixels[window])
            cases.append(number)
    return windows, np.array(cases, np.int64)


def _evenly(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """CASE_WINDOWS of a case's windows, neither its first nor its last."""
    return rows[np.linspace(0, len(rows) - 1, CASE_WINDOWS + 2).astype(int)[1:-1]]


if __name__ == "__main__":
    main()
