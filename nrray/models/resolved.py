"""A checkpoint resolved: the folders behind a config's paths, found and hashed once by the driver and handed on. No torch."""

import hashlib
import socket
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

from nrray.errors import ModelError
from nrray.models.config import PACKAGED_FOLDERS, CheckpointChoice
from nrray.models.digests import FileStamp, file_digest, folder_digest, folder_stamps
from nrray.models.families import FamilyEntry, family_entry
from nrray.models.folders import adapter_folder, check_checkpoint_files, checkpoint_folder
from nrray.models.inputs import CheckpointInputs, read_inputs
from nrray.models.metadata import METADATA_FILE, Base, CheckpointMetadata, read_metadata
from nrray.nested import json_from


class CheckpointKind(str, Enum):
    """The parts of a checkpoint."""

    PLAIN = "plain"  # all weights of a published model, no head
    TRAINED = "trained"  # all weights and a head in one folder
    ADAPTED = "adapted"  # all weights of a base, and a folder with a head and perhaps matrices


class ResolvedModel(Protocol):
    """A model as a strategy knows it, wherever it runs. Can be sent to other nodes."""

    @property
    def name(self) -> str:
        """For people, and in the source of labels."""
        ...

    @property
    def path(self) -> str:
        """As messages name it: the name of a model inside the package, a folder, or an address."""
        ...

    @property
    def title(self) -> str:
        """What it is, behind "a"."""
        ...

    @property
    def digest(self) -> str:
        """Of everything that decides a score, as far as it is known."""
        ...

    @property
    def metadata(self) -> CheckpointMetadata | None:
        """Of its head, where it has one."""
        ...

    @property
    def inputs(self) -> CheckpointInputs | None:
        """Those of its training, where it says them."""
        ...

    @property
    def knows_words(self) -> bool:
        """Whether it can be asked."""
        ...


@dataclass(frozen=True, kw_only=True)
class ResolvedCheckpoint:
    """A checkpoint as the driver found it. Can be sent to other nodes: `path` is the name of a model inside the
    package of each node, or absolute."""

    path: str  # of all weights
    adapter: str | None  # folder beside them, absolute
    metadata: CheckpointMetadata | None  # of the head, where there is one
    inputs: CheckpointInputs | None  # of the head's training, else of the weights'; None: neither says any
    base_digest: str  # of the folder of all weights
    digest: str  # of everything that decides a score
    model_type: str  # as its config.json says
    stamps: tuple[FileStamp, ...]  # of the files in both folders

    @property
    def kind(self) -> CheckpointKind:
        if self.adapter is not None:
            return CheckpointKind.ADAPTED
        return CheckpointKind.PLAIN if self.metadata is None else CheckpointKind.TRAINED

    @property
    def folder(self) -> Path:
        """The folder of all weights on this node. Raises ModelError where there is none."""
        return checkpoint_folder(self.path)

    @property
    def head_folder(self) -> Path:
        """The folder of the head, and of its description, on this node. Raises ModelError where there is none."""
        return self.folder if self.adapter is None else adapter_folder(self.adapter)

    @property
    def family(self) -> FamilyEntry:
        return family_entry(self.model_type)

    @property
    def title(self) -> str:
        return f"'{self.model_type}' checkpoint"

    @property
    def knows_words(self) -> bool:
        return self.family.knows_words

    @property
    def name(self) -> str:
        """A model of the package as `model.path` names it, else as it was named when it was trained, else its folder's name."""
        if self.adapter is None and self.path in PACKAGED_FOLDERS:
            return self.path
        return self.metadata.name if self.metadata is not None else self.folder.name


def resolve_checkpoint(choice: CheckpointChoice) -> ResolvedCheckpoint:
    """The checkpoint that the config names. Reads all files once, for their digest.

    Raises ModelError for a folder that is no checkpoint, an adapter in the place of a checkpoint, an adapter of another
    checkpoint, or one whose files are not those that were trained.
    """
    folder = checkpoint_folder(choice.path)
    described = folder if choice.adapter is None else adapter_folder(choice.adapter)
    metadata = read_metadata(described)
    base = _described_base(described, metadata) if choice.adapter is not None else None
    if choice.adapter is None:
        _check_no_adapter(folder, metadata)
    check_checkpoint_files(folder)
    model_type = _model_type(folder)
    stamps = _stamps(folder, None if choice.adapter is None else described)  # before the files are read
    digest = base_digest = folder_digest(folder)
    if metadata is not None:
        _check_vouched(described, metadata)
    if metadata is not None and base is not None:
        _check_base(described, base, path=choice.path, digest=base_digest)
        digest = hashlib.sha256((base_digest + folder_digest(described)).encode()).hexdigest()
    return ResolvedCheckpoint(
        path=choice.path if choice.path in PACKAGED_FOLDERS else str(folder.absolute()),
        adapter=None if choice.adapter is None else str(described.absolute()),
        metadata=metadata,
        inputs=metadata.inputs if metadata is not None else read_inputs(folder),
        base_digest=base_digest,
        digest=digest,
        model_type=model_type,
        stamps=stamps,
    )


def local_checkpoint(model: ResolvedModel) -> ResolvedCheckpoint:
    """The model as the checkpoint folder that whatever loads it needs. Raises ModelError where it runs elsewhere."""
    if not isinstance(model, ResolvedCheckpoint):
        raise ModelError(
            f"model {model.name}: found a {model.title} at {model.path}, expected a checkpoint folder. Set model.path to one, "
            f"and leave strategy.engine out."
        )
    return model


def check_same_here(checkpoint: ResolvedCheckpoint) -> None:
    """Raise ModelError where the folders of this node hold another model than the one that was resolved. Files of the very
    sizes and times, as on a shared disk, are not read again."""
    adapter = None if checkpoint.adapter is None else checkpoint.head_folder
    if _stamps(checkpoint.folder, adapter) == checkpoint.stamps:
        return
    found = resolve_checkpoint(CheckpointChoice(path=checkpoint.path, adapter=checkpoint.adapter)).digest
    if found != checkpoint.digest:
        raise ModelError(
            f"{checkpoint.path} on node {socket.gethostname()} is another model (digest {found[:12]}) "
            f"than on the node that planned this run ({checkpoint.digest[:12]}): copy the same folder to all nodes."
        )


def _check_no_adapter(folder: Path, metadata: CheckpointMetadata | None) -> None:
    if metadata is not None and metadata.base is not None:
        raise ModelError(
            f"model {folder}: found an adapter, expected a whole checkpoint. Set model.adapter to it and model.path to "
            f"its base ({metadata.base.path})."
        )


def _described_base(folder: Path, metadata: CheckpointMetadata | None) -> Base:
    """The checkpoint that an adapter was trained on. Raises ModelError where the folder is no adapter."""
    if metadata is None and (folder / "adapter" / METADATA_FILE).is_file():
        raise ModelError(
            f"adapter {folder}: found an output of `nrray finetune`. Set model.adapter to {folder / 'adapter'}."
        )
    if metadata is None or metadata.base is None:
        raise ModelError(
            f"adapter {folder}: found no {METADATA_FILE} that names its base, expected a folder of `nrray finetune`. Set "
            f"model.path to it where it is a whole checkpoint."
        )
    return metadata.base


def _check_vouched(folder: Path, metadata: CheckpointMetadata) -> None:
    for name, expected in metadata.files.items():
        found = file_digest(folder / name) if (folder / name).is_file() else None
        if found != expected:
            title = "model" if metadata.base is None else "adapter"
            raise ModelError(
                f"{title} {folder}: {name} is {'missing' if found is None else 'not the file that was trained'}. Copy the folder "
                f"again, or train again."
            )


def _check_base(folder: Path, base: Base, *, path: str, digest: str) -> None:
    if digest != base.digest:
        raise ModelError(
            f"adapter {folder} was trained on {base.path} (digest {base.digest[:12]}), model.path is "
            f"{path} (digest {digest[:12]}). Set model.path to the checkpoint that it was trained on."
        )


def _stamps(folder: Path, adapter: Path | None) -> tuple[FileStamp, ...]:
    return (*folder_stamps(folder), *(folder_stamps(adapter) if adapter is not None else ()))


def _model_type(folder: Path) -> str:
    try:
        config = json_from((folder / "config.json").read_text(encoding="utf-8"))
        found = config.get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{folder / 'config.json'} cannot be read: {error}. Copy the checkpoint again.") from None
    if not isinstance(found, str) or not found:
        raise ModelError(
            f"model {folder} is no checkpoint of transformers: its config.json has no model_type, but {sorted(config)[:8]}. "
            f"Give a folder as save_pretrained writes it."
        )
    return found
