"""The tiny checkpoints of `tests.model_fixtures`."""

from tests.model_fixtures import (
    add_head,
    checkpoint_of,
    image_folder,
    judge_folder,
    label_set,
    small_sampling,
    video_folder,
)

__all__ = ["add_head", "checkpoint_of", "image_folder", "judge_folder", "label_set", "small_sampling", "video_folder"]
