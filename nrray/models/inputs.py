"""What a checkpoint needs of its inputs: how video is sampled, how frames become images, which words follow them. No torch.

It stands in the checkpoint's config.json, which no loader can do without and which transformers keeps when it saves a model
anew; the description of a head, `nrray.json`, says it again for the head.
"""

from pathlib import Path

from pydantic import Field, ValidationError

from nrray.config import Section
from nrray.errors import ModelError
from nrray.models.frame_stacking import FrameStacking
from nrray.nested import json_from
from nrray.sampling import Sampling
from nrray.setting_problems import setting_problems

INPUTS_KEY = "nrray_inputs"


class CheckpointInputs(Section):
    """The content of that key: the inputs of a checkpoint's training."""

    sampling: Sampling
    prompt: str = Field(description="the text of the user's turn, after the frames, that it answers best")
    frame_stacking: FrameStacking = Field(
        default=FrameStacking.FRAMES, description="how the frames of a window become images"
    )


def read_inputs(folder: Path) -> CheckpointInputs | None:
    """The inputs that the folder's config.json names, or None where it names none. Raises ModelError."""
    file = folder / "config.json"
    try:
        found = json_from(file.read_text(encoding="utf-8")).get(INPUTS_KEY)
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{file} cannot be read: {error}. Copy the checkpoint again.") from None
    if found is None:
        return None
    try:
        return CheckpointInputs.model_validate(found)
    except ValidationError as error:
        problems = "; ".join(setting_problems(CheckpointInputs, error))
        raise ModelError(
            f"{file}: its key {INPUTS_KEY} cannot be used: {problems}. Copy the checkpoint again, or use the version of nrray "
            f"that wrote it."
        ) from None
