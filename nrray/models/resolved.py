"""A checkpoint resolved: the folders behind a config's paths, found and hashed once by the driver and handed on. No torch."""

import hashlib
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

import nrray
from nrray.errors import ModelError
from nrray.models.config import EMBEDDED, PACKAGED_FOLDERS, CheckpointChoice
from nrray.models.digests import FileStamp, file_digest, folder_digest, folder_stamps
from nrray.models.families import FamilyEntry, family_entry
from nrray.models.inputs import CheckpointInputs, read_inputs
from nrray.models.metadata import MATRICES_FILE, METADATA_FILE, Base, CheckpointMetadata, read_metadata
from nrray.nested import json_from

_ADAPTER_FILES = ("adapter_config.json", MATRICES_FILE, "adapter_model.bin")
_VIDEOS = (".mp4", ".mkv", ".mov", ".avi", ".webm")
_POINTER = b"version https://git-lfs"


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


def checkpoint_folder(path: str | Path) -> Path:
    """The folder that `path` names; "embedded" and "embedded-base" are models inside the package. Raises ModelError."""
    packaged = PACKAGED_FOLDERS.get(str(path))
    folder = Path(path).expanduser() if packaged is None else Path(nrray.__file__).parent / "models" / packaged
    if packaged is not None and not folder.is_dir():
        raise ModelError(
            f"model path {path}: {folder}: found nothing, expected a model that this installation does not have. Give another "
            f"checkpoint folder, or make it from a clone with nrray.workshop."
        )
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise ModelError(
            f"model path {folder}: found {found}, expected a checkpoint folder (config.json, *.safetensors, "
            f"processor and tokenizer files). Give such a folder, or '{EMBEDDED}' for the model inside the package."
        )
    return folder


def adapter_folder(path: str | Path) -> Path:
    """The folder of an adapter. Raises ModelError where there is none, or a finished training that left a whole model."""
    folder = Path(path).expanduser()
    whole = next(
        (place / "model" for place in (folder, folder.parent) if (place / "model" / METADATA_FILE).is_file()), None
    )
    if whole is not None and not (folder / METADATA_FILE).is_file():
        raise ModelError(
            f"adapter {folder}: found no adapter: this training left a whole model. Set model.path to {whole}, and leave "
            f"model.adapter out."
        )
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise ModelError(
            f"adapter {folder}: found {found}, expected a folder that `nrray finetune` leaves: OUTPUT/adapter. Set "
            f"model.adapter to it, or leave it out."
        )
    return folder


def check_checkpoint_files(folder: Path) -> None:
    """Raises ModelError where a folder holds no checkpoint, one that only running its code could open, or one over whose weights
    a loader would lay others in silence."""
    names = sorted(file.name for file in folder.iterdir())
    weights = [name for name in names if name.startswith("model") and name.endswith(".safetensors")]
    if "config.json" not in names or not weights:
        raise ModelError(_no_checkpoint(folder, names, has_weights=bool(weights)))
    if pointers := [name for name in weights if _is_pointer(folder / name)]:
        raise ModelError(
            f"model {folder}: found {pointers[0]} with the text of a Git LFS pointer, expected weights. Run `git lfs pull` in "
            f"the clone, or download the file."
        )
    if laid_over := [name for name in names if name in _ADAPTER_FILES]:
        raise ModelError(
            f"model {folder}: found {' and '.join(laid_over)} beside whole weights, expected either: the loader would lay that "
            f"adapter over them without a word. To use the weights alone, move these files to a folder of their own; an adapter "
            f"of `nrray finetune` is then given as model.adapter=FOLDER, any other one must be merged first (peft's "
            f"merge_and_unload, then save_pretrained into a new folder)."
        )


def _no_checkpoint(folder: Path, names: Sequence[str], *, has_weights: bool) -> str:
    """What is wrong with a folder that holds no checkpoint: what it is, as far as that can be told, and the way out."""
    wanted = (
        "expected a checkpoint as save_pretrained writes it (config.json, model*.safetensors, processor, tokenizer)"
    )
    pickled = [name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt"))]
    snapshots = sorted(f"{file}" for file in (folder / "snapshots").glob("*") if file.is_dir())
    if "adapter_config.json" in names:
        return (
            f"model {folder}: found an adapter of peft without its base ({_base_of_adapter(folder)}), {wanted}. Set model.path "
            f"to its base; give it as model.adapter where `nrray finetune` made it, else merge it first (peft's "
            f"merge_and_unload)."
        )
    if (folder / "adapter" / METADATA_FILE).is_file():
        return (
            f"model {folder}: found an output of `nrray finetune`, {wanted}. Set model.adapter to {folder / 'adapter'} and "
            f"model.path to the checkpoint that it was trained on."
        )
    if (folder / "model" / METADATA_FILE).is_file():
        return f"model {folder}: found an output of `nrray finetune`, {wanted}. Set model.path to {folder / 'model'}."
    if snapshots:
        return f"model {folder}: found a cache folder of the model hub, {wanted}. Set model.path to {snapshots[-1]}."
    if pickled and not has_weights:
        return (
            f"model {folder}: found pickled weights {pickled}, expected model*.safetensors. Pickle files can run code "
            f"and are never opened: load the model where you trust it and save it with save_pretrained(folder)."
        )
    if "model_index.json" in names:
        return f"model {folder}: found a pipeline of diffusers, which makes images, {wanted}. Give a vision-language model."
    if gguf := [name for name in names if name.endswith(".gguf")]:
        return f"model {folder}: found {gguf[0]}, which other programs run, {wanted}. Give the model's safetensors."
    found = f"found {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}" if names else "found an empty folder"
    if any(name.lower().endswith(_VIDEOS) for name in names):
        found += ", a folder of videos"
    missing = [*([] if "config.json" in names else ["config.json"]), *([] if has_weights else ["model*.safetensors"])]
    return (
        f"model {folder} is no checkpoint: {found}, expected also {' and '.join(missing)}. Give a checkpoint folder as "
        f"save_pretrained writes it, or '{EMBEDDED}' for the model inside the package."
    )


def _base_of_adapter(folder: Path) -> str:
    try:
        named = json_from((folder / "adapter_config.json").read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError):
        named = None
    return str(named or "which it does not name")


def _is_pointer(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(len(_POINTER)) == _POINTER


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
