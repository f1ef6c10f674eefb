"""How far windows of each renderer, and of real videos, are from those that a model of nrray.workshop was trained on.

    python tests/benchmarks/looks.py --model DIR --frames DIR.work/frames [--videos FOLDER]

1 is as far as held-out windows of its own training. Prints a line for each renderer and part, and for each video: the median and
the 5th and 95th percentiles over windows. `FAR` of nrray.train.training_plan stands between the two groups.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from nrray.decode import DecodeConfig, FrameRequest, sample_frames
from nrray.labels import read_label_set
from nrray.models.checkpoint import load_checkpoint
from nrray.models.config import CheckpointChoice, Execution
from nrray.models.looks import read_looks
from nrray.models.resolved import resolve_checkpoint
from nrray.models.tower_features import tower_features
from nrray.sampling import unit_samples_us
from nrray.train.trainee.window_inputs import WindowInputs
from nrray.workshop.embedded_data import Part, numbers_of, source_cases, stored_windows
from nrray.workshop.train_embedded import CASES, SEED
from nrray.workshop.window_store import case_subset

MOST_WINDOWS = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--frames", type=Path, required=True)
    parser.add_argument("--videos", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    resolved = resolve_checkpoint(CheckpointChoice(path=str(arguments.model)))
    looks, checkpoint = (
        read_looks(resolved.folder),
        load_checkpoint(resolved, execution=Execution(num_threads=arguments.threads)),
    )
    assert looks is not None, f"{arguments.model} has no looks.safetensors"
    assert resolved.inputs is not None, f"{arguments.model} does not say which inputs it takes"
    sampling = resolved.inputs.sampling
    inputs = WindowInputs(
        processor=checkpoint.family.window_processor(checkpoint),
        question=resolved.inputs.prompt,
        frame_stacking=resolved.inputs.frame_stacking,
        frames_per_second=sampling.frames_per_second,
    )

    def line(name: str, windows: np.ndarray) -> None:
        made = (inputs(window[None]) for window in windows)
        found = looks.distances(tower_features(checkpoint, made))
        low, middle, high = np.percentile(found, [5, 50, 95])
        print(f"{name:32} {middle:6.2f}  ({low:.2f} to {high:.2f})  {len(found)} windows", flush=True)

    sources = source_cases(num_cases=CASES, case_seconds=60.0, seed=SEED)
    stored = stored_windows(arguments.frames, sources=sources, sampling=sampling, label_set=read_label_set())
    for renderer in dict.fromkeys(source.simulation.renderer for source in sources):
        for part in Part:
            numbers = numbers_of(sources, part, renderer=renderer)
            if numbers := [number for number in numbers if number < len(sources)]:
                mine = case_subset(stored, numbers)
                rows = np.linspace(0, len(mine.targets) - 1, MOST_WINDOWS).astype(int)
                line(f"{renderer.value}, {part.value}", mine.batch(rows).numpy())
    videos = [file for file in arguments.videos.rglob("*.m*") if file.suffix != ".md"] if arguments.videos else []
    for video in sorted(videos):
        request = FrameRequest(
            uri=str(video),
            sample_us=unit_samples_us(sampling, start_us=0, first_window=0, num_windows=2),
            width_px=sampling.frame_width_px,
            height_px=sampling.frame_height_px,
            video_end_us=10_000_000,
        )
        sampled = sample_frames(request, DecodeConfig())
        rows = sampled.frame_of_sample[: sampling.frames_per_window]
        if (rows >= 0).all():
            line(video.name[:32], sampled.pixels[rows][None])


if __name__ == "__main__":
    main()
