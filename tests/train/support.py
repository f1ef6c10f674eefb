"""A small fine-tuning without a video: the brightness of frames shows the activities."""

from pathlib import Path
from typing import Any

import numpy as np

from nrray.archive.splits import TrainedSplit
from nrray.decode.request import DecodeConfig, undamaged
from nrray.labels import LabelSet
from nrray.models import CheckpointChoice, Execution, Labeler, ResolvedCheckpoint, resolve_checkpoint
from nrray.models.config import LanguageModelLearning, LoraSection, ResolvedParts, TowerLearning
from nrray.models.metadata import Pooling
from nrray.sampling import Sampling
from nrray.storage import Folder
from nrray.train.examples import Chunk
from nrray.train.frame_store import FrameStore, store_file, write_frames
from nrray.train.history import Event, Validated, read_history, validations
from nrray.train.job import FinetuneJob, InputDigests
from nrray.train.output import finished_model_folder
from nrray.train.start import default_parts
from nrray.train.training_config import HeadSection, TrainingConfig, resolved_training
from nrray.train.training_plan import TrainingFacts
from nrray.types import Frames
from tests.model_fixtures import labeler_of

NUM_STARTS = 40
LANGUAGE_MODEL = ResolvedParts(tower=TowerLearning.FROZEN, language_model=LanguageModelLearning.ADAPTER)


def bright_job(
    folder: Path, checkpoint: Path, label_set: LabelSet, sampling: Sampling, *, output: str = "out", **training: Any
) -> FinetuneJob:
    """Two cases to train and two to validate. Frames are bright in two of four activities, the other two are noise."""
    store = folder / "store"
    store.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    chunks = []
    for case, part in (("a", "train"), ("b", "train"), ("c", "validation"), ("d", "validation")):
        is_bright = random.random(NUM_STARTS + sampling.frames_per_window - 1) < 0.5
        is_bright = np.repeat(is_bright[::5], 5)[: len(is_bright)]
        size = (len(is_bright), sampling.frame_height_px, sampling.frame_width_px, 3)
        pixels = random.integers(0, 60, size, dtype=np.uint8) + (150 * is_bright[:, None, None, None]).astype(np.uint8)
        rows = np.arange(len(pixels), dtype=np.int32)
        write_frames(
            store_file(store, case),
            undamaged(pixels=pixels, pts_us=rows.astype(np.int64), frame_of_sample=rows, shortfall=""),
        )
        shown = np.lib.stride_tricks.sliding_window_view(is_bright, sampling.frames_per_window).mean(axis=1) > 0.5
        targets = np.stack([shown, shown, ~shown, random.random(NUM_STARTS) < 0.5], axis=1)
        chunks.append(
            Chunk(
                name=case,
                video_id=f"id-{case}",
                path=f"{case}.mp4",
                case=case,
                split=part,
                first_sample=0,
                num_starts=NUM_STARTS,
                targets=targets,
            )
        )
    (folder / output).mkdir()
    config = TrainingConfig.model_validate(
        {
            "num_steps": 10,  # 2 passes over 40 windows of the stride
            "patience": 100,
            "head_first_steps": 0,
            "batch_windows": 8,
            "micro_batch_windows": 4,
            "learning_rate": 5e-3,
            "head_learning_rate": 2e-2,
            "validate_every_steps": 4,
            "checkpoint_every_steps": 2,
            **training,
        }
    )
    start = resolve_checkpoint(CheckpointChoice(path=str(checkpoint)))
    return FinetuneJob(
        name="bright",
        output=str(folder / output),
        store=str(store),
        chunks=chunks,
        label_set=label_set,
        sampling=sampling,
        split=TrainedSplit(parts={"train": ("a", "b"), "validation": ("c", "d"), "test": ("e",)}),
        decoder=DecodeConfig().frames_identity,
        start=start,
        execution=Execution(),
        parts=LANGUAGE_MODEL if start.family.knows_words else default_parts(start.family),
        adapter=LoraSection(rank=4),
        head=HeadSection(pooling=Pooling.MEAN_FRAMES),
        training=resolved_training(config, num_windows=NUM_STARTS, has_own_head=False, is_from_scratch=False),
        facts=TrainingFacts(
            num_windows=NUM_STARTS,
            num_cases=2,
            num_validation_cases=2,
            has_own_head=False,
            bytes_per_weight=4,
        ),
        inputs=InputDigests(annotations="", chunks=""),
    )


def history_of(job: FinetuneJob) -> list[Event]:
    return read_history(Folder(job.output))


def validations_of(job: FinetuneJob) -> list[Validated]:
    return validations(history_of(job))


def unit_of(job: FinetuneJob, case: str, num_windows: int = 6) -> Frames:
    """The first windows of a case as a labeler gets them."""
    sampling, index = job.sampling, [chunk.case for chunk in job.chunks].index(case)
    store = FrameStore(
        Path(job.store), [chunk.name for chunk in job.chunks], frames_per_window=sampling.frames_per_window
    )
    pixels = np.stack([store.window(index, start) for start in range(num_windows)])
    times = np.arange(num_windows, dtype=np.int64)
    return Frames(
        pixels=pixels.reshape(-1, *pixels.shape[2:]),
        pts_us=np.arange(num_windows * sampling.frames_per_window, dtype=np.int64),
        window_frames=np.arange(num_windows * sampling.frames_per_window, dtype=np.int32).reshape(num_windows, -1),
        window_start_us=times,
        window_end_us=times + 1,
        frames_per_second=sampling.frames_per_second,
    )


def model_of(job: FinetuneJob) -> Path:
    """What a finished training left, whether or not a step was better than none: a few steps of a tiny model may not be."""
    folder = finished_model_folder(job.output)
    assert folder is not None
    return folder


def trained_labeler(job: FinetuneJob) -> Labeler:
    """The adapter that the training left, on its base."""
    assert isinstance(job.start, ResolvedCheckpoint)
    return labeler_of(job.start.path, job.label_set, adapter=str(model_of(job)), dtype=job.execution.dtype)
