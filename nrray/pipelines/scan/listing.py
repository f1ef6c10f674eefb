"""The files of an archive whose names are those of videos: a walk over a folder or any fsspec URI. Opens no file."""

import os
import posixpath
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from nrray.errors import DataError, DecodeError
from nrray.storage import absolute_uri, is_local, located, source_facts

VIDEO_SUFFIXES: tuple[str, ...] = (
    *(".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".h264", ".h265", ".hevc", ".ivf", ".m2ts", ".m2v"),
    *(".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogm", ".ogv", ".qt"),
    *(".ts", ".vob", ".webm", ".wmv", ".y4m"),
)


LINKED_FOLDERS, DANGLING_LINKS = "links to folders", "links to nothing"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A file that the walk found. One whose name is no valid text cannot be named in a table, and is not `nameable`:
    path and uri then show its bytes escaped."""

    path: str  # relative to the archive, with forward slashes
    uri: str
    size_bytes: int
    modified_us: int
    nameable: bool = True


def listed_files(archive: str, suffixes: set[str]) -> tuple[list[Listed], Counter[str]]:
    """All video files below `archive`, sorted by path, and counts of the ignored files, by suffix or kind.

    Hidden files and folders are ignored; folders behind symbolic links are not entered. Raises DataError.
    """
    archive = absolute_uri(archive)
    suffixes = {suffix.lower() if suffix.startswith(".") else f".{suffix.lower()}" for suffix in suffixes}
    found: list[Listed] = []
    ignored: Counter[str] = Counter()
    for file in _local_files(archive, ignored) if is_local(archive) else _remote_files(archive):
        suffix = PurePosixPath(file.path).suffix.lower()
        if suffix and suffix not in suffixes:
            ignored[suffix] += 1
            continue
        found.append(file)
    return sorted(found, key=lambda file: file.path), ignored


def _local_files(archive: str, ignored: Counter[str]) -> Iterator[Listed]:
    root = Path(archive)
    if root.is_file():
        raise DataError(f"{archive} is a file; expected the folder that holds the videos.")
    if not root.is_dir():
        raise DataError(f"archive folder not found: {archive}")

    def refuse(error: OSError) -> None:
        raise DataError(f"cannot list {error.filename}: {error.strerror}") from error

    for folder, folders, names in os.walk(root, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        ignored.update(LINKED_FOLDERS for name in folders if os.path.islink(os.path.join(folder, name)))
        for name in sorted(names):
            full = os.path.join(folder, name)
            try:
                facts = os.stat(full)
            except OSError:
                if os.path.islink(full):
                    ignored[DANGLING_LINKS] += 1
                continue  # or a file that went away meanwhile
            if name.startswith(".") or not stat.S_ISREG(facts.st_mode):
                continue  # sockets, pipes and devices are no files
            yield Listed(
                path=_shown(os.path.relpath(full, root).replace(os.sep, "/")),
                uri=_shown(full),
                size_bytes=facts.st_size,
                modified_us=facts.st_mtime_ns // 1000,
                nameable=_shown(full) == full,
            )


def _remote_files(archive: str) -> Iterator[Listed]:
    fs, root = located(archive)
    fs.invalidate_cache()
    if not fs.isdir(root):
        raise DataError(f"archive not found: {archive}")
    for full in fs.find(root):
        relative = posixpath.relpath(full, root)
        if any(part.startswith(".") for part in relative.split("/")):
            continue
        uri = fs.unstrip_protocol(full)
        try:
            size_bytes, modified_us = source_facts(uri)
        except DecodeError:
            continue  # it went away meanwhile
        yield Listed(path=relative, uri=uri, size_bytes=size_bytes, modified_us=modified_us)


def _shown(path: str) -> str:
    """`path` as text: bytes that are no UTF-8 escaped."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
