"""The facts that a plan is made from: sizes of a checkpoint's parts, what a window keeps in memory, how far its looks are."""

from pathlib import Path

import numpy as np

from nrray.errors import ModelError
from nrray.models.checkpoint import load_checkpoint
from nrray.models.config import Dtype
from nrray.models.looks import read_looks, tower_features
from nrray.models.parts import ModelParts, Part, checkpoint_parts
from nrray.models.resolved import ResolvedCheckpoint
from nrray.train.examples import examples_of
from nrray.train.frame_store import FrameStore, read_frame_of_sample, store_file, whole_windows
from nrray.train.job import FinetuneJob
from nrray.train.trainee.window_inputs import WindowInputs
from nrray.train.training_plan import LAST_BLOCKS, PartSizes

LOOKED_AT = 96  # windows, over all cases: the distance's median moves by less than a tenth with more


def part_sizes(parts: ModelParts) -> PartSizes:
    """Parameters of each part of a model."""
    try:
        names = parts.last_blocks(LAST_BLOCKS)
    except ModelError:  # its blocks cannot be told apart, or there are fewer
        last_blocks = None
    else:
        last_blocks = sum(p.numel() for name in names for p in parts.model.get_submodule(name).parameters())
    return PartSizes(
        tower=parts.num_parameters(Part.TOWER),
        last_blocks=last_blocks,
        projector=parts.num_parameters(Part.PROJECTOR),
        language_model=parts.num_parameters(Part.LANGUAGE_MODEL),
    )


def start_facts(start: ResolvedCheckpoint) -> PartSizes:
    """Of a checkpoint, of which only the config is read. Raises ModelError."""
    return part_sizes(checkpoint_parts(start))


def looks_distance(job: FinetuneJob) -> float | None:
    """The median distance of windows to train on from those that the checkpoint was trained on, 1 is as far as held-out ones of
    its own making; None where the checkpoint does not say. Raises DataError, ModelError."""
    if not isinstance(job.start, ResolvedCheckpoint):
        return None
    looks = read_looks(job.start.folder)
    if looks is None:
        return None
    execution = job.execution.model_copy(update={"dtype": Dtype.AUTO})
    checkpoint = load_checkpoint(job.start, execution=execution)
    inputs = WindowInputs(
        processor=checkpoint.family.window_processor(checkpoint),
        question=job.question,
        frame_stacking=job.frame_stacking,
        frames_per_second=job.sampling.frames_per_second,
    )
    folder, names = Path(job.store), [chunk.name for chunk in job.chunks]
    whole = [
        whole_windows(read_frame_of_sample(store_file(folder, name)), job.sampling.frames_per_window) for name in names
    ]
    examples = examples_of(job.chunks, whole, "train", job.sampling)
    store = FrameStore(folder, names, frames_per_window=job.sampling.frames_per_window)
    rows = np.linspace(0, len(examples) - 1, min(LOOKED_AT, len(examples))).astype(int)
    windows = (inputs(store.window(int(examples.chunk[row]), int(examples.start[row]))[None]) for row in rows)
    features = tower_features(checkpoint, windows, tower=checkpoint.family.tower(checkpoint.model))
    return round(float(np.median(looks.distances(features))), 2)
