"""Whether the files of a checkpoint are those that were published, and its weights numbers. Reads every byte."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from nrray.errors import ModelError
from nrray.models.digests import file_digest, read_files
from nrray.models.metadata import METADATA_FILE
from nrray.models.resolved import ResolvedCheckpoint

SUMS_FILE = "SHA256SUMS"
_SHOWN = 3
_SHA256, _GIT_SHA1 = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")
_SUM_LINE = re.compile(r"(?P<digest>[0-9a-f]{64}) [ *](?P<name>.+)")


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What was verified: files by their digests, which `nrray.json`, `SHA256SUMS` or the model hub's own notes state, and tensors
    that hold numbers alone. unvouched: files whose digest nobody states."""

    digest: str
    num_files: int
    num_tensors: int
    unvouched: tuple[str, ...]

    @property
    def sentence(self) -> str:
        numbers = f"Verified: {self.num_tensors} tensors hold numbers alone"
        whole = f"Digest of the whole: {self.digest}."
        if len(self.unvouched) == self.num_files:
            return f"{numbers}; no digest is stated of any of its {self.num_files} files. {whole}"
        equal = f"{numbers}, and {self.num_files - len(self.unvouched)} of {self.num_files} files have the digest stated of them."
        if not self.unvouched:
            return f"{equal} {whole}"
        listed = ", ".join(self.unvouched[:_SHOWN]) + (", ..." if len(self.unvouched) > _SHOWN else "")
        return f"{equal} No digest is stated of {listed}. {whole}"


def verified_checkpoint(checkpoint: ResolvedCheckpoint) -> Verified:
    """Raises ModelError for a file that has another digest than the stated one, and for a weight that is NaN or infinite."""
    folders = [checkpoint.folder, *([checkpoint.head_folder] if checkpoint.adapter is not None else [])]
    files, unvouched, num_tensors = 0, [], 0
    for folder in folders:
        vouched = dict(checkpoint.metadata.files) if checkpoint.metadata and folder == checkpoint.head_folder else {}
        sums = {**_sums(folder), **vouched}  # those of `nrray.json` were compared when the checkpoint was resolved
        for file in read_files(folder):
            name = file.relative_to(folder).as_posix()
            if name in (METADATA_FILE, SUMS_FILE):
                continue
            files += 1
            stated = sums.get(name) or _hub_digest(folder, file)
            if stated is None:
                unvouched.append(name)
            elif _digest_like(stated, file) != stated:
                raise ModelError(
                    f"model {folder}: {name} has another digest than the one that is stated of it ({stated[:12]}): it is "
                    f"damaged, or was changed. Copy or download it again."
                )
            num_tensors += check_finite_weights(file) if file.suffix == ".safetensors" else 0
    return Verified(
        digest=checkpoint.digest, num_files=files, num_tensors=num_tensors, unvouched=tuple(sorted(unvouched))
    )


def check_finite_weights(file: Path) -> int:
    """The number of tensors in a file. Raises ModelError where one has a NaN or an infinite number."""
    bad: list[str] = []
    count = 0
    try:
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118
                count += 1
                tensor = tensors.get_tensor(name)
                if tensor.is_floating_point() and not bool(torch.isfinite(_comparable(tensor)).all()):
                    bad.append(name)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{file} cannot be read: {error}. Copy the file again.") from None
    if bad:
        listed = ", ".join(bad[:_SHOWN]) + (", ..." if len(bad) > _SHOWN else "")
        raise ModelError(
            f"{file}: found NaN or infinite weights in {len(bad)} of {count} tensors ({listed}), expected numbers: every score "
            f"would be none. Copy the file again, or train again."
        )
    return count


def _comparable(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.element_size() == 1 else tensor  # torch asks no 8-bit number whether it is finite


def _sums(folder: Path) -> dict[str, str]:
    """Name to sha256, as `sha256sum` writes them."""
    file = folder / SUMS_FILE
    if not file.is_file():
        return {}
    matches = (_SUM_LINE.fullmatch(line.strip()) for line in file.read_text("utf-8", "replace").splitlines())
    return {match["name"].removeprefix("./"): match["digest"] for match in matches if match}


def _hub_digest(folder: Path, file: Path) -> str | None:
    """The digest by which the model hub knows a file: the name of the blob that a cache's link leads to, or the second line of
    the note that a download into a folder leaves. None where it knows none."""
    candidates: Iterator[str] = iter(())
    note = folder / ".cache" / "huggingface" / "download" / f"{file.relative_to(folder).as_posix()}.metadata"
    if file.is_symlink() and file.resolve().parent.name == "blobs":
        candidates = iter([file.resolve().name])
    elif note.is_file():
        candidates = iter(note.read_text("utf-8", "replace").splitlines()[1:2])
    found = next(candidates, "").strip()
    return found if _SHA256.fullmatch(found) or _GIT_SHA1.fullmatch(found) else None


def _digest_like(stated: str, file: Path) -> str:
    """The digest of a file of the kind that is stated: sha256, or that of a blob of git."""
    if _SHA256.fullmatch(stated):
        return file_digest(file)
    content = hashlib.sha1(f"blob {file.stat().st_size}\0".encode(), usedforsecurity=False)
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            content.update(block)
    return content.hexdigest()
