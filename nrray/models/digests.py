"""Digests of checkpoint folders, and stamps of their files, by which an unchanged folder is known without reading it."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_READ_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class FileStamp:
    """Size and time of a file; name: relative to its folder."""

    name: str
    size_bytes: int
    modified_ns: int


def folder_digest(folder: Path) -> str:
    """sha256 over names and contents of the folder's files, in order of name, but those that no code reads: hidden
    files and texts for people (*.md)."""
    total = hashlib.sha256()
    for file in read_files(folder):
        total.update(file.relative_to(folder).as_posix().encode() + b"\0")
        total.update(bytes.fromhex(file_digest(file)))
    return total.hexdigest()


def folder_stamps(folder: Path) -> tuple[FileStamp, ...]:
    """Stamps of the files that `folder_digest` reads, in the same order."""
    facts = [(file, file.stat()) for file in read_files(folder)]
    return tuple(
        FileStamp(name=file.relative_to(folder).as_posix(), size_bytes=fact.st_size, modified_ns=fact.st_mtime_ns)
        for file, fact in facts
    )


def file_digests(folder: Path) -> dict[str, str]:
    """Name to sha256 of the files right in the folder, but those that no code reads."""
    return {file.name: file_digest(file) for file in read_files(folder) if file.parent == folder}


def file_digest(file: Path) -> str:
    """sha256 of the file's content."""
    content = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(_READ_BYTES):
            content.update(block)
    return content.hexdigest()


def read_files(folder: Path) -> Iterator[Path]:
    """The files of a checkpoint that code reads, in order of name."""
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        if not file.name.startswith(".") and file.suffix.lower() != ".md":
            yield file
