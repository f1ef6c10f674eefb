"""Tiny random checkpoints, built offline from config classes and saved as any checkpoint is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from nrray.labels import LabelSet, read_label_set
from nrray.models import Labeler, ModelConfig, Strategy, resolve_checkpoint, resolve_strategy
from nrray.models.checkpoint import LoadedCheckpoint, load_checkpoint
from nrray.models.metadata import CheckpointMetadata, Pooling, trained_labels, write_metadata
from nrray.sampling import Sampling
from tests.checkpoints import CHECKPOINTS, ENCODERS, HIDDEN_SIZE, llama_judge
from tests.more_checkpoints import MORE_CHECKPOINTS, OTHER_CHECKPOINTS


def labeler_of(
    path: str | Path,
    label_set: LabelSet,
    *,
    adapter: str | Path | None = None,
    strategy: Strategy | None = None,
    **execution: Any,
) -> Labeler:
    """A labeler for a checkpoint, with settings of its execution."""
    config = ModelConfig(path=str(path), adapter=None if adapter is None else str(adapter), **execution)
    checkpoint = resolve_checkpoint(config)
    chosen = resolve_strategy(strategy, checkpoint, label_set)
    return chosen.labeler(checkpoint, label_set=label_set, execution=config)


def loaded(path: str | Path = "embedded", **execution: Any) -> LoadedCheckpoint:
    """A checkpoint with settings of its execution."""
    config = ModelConfig(path=str(path), **execution)
    return load_checkpoint(resolve_checkpoint(config), execution=config)


@pytest.fixture(scope="session")
def label_set() -> LabelSet:
    return read_label_set()


@pytest.fixture(scope="session")
def small_sampling() -> Sampling:
    """6 frames of 64 px a window, two thirds of them shared with the next."""
    return Sampling(
        frames_per_second=2.0, window_seconds=3.0, stride_seconds=1.0, frame_width_px=64, frame_height_px=64
    )


@pytest.fixture(scope="session")
def checkpoint_of(tmp_path_factory: pytest.TempPathFactory, label_set: LabelSet) -> Callable[[str], Path]:
    """A function from a family's name to its tiny checkpoint, made once."""
    made: dict[str, Path] = {}

    def folder_of(name: str) -> Path:
        if name not in made:
            known = {**CHECKPOINTS, **MORE_CHECKPOINTS, **OTHER_CHECKPOINTS, **ENCODERS}
            made[name] = known[name](tmp_path_factory.mktemp(name), label_set)
        return made[name]

    return folder_of


@pytest.fixture(scope="session")
def image_folder(checkpoint_of: Callable[[str], Path]) -> Path:
    """Frames go in as images."""
    return checkpoint_of("fast_vlm")


@pytest.fixture(scope="session")
def video_folder(checkpoint_of: Callable[[str], Path]) -> Path:
    """Frames go in as one video, positions are 3-D."""
    return checkpoint_of("qwen2_5_vl")


@pytest.fixture(scope="session")
def judge_folder(tmp_path_factory: pytest.TempPathFactory, label_set: LabelSet) -> Path:
    """A language model that answers yes, no or not stated, as its prompt moves it."""
    return llama_judge(tmp_path_factory.mktemp("judge"), label_set)


@pytest.fixture(scope="session")
def add_head() -> Callable[..., Path]:
    """A function that gives a checkpoint folder a random head."""
    return _add_head


def _add_head(
    folder: Path, *, label_set: LabelSet, sampling: Sampling, pooling: Pooling = Pooling.LAST, num_outputs: int = 4
) -> Path:
    generator = np.random.default_rng(0)
    weight = torch.from_numpy(generator.normal(size=(num_outputs, HIDDEN_SIZE)).astype(np.float32))
    save_file({"out.weight": weight, "out.bias": torch.zeros(num_outputs)}, folder / "head.safetensors")
    metadata = CheckpointMetadata(
        name="tiny",
        labels=trained_labels(label_set),
        sampling=sampling,
        prompt="Which activities are going on?",
        pooling=pooling,
        thresholds=dict.fromkeys(label_set.names, 0.5),
    )
    write_metadata(metadata, folder)
    return folder
