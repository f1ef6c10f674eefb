"""Which video of the archive a name in an annotation file means, how long it is and how fast its frames come."""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from nrray.errors import DataError
from nrray.types import US_PER_SECOND, Video
from nrray.wording import counted

_UPLOAD_PREFIX = re.compile(r"[0-9a-f]{8}-")  # Label Studio puts it before the name of an uploaded file

_MAX_LISTED = 20


class UnknownVideoError(DataError):
    """Annotations of a video that the manifest does not have; `mention` is the name that the file gives it, and the place."""

    def __init__(self, message: str, *, mention: str) -> None:
        super().__init__(message)
        self.mention = mention


def all_unknown(errors: Sequence[UnknownVideoError], videos: "KnownVideos") -> DataError:
    """One error for all of them, so that they are mended at once."""
    mentions = list(dict.fromkeys(error.mention for error in errors))
    if len(mentions) == 1:
        return errors[0]
    listed = "; ".join(mentions[:_MAX_LISTED]) + (
        f"; and {len(mentions) - _MAX_LISTED} more" if len(mentions) > _MAX_LISTED else ""
    )
    return DataError(
        f"{len(mentions)} names are of no video of the manifest{videos.examples()}: {listed}. Say which are meant, "
        f"videos={{NAME: PATH, ...}}, name files like their videos, or scan the archive that holds them."
    )


class KnownVideos:
    """The manifest's videos, found by the names that annotation files use.

    `only` is the path of the one video that everything is of, `renamed` their names to paths; `fps` stands in for measured
    rates.
    """

    def __init__(
        self,
        videos: Sequence[Video],
        *,
        only: str | None = None,
        renamed: Mapping[str, str] | None = None,
        fps: float | None = None,
    ) -> None:
        self._renamed = dict(renamed or {})
        self._by_path = {video.path: video for video in videos}
        self._by_base: dict[str, list[Video]] = {}
        self._by_stem: dict[str, list[Video]] = {}
        for video in videos:
            base = PurePosixPath(video.path).name
            self._by_base.setdefault(base, []).append(video)
            self._by_stem.setdefault(_stem(base), []).append(video)
        self._fps = fps
        self._only = self.named(only, where="option `video`") if only is not None else None
        self.variable_rate_paths: set[str] = set()  # of videos whose frame numbers were turned into times

    @property
    def only(self) -> Video | None:
        return self._only

    def of(self, name: str | None, *, file: str, where: str) -> Video:
        """The video that `file` means with `name`, or that it belongs to by its own name where it gives none.

        Raises DataError where there is none, or more than one.
        """
        if self._only is not None:
            return self._only
        return self.named(name, where=where) if name is not None else self._beside(file)

    def named(self, name: str, *, where: str) -> Video:
        """By its new name in `renamed`, by exact relative path, else by base name. Raises DataError."""
        candidates = [self._renamed[name]] if name in self._renamed else _candidates(name)
        for candidate in candidates:
            if candidate in self._by_path:
                return self._by_path[candidate]
        for candidate in candidates:
            found = self._by_base.get(PurePosixPath(candidate).name, [])
            if found:
                return _the_one(found, name, where)
        raise UnknownVideoError(
            f"{where}: no video of the manifest is called {name!r}{self.examples()}. Say which is meant, "
            f"videos={{{name!r}: PATH}}, or scan the archive that holds it.",
            mention=f"{name!r} ({where})",
        )

    def frame_rate(self, video: Video, *, where: str) -> float:
        """Frames per second for frame numbers of `video`. Raises DataError where none is known."""
        if video.is_variable_fps:
            self.variable_rate_paths.add(video.path)
        rate = self._fps or video.measured_fps
        if not rate:
            raise DataError(f"{where}: times are frame numbers and the manifest has no rate of {video.path}: set fps")
        return rate

    def span_us(self, video: Video, *, where: str) -> tuple[int, int]:
        """The time from the first to the end of the last frame. Raises DataError for an unreadable file."""
        if video.duration_us is None:
            raise DataError(
                f"{where}: the length of {video.path} is not known, the scan could not read it ({video.reason})"
            )
        start_us = video.start_us or 0
        return start_us, start_us + video.duration_us

    def _beside(self, file: str) -> Video:
        """By the annotation file's own path, less its suffix: `cam1/v.mp4.txt`, or `v.txt` for `v.mp4`."""
        parts = PurePosixPath(file.replace("\\", "/")).with_suffix("").parts
        for first in range(len(parts)):
            if (path := "/".join(parts[first:])) in self._by_path:
                return self._by_path[path]
        for index, key in ((self._by_base, parts[-1]), (self._by_stem, parts[-1])):
            if found := index.get(key):
                return _the_one(found, key, file)
        raise UnknownVideoError(
            f"{file} does not say which video it is of, and no video of the manifest is called "
            f"{parts[-1]!r}{self.examples()}. Set video=PATH, or name the file like its video.",
            mention=f"{parts[-1]!r} ({file})",
        )

    def examples(self) -> str:
        return f" (it has {counted(len(self._by_path), 'video')}, such as {sorted(self._by_path)[:2]})"


def _the_one(found: list[Video], name: str, where: str) -> Video:
    if len(found) > 1:
        paths = [video.path for video in found]
        raise DataError(
            f"{where}: {name!r} may be {counted(len(paths), 'video')} of the manifest: {sorted(paths)[:3]}. "
            f"Give the path relative to the archive, or set video=PATH."
        )
    return found[0]


def _stem(base: str) -> str:
    return base.rsplit(".", 1)[0]


def _candidates(name: str) -> list[str]:
    """Paths that `name`, a path of any system or a URL, may stand for, likeliest first."""
    plain = name.strip().replace("\\", "/")
    found = [plain]
    if "://" in plain or plain.startswith(("file:", "/data/")):
        parts = urlsplit(plain)
        found += parse_qs(parts.query).get("d", [])  # Label Studio's local files: /data/local-files/?d=folder/v.mp4
        found.append(unquote(parts.path))
    found += [path.removeprefix("./") for path in found] + [path.lstrip("/") for path in found]
    base = PurePosixPath(found[-1]).name
    if _UPLOAD_PREFIX.match(base):
        found.append(base[9:])
    return list(dict.fromkeys(path for path in found if path))


def seconds_text(time_us: int) -> str:
    return f"{time_us / US_PER_SECOND:.3f} s"
