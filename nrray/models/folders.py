"""Folders of checkpoints and adapters as they lie on a disk: what each must hold, and what is said of one that does not. No
torch."""

from collections.abc import Sequence
from pathlib import Path

import nrray
from nrray.errors import ModelError
from nrray.models.config import EMBEDDED, PACKAGED_FOLDERS
from nrray.models.metadata import MATRICES_FILE, METADATA_FILE
from nrray.nested import json_from

_ADAPTER_FILES = ("adapter_config.json", MATRICES_FILE, "adapter_model.bin")
_VIDEOS = (".mp4", ".mkv", ".mov", ".avi", ".webm")
_POINTER = b"version https://git-lfs"


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
