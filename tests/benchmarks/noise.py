"""A training on noise, whose making costs nothing: for the rates of loops."""

from pathlib import Path

import numpy as np

from nrray.archive.splits import TrainedSplit
from nrray.decode.request import DecodeConfig, undamaged
from nrray.labels import read_label_set
from nrray.models import ModelConfig, resolve_checkpoint
from nrray.models.config import LanguageModelLearning, LoraSection, ResolvedParts, TowerLearning
from nrray.sampling import Sampling
from nrray.train.examples import Chunk
from nrray.train.frame_store import store_file, write_frames
from nrray.train.job import FinetuneJob, InputDigests
from nrray.train.training_config import HeadSection, TrainingConfig, resolved_training
from nrray.train.training_plan import TrainingFacts

NUM_STARTS = 480
LANGUAGE_MODEL_ADAPTED = ResolvedParts(tower=TowerLearning.FROZEN, language_model=LanguageModelLearning.ADAPTER)


def noise_job(
    folder: Path,
    *,
    steps: int,
    model: ModelConfig,
    sampling: Sampling | None = None,
    config: TrainingConfig | None = None,
    parts: ResolvedParts = LANGUAGE_MODEL_ADAPTED,
) -> FinetuneJob:
    """A case to train and two to validate, of noise: what it shows costs nothing."""
    sampling, config = sampling or Sampling.model_validate({}), config or TrainingConfig(validate_every_steps=10**6)
    label_set, random = read_label_set(), np.random.default_rng(0)
    chunks = []
    for case, part, num_starts in (("a", "train", NUM_STARTS), ("b", "validation", 12), ("c", "validation", 12)):
        rows = np.arange(num_starts + sampling.frames_per_window - 1, dtype=np.int32)
        size = (len(rows), sampling.frame_height_px, sampling.frame_width_px, 3)
        pixels = random.integers(0, 256, size, dtype=np.uint8)
        times = rows.astype(np.int64)
        write_frames(
            store_file(folder, case),
            undamaged(pixels=pixels, pts_us=times, frame_of_sample=rows, shortfall=""),
        )
        chunks.append(
            Chunk(
                name=case,
                video_id=case,
                path=case,
                case=case,
                split=part,
                first_sample=0,
                num_starts=num_starts,
                targets=random.random((num_starts, len(label_set.names))) < 0.4,
            )
        )
    training = resolved_training(
        config.model_copy(update={"num_steps": steps}),
        num_windows=NUM_STARTS // sampling.frames_per_stride,
        has_own_head=True,
        is_from_scratch=False,
    )
    return FinetuneJob(
        name="noise",
        output=str(folder),
        store=str(folder),
        chunks=chunks,
        label_set=label_set,
        sampling=sampling,
        split=TrainedSplit(parts={"train": ("a",), "validation": ("b", "c")}),
        decoder=DecodeConfig().frames_identity,
        start=resolve_checkpoint(model),
        execution=model,
        parts=parts,
        adapter=LoraSection(),
        head=HeadSection(),
        training=training,
        facts=TrainingFacts(
            num_windows=NUM_STARTS,
            num_cases=1,
            num_validation_cases=2,
            has_own_head=True,
            bytes_per_weight=4,
        ),
        inputs=InputDigests(annotations="", chunks=""),
    )
