"""The files of an archive whose names are those of videos: a walk over a folder or any fsspec URI. Opens no file. What the
walk cannot look into does not end it, and is told."""

import errno
import os
import posixpath
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from fsspec import AbstractFileSystem
from fsspec.asyn import AsyncFileSystem

from nrray.errors import DataError, DecodeError, ErrorKind
from nrray.pipelines.scan.sniffing import SNIFFED_BYTES, is_video_start
from nrray.storage import absolute_uri, is_local, located, source_facts, storage_errors

VIDEO_SUFFIXES: tuple[str, ...] = (
    *(
        ".264",
        ".265",
        ".3g2",
        ".3gp",
        ".amv",
        ".asf",
        ".avc",
        ".avi",
        ".dav",
        ".divx",
        ".dv",
        ".dvr-ms",
        ".evo",
        ".f4v",
        ".flv",
    ),
    *(
        ".h264",
        ".h265",
        ".hevc",
        ".insv",
        ".ivf",
        ".lrf",
        ".lrv",
        ".m1v",
        ".m2p",
        ".m2t",
        ".m2ts",
        ".m2v",
        ".m4v",
        ".mjpeg",
    ),
    *(
        ".mjpg",
        ".mkv",
        ".mod",
        ".mov",
        ".mp4",
        ".mpe",
        ".mpeg",
        ".mpg",
        ".mts",
        ".mxf",
        ".nut",
        ".ogm",
        ".ogv",
        ".ps",
        ".qt",
    ),
    *(".rm", ".rmvb", ".tod", ".trp", ".ts", ".vob", ".vro", ".webm", ".wmv", ".wtv", ".y4m"),
)
# Files of these suffixes are not opened to see whether they are videos after all.
_OF_OTHER_KINDS = frozenset(
    {
        *(
            ".aac",
            ".bmp",
            ".csv",
            ".db",
            ".docx",
            ".eaf",
            ".flac",
            ".gif",
            ".heic",
            ".htm",
            ".html",
            ".ini",
            ".jpeg",
            ".jpg",
        ),
        *(
            ".json",
            ".log",
            ".m4a",
            ".md",
            ".mp3",
            ".ogg",
            ".parquet",
            ".pdf",
            ".png",
            ".pptx",
            ".py",
            ".srt",
            ".thm",
            ".tif",
        ),
        *(".tiff", ".tmp", ".tsv", ".txt", ".vtt", ".wav", ".webp", ".xlsx", ".xml", ".yaml", ".yml", ".zip"),
    }
)

LINKED_FOLDERS = "links to folders"
SPECIAL_FILES = "pipes, sockets and devices"
VIDEO_FOLDERS = "folders named like videos"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A file that the walk found. One whose name is no valid text cannot be named in a table, and is not `nameable`:
    path and uri then show its bytes escaped."""

    path: str  # relative to the archive, with forward slashes
    uri: str
    size_bytes: int
    modified_us: int
    nameable: bool = True


@dataclass(frozen=True, kw_only=True)
class Unlisted:
    """A folder or a link below the archive that the walk could not look into, and why: there may be videos behind it."""

    path: str  # relative to the archive, with forward slashes
    reason: str

    def hides(self, path: str) -> bool:
        """Whether a file of this path would not have been found."""
        return path == self.path or path.startswith(f"{self.path}/")


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Video files of an archive sorted by path, counts of other files by suffix or kind, and what could not be looked into."""

    files: list[Listed]
    ignored: Counter[str]
    unlisted: list[Unlisted]


@dataclass(frozen=True, kw_only=True)
class _Walk:
    """What a walk leaves out. sniffs: whether files of suffixes that nobody knows are opened."""

    suffixes: frozenset[str]
    sniffs: bool = False
    ignored: Counter[str] = field(default_factory=Counter)
    unlisted: list[Unlisted] = field(default_factory=list)

    def is_wanted(self, path: str) -> bool:
        """Whether a file's name may be that of a video."""
        suffix = PurePosixPath(path).suffix.lower()
        return not suffix or suffix in self.suffixes

    def cannot_look_into(self, path: str, reason: str) -> None:
        self.unlisted.append(Unlisted(path=path, reason=reason))


def listed_files(archive: str, suffixes: set[str], *, sniffs: bool = False) -> Listing:
    """All video files below `archive`; with `sniffs`, also local ones whose first bytes are those of a video, whatever their
    suffix.

    Hidden files and folders are ignored; folders behind symbolic links are not entered. Raises DataError, StorageError.
    """
    archive = absolute_uri(archive)
    walk = _Walk(
        suffixes=frozenset(suffix.lower() if suffix.startswith(".") else f".{suffix.lower()}" for suffix in suffixes),
        sniffs=sniffs,
    )
    found: list[Listed] = []
    for file in _local_files(archive, walk) if is_local(archive) else _remote_files(archive, walk):
        if walk.is_wanted(file.path) or (walk.sniffs and _begins_as_video(file)):
            found.append(file)
        else:
            walk.ignored[PurePosixPath(file.path).suffix.lower()] += 1
    return Listing(
        files=sorted(found, key=lambda file: file.path),
        ignored=walk.ignored,
        unlisted=sorted(walk.unlisted, key=lambda item: item.path),
    )


def _begins_as_video(file: Listed) -> bool:
    if not file.nameable or not is_local(file.uri) or PurePosixPath(file.path).suffix.lower() in _OF_OTHER_KINDS:
        return False
    try:
        with open(file.uri, "rb") as opened:
            return is_video_start(opened.read(SNIFFED_BYTES))
    except OSError:
        return False


def _local_files(archive: str, walk: _Walk) -> Iterator[Listed]:
    root = Path(archive)
    try:
        kind = root.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"archive folder not found: {archive}. Is the path right, and is it mounted?") from None
    except (OSError, ValueError) as error:  # a name that no file system takes, among others
        reason = _reason(error) if isinstance(error, OSError) else error
        raise DataError(f"archive folder {archive} cannot be looked into: {reason}.") from None
    if not stat.S_ISDIR(kind):
        raise DataError(f"{archive} is a file; expected the folder that holds the videos.")

    def relative(full: str) -> str:
        return _shown(os.path.relpath(full, root).replace(os.sep, "/"))

    def note(error: OSError) -> None:
        if error.filename == os.fspath(root):
            raise DataError(f"cannot list {archive}: {_reason(error)}. Change its mode or owner.") from error
        if error.errno != errno.ENOENT:  # else it went away meanwhile
            walk.cannot_look_into(relative(error.filename), _reason(error))

    for folder, folders, names in os.walk(root, onerror=note):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        walk.ignored.update(LINKED_FOLDERS for name in folders if os.path.islink(os.path.join(folder, name)))
        walk.ignored.update(VIDEO_FOLDERS for name in folders if PurePosixPath(name).suffix.lower() in walk.suffixes)
        for name in sorted(name for name in names if not name.startswith(".")):
            full = os.path.join(folder, name)
            path = relative(full)
            try:
                facts = os.stat(full)
            except OSError as error:
                # else a file of no interest, or one that went away meanwhile
                if walk.is_wanted(path) and (os.path.islink(full) or error.errno != errno.ENOENT):
                    walk.cannot_look_into(path, _reason_of_file(full, error))
                continue
            if not stat.S_ISREG(facts.st_mode):
                walk.ignored[SPECIAL_FILES] += 1
            else:
                yield Listed(
                    path=path,
                    uri=_shown(full),
                    size_bytes=facts.st_size,
                    modified_us=facts.st_mtime_ns // 1000,
                    nameable=_shown(full) == full,
                )


def _remote_files(archive: str, walk: _Walk) -> Iterator[Listed]:
    fs, root = located(archive)
    with storage_errors(f"cannot list {archive}"):
        fs.invalidate_cache()
        if not fs.isdir(root):
            raise DataError(f"archive not found: {archive}")
    for full in _remote_paths(fs, root, walk, archive=archive):
        path = posixpath.relpath(full, root)
        if any(part.startswith(".") for part in path.split("/")):
            continue
        uri = fs.unstrip_protocol(full)
        try:
            size_bytes, modified_us = source_facts(uri)
        except DecodeError as error:
            if error.kind is not ErrorKind.MISSING and walk.is_wanted(path):  # a missing one went away meanwhile
                walk.cannot_look_into(path, str(error))
            continue
        yield Listed(path=path, uri=uri, size_bytes=size_bytes, modified_us=modified_us)


def _remote_paths(fs: AbstractFileSystem, root: str, walk: _Walk, *, archive: str) -> Iterator[str]:
    """Paths of all files: a store that lists all of them at once is asked for that, else folder by folder, as fsspec's own walk
    leaves out, in silence, what it cannot list."""
    own_async = getattr(type(fs), "_find", AsyncFileSystem._find)
    if own_async is not AsyncFileSystem._find or type(fs).find is not AbstractFileSystem.find:
        with storage_errors(f"cannot list {archive}"):
            yield from sorted(fs.find(root))
        return
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            entries = fs.ls(folder, detail=True)
        except OSError as error:
            if folder == root:
                raise DataError(f"cannot list {archive}: {_reason(error)}.") from error
            walk.cannot_look_into(posixpath.relpath(folder, root), _reason(error))
            continue
        below = {entry["name"].rstrip("/"): entry["type"] for entry in entries}
        below.pop(folder.rstrip("/"), None)  # some name the folder itself
        folders += [name for name, kind in below.items() if kind == "directory"]
        yield from (name for name, kind in below.items() if kind != "directory")


def _reason(error: OSError) -> str:
    return (error.strerror or str(error) or type(error).__name__).lower()


def _reason_of_file(full: str, error: OSError) -> str:
    if not os.path.islink(full):
        return _reason(error)
    target = _shown(os.readlink(full))
    if error.errno == errno.ELOOP:
        return f"a link to {target}, and so in a circle to itself"
    return f"a link to {target}: {_reason(error)}"


def _shown(path: str) -> str:
    """`path` as text: bytes that are no UTF-8 escaped."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
