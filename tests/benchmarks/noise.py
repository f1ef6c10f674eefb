"""A training on noise, whose making costs nothing: for the rates of loops."""

from pathlib import Path

import numpy as np

from nrray.archive.splits import TrainedSplit
from nrray.decode.request import DecodeBackend, SampledFrames
from nrray.labels import read_label_set
from nrray.models import ModelConfig, resolve_checkpoint
from nrray.models.config import LanguageModelLearning, LoraSection, ResolvedParts, TowerLearning
from nrray.sampling import Sampling
from nrray.train.examples import Chunk
from nrray.train.frame_store import store_file, write_frames
from nrray.train.job import FinetuneJob, InputDigests
from nrray.train.training_config import HeadSection, TrainingConfig

NUM_STARTS = 480


def noise_job(
    folder: Path,
    *,
    steps: int,
    model: ModelConfig,
    sampling: Sampling | None = None,
    config: TrainingConfig | None = None,
) -> FinetuneJob:
    """A part to train and one to validate, of noise: what it shows costs nothing."""
    sampling, config = sampling or Sampling.model_validate({}), config or TrainingConfig(validate_every_steps=10**6)
    label_set, random = read_label_set(), np.random.default_rng(0)
    chunks = []
    for part, num_starts in (("train", NUM_STARTS), ("validation", 24)):
        rows = np.arange(num_starts + sampling.frames_per_window - 1, dtype=np.int32)
        size = (len(rows), sampling.frame_height_px, sampling.frame_width_px, 3)
        pixels = random.integers(0, 256, size, dtype=np.uint8)
        times = rows.astype(np.int64)
        write_frames(
            store_file(folder, part),
            SampledFrames(pixels=pixels, pts_us=times, frame_of_sample=rows, shortfall=""),
        )
        chunks.append(
            Chunk(
                name=part,
                video_id=part,
                path=part,
                case=part,
                split=part,
                first_sample=0,
                num_starts=num_starts,
                targets=random.random((num_starts, len(label_set.names))) < 0.4,
            )
        )
    num_windows = NUM_STARTS // sampling.frames_per_stride
    config = config.model_copy(update={"num_epochs": steps * config.batch_windows / num_windows})
    return FinetuneJob(
        name="noise",
        output=str(folder),
        store=str(folder),
        chunks=chunks,
        label_set=label_set,
        sampling=sampling,
        split=TrainedSplit(parts={"train": ("train",), "validation": ("validation",)}),
        decoder=DecodeBackend.PYAV,
        start=resolve_checkpoint(model),
        execution=model,
        parts=ResolvedParts(tower=TowerLearning.FROZEN, language_model=LanguageModelLearning.ADAPTER),
        adapter=LoraSection(),
        head=HeadSection(),
        training=config,
        inputs=InputDigests(annotations="", chunks=""),
    )
