"""`nrray.json`: the description of a trained head, which lies beside its weights. Knows no torch.

A folder that holds it, with `head.safetensors`, is either a whole Hugging Face checkpoint or an adapter of one.
"""

import hashlib
import json
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, ValidationError

from nrray.config import Section
from nrray.errors import ModelError
from nrray.labels import LabelSet
from nrray.models.digests import file_digests
from nrray.models.frame_stacking import FrameStacking
from nrray.models.inputs import CheckpointInputs, read_inputs
from nrray.nested import json_from
from nrray.sampling import Sampling
from nrray.setting_problems import setting_problems

METADATA_FILE = "nrray.json"
HEAD_FILE = "head.safetensors"
MATRICES_FILE = "adapter_model.safetensors"  # as peft saves them
METADATA_SCHEMA_VERSION = 1


class Pooling(str, Enum):
    """Which hidden states the head reads."""

    LAST = "last"  # the last token: after the prompt, so it has seen frames and question
    MEAN_FRAMES = "mean_frames"  # the mean over all frame tokens
    QUERY = "query"  # the last token, to whose embedding a learned query is added
    ATTENTION = "attention"  # a mean over all frame tokens, weighted by how well they answer a learned query


class TrainedLabels(Section):
    """The label set that a head was trained for."""

    name: str
    activities: tuple[str, ...] = Field(min_length=1)
    digest: str


class Base(Section):
    """The checkpoint that an adapter was trained on."""

    path: str = Field(description="where it was then; where it is now, `model.path` says")
    digest: str


class CheckpointMetadata(Section):
    """The content of `nrray.json`: all that a head needs beside its weights."""

    model_config = ConfigDict(populate_by_name=True)

    schema_version: int = METADATA_SCHEMA_VERSION
    name: str
    base: Base | None = Field(default=None, description="of an adapter; None where the folder has all weights")
    labels: TrainedLabels
    sampling: Sampling
    prompt: str = Field(description="the text of the user's turn, after the frames")
    frame_stacking: FrameStacking = Field(
        default=FrameStacking.FRAMES, alias="pictures", description="how the frames of a window become images"
    )
    pooling: Pooling
    hidden_units: int | None = Field(default=None, ge=1, description="of the head's hidden layer; None: it has none")
    thresholds: dict[str, float] = Field(description="a score at or above is present; one per activity")
    temperatures: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description="logits are divided by this before the sigmoid; 1 for an activity without one"
    )
    files: dict[str, str] = Field(
        default_factory=dict,
        description="sha256 of the files beside this one, where they are vouched for; in the file, of its own content too",
    )

    @property
    def inputs(self) -> CheckpointInputs:
        """The inputs of the head's training."""
        return CheckpointInputs(sampling=self.sampling, prompt=self.prompt, frame_stacking=self.frame_stacking)

    @property
    def has_matrices(self) -> bool:
        """Whether an adapter adds matrices to its base; one without is a head on a frozen base. A description that vouches for
        no file is of the former."""
        return self.base is not None and (not self.files or MATRICES_FILE in self.files)


def read_metadata(folder: str | Path) -> CheckpointMetadata | None:
    """The folder's `nrray.json`, or None where it has none: such a checkpoint has no head. Raises ModelError."""
    file = Path(folder) / METADATA_FILE
    if not file.exists():
        return None
    try:
        data = json_from(file.read_text(encoding="utf-8"))
        found = data.get("schema_version") if isinstance(data, dict) else None
        if found != METADATA_SCHEMA_VERSION:
            raise ModelError(
                f"{file}: found schema_version {found}, expected {METADATA_SCHEMA_VERSION}. "
                f"Train the model again with this version of nrray."
            )
        stated = data["files"].pop(METADATA_FILE, None) if isinstance(data.get("files"), dict) else None
        if stated is not None and stated != _own_digest(data):
            raise ModelError(
                f"{file} is not the file that was written: found another digest of its content than it states. Copy the folder "
                f"again, or train again."
            )
        metadata = CheckpointMetadata.model_validate(data)
    except (OSError, ValueError) as error:  # among them ValidationError
        problems = (
            "; ".join(setting_problems(CheckpointMetadata, error)) if isinstance(error, ValidationError) else error
        )
        raise ModelError(f"{file} cannot be used: {problems}. Train the model again, or restore the file.") from None
    if unknown := sorted(set(metadata.temperatures) - set(metadata.labels.activities)):
        raise ModelError(f"{file}: found temperatures for {unknown}, which are no activities of it. Restore the file.")
    if set(metadata.thresholds) != set(metadata.labels.activities):
        raise ModelError(
            f"{file}: found thresholds for {sorted(metadata.thresholds)}, expected one for each of "
            f"{list(metadata.labels.activities)}. Restore the file."
        )
    if wrong := {name: value for name, value in metadata.thresholds.items() if not 0 <= value <= 1}:
        raise ModelError(f"{file}: found thresholds {wrong}, expected scores between 0 and 1. Restore the file.")
    return metadata


def described_inputs(folder: Path) -> CheckpointInputs | None:
    """The inputs of the folder's head, else of its weights; None where neither says any. Raises ModelError."""
    metadata = read_metadata(folder)
    return metadata.inputs if metadata is not None else read_inputs(folder)


def write_metadata(metadata: CheckpointMetadata, folder: Path) -> Path:
    """Write `nrray.json` into `folder`, with a digest of its own where it vouches for the files beside it; returns the file."""
    file = folder / METADATA_FILE
    document = metadata.model_dump(mode="json", by_alias=True)
    if metadata.files:
        document["files"] = {**metadata.files, METADATA_FILE: _own_digest(document)}
    file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return file


def _own_digest(document: Mapping[str, Any]) -> str:
    """sha256 of a description that states none of itself."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def vouched_files(folder: Path) -> dict[str, str]:
    """sha256 of every file that a description vouches for: all but itself and texts for people."""
    return {name: digest for name, digest in file_digests(folder).items() if name != METADATA_FILE}


def trained_labels(label_set: LabelSet) -> TrainedLabels:
    """The entry of a description for the label set of a training."""
    return TrainedLabels(name=label_set.name, activities=label_set.names, digest=label_set.digest)


def check_labels(metadata: CheckpointMetadata, label_set: LabelSet, *, folder: Path) -> None:
    """Raise ModelError where the head was trained for other activities, or for other definitions of them."""
    trained = metadata.labels
    if trained.activities != label_set.names:
        raise ModelError(
            f"model {folder}: its head was trained for {list(trained.activities)}, the label set "
            f"'{label_set.name}' has {list(label_set.names)} (order counts). Give the label set of the training, or train a "
            f"model for this one."
        )
    if trained.digest != label_set.digest:
        raise ModelError(
            f"model {folder}: label set '{label_set.name}' has the same activities as the one it was trained for, but "
            f"other definitions, questions or rules (digest {label_set.digest[:12]}, expected {trained.digest[:12]}). "
            f"Use the label set of the training, or train a model for this one."
        )
