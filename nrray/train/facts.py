"""The facts that a plan is made from: sizes of a checkpoint's parts, what a window keeps in memory, how far its looks are."""

import numpy as np
from transformers import AutoConfig

from nrray.errors import ModelError
from nrray.models.checkpoint import load_checkpoint
from nrray.models.config import TOWER_BLOCKS
from nrray.models.frame_stacking import FrameStacking
from nrray.models.looks import read_looks
from nrray.models.parts import Part, checkpoint_parts
from nrray.models.resolved import ResolvedCheckpoint
from nrray.models.tower_features import tower_features
from nrray.sampling import Sampling
from nrray.train.job import FinetuneJob
from nrray.train.run import training_data
from nrray.train.trainee.prepared import QUESTION
from nrray.train.trainee.window_inputs import WindowInputs
from nrray.train.training_plan import PartSizes

LOOKED_AT = 96  # windows, over all cases: seconds on a CPU
_BYTES_A_TOKEN = 34  # and unit of width, that a layer of a transformer keeps in 16 bits (Korthikanti et al. 2022)


def part_sizes(start: ResolvedCheckpoint) -> PartSizes:
    """Parameters of each part of a checkpoint, of which only the config is read. Raises ModelError."""
    parts = checkpoint_parts(start)
    try:
        names = parts.last_blocks(TOWER_BLOCKS)
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


def activation_bytes(start: ResolvedCheckpoint, sampling: Sampling, *, bytes_per_weight: int) -> int | None:
    """An estimate of what the layers of a checkpoint's transformers keep of one window for the backward pass; None where its
    config does not tell width, depth and patches. Prompt and attention's scores are not counted."""
    config = AutoConfig.from_pretrained(start.folder, local_files_only=True, trust_remote_code=False)
    vision = getattr(config, "vision_config", config)
    patch = getattr(vision, "patch_size", None)
    depth = getattr(vision, "num_hidden_layers", None) or getattr(vision, "depth", None)
    if not isinstance(patch, int) or not isinstance(depth, int):
        return None
    frames = sampling.frames_per_window // max(1, getattr(vision, "temporal_patch_size", 1))
    patches = frames * (sampling.frame_width_px // patch) * (sampling.frame_height_px // patch)
    kept: int = patches * vision.hidden_size * depth
    text = config.get_text_config()
    if text is not config:
        merged = max(1, getattr(vision, "spatial_merge_size", 1)) ** 2
        kept += patches // merged * text.hidden_size * text.num_hidden_layers
    return _BYTES_A_TOKEN * kept * bytes_per_weight // 2


def looks_distance(job: FinetuneJob) -> float | None:
    """The median distance of windows to train on from those that the checkpoint was trained on, 1 is as far as held-out ones of
    its own making; None where the checkpoint does not say. Raises DataError, ModelError."""
    if not isinstance(job.start, ResolvedCheckpoint):
        return None
    looks = read_looks(job.start.folder)
    if looks is None:
        return None
    checkpoint, given = load_checkpoint(job.start, execution=job.execution), job.start.inputs
    inputs = WindowInputs(
        processor=checkpoint.family.window_processor(checkpoint),
        question=given.prompt if given is not None else QUESTION,
        frame_stacking=given.frame_stacking if given is not None else FrameStacking.FRAMES,
        frames_per_second=job.sampling.frames_per_second,
    )
    data = training_data(job)
    train = data.train
    rows = np.linspace(0, len(train) - 1, min(LOOKED_AT, len(train))).astype(int)
    windows = (inputs(data.store.window(int(train.chunk[row]), int(train.start[row]))[None]) for row in rows)
    features = tower_features(checkpoint, windows)
    return round(float(np.median(looks.distances(features))), 2)
