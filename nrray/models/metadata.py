"""A checkpoint folder on disk: where it is, what its `nrray.json` says, its digest. Knows no torch.

An artefact is a Hugging Face checkpoint folder that also holds `nrray.json` and `head.safetensors`.
"""

import hashlib
import json
from enum import Enum
from pathlib import Path

from pydantic import Field, ValidationError

import nrray
from nrray.config import Section
from nrray.errors import ModelError
from nrray.labels import LabelSet
from nrray.models.config import EMBEDDED, ModelConfig
from nrray.models.pictures import Pictures
from nrray.sampling import Sampling

ARTEFACT_FILE = "nrray.json"
HEAD_FILE = "head.safetensors"
ARTEFACT_SCHEMA_VERSION = 1
_READ_BYTES = 1 << 20
CLASSIFIER_TYPES = frozenset({"timesformer"})  # they see frames and know no words; their first token stands for all


class Pooling(str, Enum):
    """Which hidden states the head reads."""

    LAST = "last"  # the last token: after the prompt, so it has seen frames and question
    MEAN_FRAMES = "mean_frames"  # the mean over all image or video tokens
    QUERY = "query"  # the last token, to whose embedding a learned query is added
    ATTENTION = "attention"  # a mean over all image or video tokens, weighted by how well they answer a learned query


class TrainedLabels(Section):
    """The label set that a head was trained for."""

    name: str
    activities: tuple[str, ...] = Field(min_length=1)
    digest: str


class Base(Section):
    """The checkpoint that an adapter was trained on."""

    path: str = Field(description="where it was then; where it is now, `model.path` says")
    digest: str


class Artefact(Section):
    """The content of `nrray.json`: all that a head needs beside its weights."""

    schema_version: int
    name: str
    base: Base | None = Field(default=None, description="of an adapter; None where the folder has all weights")
    labels: TrainedLabels
    sampling: Sampling
    prompt: str = Field(description="the text of the user's turn, after the frames")
    pictures: Pictures = Field(default=Pictures.FRAMES, description="how the frames of a window become pictures")
    pooling: Pooling
    hidden_units: int | None = Field(default=None, ge=1, description="of the head's hidden layer; None: it has none")
    thresholds: dict[str, float] = Field(description="a score at or above is present; one per activity")
    temperatures: dict[str, float] = Field(
        default_factory=dict, description="logits are divided by this before the sigmoid; 1 for an activity without one"
    )
    files: dict[str, str] = Field(
        default_factory=dict, description="sha256 of the files beside this one, where they are vouched for"
    )


def resolve_model_path(path: str | Path) -> Path:
    """The folder that `path` names; "embedded" is the model inside the package. Raises ModelError."""
    folder = Path(nrray.__file__).parent / "models" / "embedded" if str(path) == EMBEDDED else Path(path).expanduser()
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise ModelError(
            f"model path {folder}: found {found}, expected a checkpoint folder (config.json, *.safetensors, "
            f"processor and tokenizer files). Give such a folder, or 'embedded' for the model inside the package."
        )
    return folder


def described_folder(config: ModelConfig) -> Path:
    """The folder whose `nrray.json` describes the labeler: the adapter's, or the checkpoint's. Raises ModelError where an
    adapter is given for a checkpoint or a checkpoint for an adapter."""
    folder = resolve_model_path(config.adapter or config.path)
    artefact = read_artefact(folder)
    if config.adapter is None:
        if artefact is not None and artefact.base is not None:
            raise ModelError(
                f"model {folder}: found an adapter, expected a whole checkpoint. Set model.adapter to it and model.path to "
                f"its base ({artefact.base.path})."
            )
        return folder
    if artefact is None and (folder / "adapter" / ARTEFACT_FILE).is_file():
        raise ModelError(
            f"adapter {folder}: found what `nrray finetune` left. Set model.adapter to {folder / 'adapter'}."
        )
    if artefact is None or artefact.base is None:
        raise ModelError(
            f"adapter {folder}: found no {ARTEFACT_FILE} that names its base, expected a folder of `nrray finetune`. Set "
            f"model.path to it where it is a whole checkpoint."
        )
    return folder


def labeler_digest(config: ModelConfig) -> str:
    """Digest of everything that decides a score: the checkpoint's, or its and the adapter's together. Reads all weights.
    Raises ModelError where the adapter was trained on another checkpoint than the config's."""
    digest = model_digest(config.path)
    if config.adapter is None:
        return digest
    folder = described_folder(config)
    artefact = read_artefact(folder)
    assert artefact is not None
    assert artefact.base is not None  # described_folder has seen to both
    for name, expected in artefact.files.items():
        found = _file_digest(folder / name) if (folder / name).is_file() else None
        if found != expected:
            raise ModelError(
                f"adapter {folder}: {name} is {'missing' if found is None else 'not the file that was trained'}. Copy the folder "
                f"again, or train again."
            )
    if digest != artefact.base.digest:
        raise ModelError(
            f"adapter {folder} was trained on {artefact.base.path} (digest {artefact.base.digest[:12]}), model.path is "
            f"{config.path} (digest {digest[:12]}). Set model.path to the checkpoint that it was trained on."
        )
    return hashlib.sha256((digest + model_digest(folder)).encode()).hexdigest()


def model_digest(path: str | Path) -> str:
    """sha256 over names and contents of the folder's files, in order of name, but those that no code reads: hidden
    files and texts for people (*.md). Raises ModelError."""
    folder = resolve_model_path(path)
    total = hashlib.sha256()
    for file in sorted(file for file in folder.rglob("*") if file.is_file() and _is_read(file)):
        total.update(file.relative_to(folder).as_posix().encode() + b"\0")
        total.update(bytes.fromhex(_file_digest(file)))
    return total.hexdigest()


def folder_files(folder: Path) -> dict[str, str]:
    """sha256 of every file that a description vouches for: all but itself and texts for people."""
    names = sorted(file.name for file in folder.iterdir() if file.is_file() and _is_read(file))
    return {name: _file_digest(folder / name) for name in names if name != ARTEFACT_FILE}


def _file_digest(file: Path) -> str:
    content = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(_READ_BYTES):
            content.update(block)
    return content.hexdigest()


def _is_read(file: Path) -> bool:
    return not file.name.startswith(".") and file.suffix.lower() != ".md"


def read_artefact(path: str | Path) -> Artefact | None:
    """The folder's `nrray.json`, or None where it has none: such a checkpoint is prompted. Raises ModelError."""
    file = resolve_model_path(path) / ARTEFACT_FILE
    if not file.exists():
        return None
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        found = data.get("schema_version") if isinstance(data, dict) else None
        if found != ARTEFACT_SCHEMA_VERSION:
            raise ModelError(
                f"{file}: found schema_version {found}, expected {ARTEFACT_SCHEMA_VERSION}. "
                f"Train the model again with this version of nrray."
            )
        artefact = Artefact.model_validate(data)
    except (OSError, ValueError, ValidationError) as error:
        raise ModelError(f"{file} cannot be used: {error}. Train the model again, or restore the file.") from None
    if unknown := sorted(set(artefact.temperatures) - set(artefact.labels.activities)):
        raise ModelError(f"{file}: found temperatures for {unknown}, which are no activities of it. Restore the file.")
    if set(artefact.thresholds) != set(artefact.labels.activities):
        raise ModelError(
            f"{file}: found thresholds for {sorted(artefact.thresholds)}, expected one for each of "
            f"{list(artefact.labels.activities)}. Restore the file."
        )
    if wrong := {name: value for name, value in artefact.thresholds.items() if not 0 <= value <= 1}:
        raise ModelError(f"{file}: found thresholds {wrong}, expected scores between 0 and 1. Restore the file.")
    return artefact


def write_artefact(artefact: Artefact, folder: Path) -> Path:
    """Write `nrray.json` into `folder`; returns the file."""
    file = folder / ARTEFACT_FILE
    file.write_text(json.dumps(artefact.model_dump(mode="json"), indent=2) + "\n", encoding="utf-8")
    return file


def read_sampling(path: str | Path) -> Sampling | None:
    """The sampling that the model was trained with, or None where it was not trained here. Raises ModelError."""
    artefact = read_artefact(path)
    return None if artefact is None else artefact.sampling


def trained_labels(label_set: LabelSet) -> TrainedLabels:
    """What an artefact notes of the label set that it is trained for."""
    return TrainedLabels(name=label_set.name, activities=label_set.names, digest=label_set.digest)


def check_labels(artefact: Artefact, label_set: LabelSet, *, folder: Path) -> None:
    """Raise ModelError where the head was trained for other activities, or for other definitions of them."""
    trained = artefact.labels
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


def is_classifier_folder(path: str | Path) -> bool:
    """Whether `path` holds a checkpoint that knows no words. Raises ModelError where it holds nothing."""
    folder = resolve_model_path(path)
    check_checkpoint_files(folder)
    try:
        model_type = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{folder / 'config.json'} cannot be read: {error}. Copy the checkpoint again.") from None
    return model_type in CLASSIFIER_TYPES


def check_checkpoint_files(folder: Path) -> None:
    """Raises ModelError where a folder holds no checkpoint, or one that only running its code could open."""
    names = sorted(file.name for file in folder.iterdir())
    weights = [name for name in names if name.startswith("model") and name.endswith(".safetensors")]
    if "config.json" in names and weights:
        return
    pickled = [name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt"))]
    if pickled and not weights:
        raise ModelError(
            f"model {folder}: found pickled weights {pickled}, expected model*.safetensors. Pickle files can run code "
            f"and are never opened: load the model where you trust it and save it with save_pretrained(folder)."
        )
    missing = ([] if "config.json" in names else ["config.json"]) + ([] if weights else ["model*.safetensors"])
    raise ModelError(
        f"model {folder}: found {names[:12] or 'an empty folder'}, expected also {' and '.join(missing)}. "
        f"Give a checkpoint folder as save_pretrained writes it."
    )
