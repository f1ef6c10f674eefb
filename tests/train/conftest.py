"""The tiny checkpoints of `tests.model_fixtures`, and the process that trains."""

import pytest
from accelerate import Accelerator

from tests.model_fixtures import add_head, checkpoint_of, image_folder, label_set, small_sampling, video_folder

__all__ = ["add_head", "checkpoint_of", "image_folder", "label_set", "small_sampling", "video_folder"]


@pytest.fixture(scope="session")
def accelerator() -> Accelerator:
    return Accelerator(cpu=True)
