"""Links from a report to what it is about: videos at a time, and timeline pictures. Only files that are there get one."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pyarrow.compute as pc

from nrray.errors import DataError, StorageError
from nrray.report.version_timelines import timeline_files
from nrray.results.version import RECORD_FILE, read_version_record
from nrray.storage import Folder, is_local, read_table
from nrray.types import US_PER_SECOND

LEAD_US = US_PER_SECOND  # a player starts so long before a moment


@dataclass(frozen=True, kw_only=True)
class VideoLinks:
    """Of one video. video: its address, None where a browser cannot open it; first_us: the presentation time that a player
    calls 0; timeline: the address of its picture."""

    video: str | None = None
    first_us: int = 0
    timeline: str | None = None

    def at(self, start_us: int) -> str | None:
        """The address of a moment of the video, a media fragment (W3C 2012)."""
        if self.video is None:
            return None
        return f"{self.video}#t={max(start_us - self.first_us - LEAD_US, 0) / US_PER_SECOND:.1f}"


@dataclass(frozen=True, kw_only=True)
class ReviewLinks:
    """Links by path of the video; missing: why there are none into videos."""

    by_path: dict[str, VideoLinks]
    missing: str | None = None

    def of(self, path: str) -> VideoLinks:
        """Those of one video."""
        return self.by_path.get(path, VideoLinks())


def review_links(candidate: str, manifest: str | None, paths: Sequence[str], *, report: Folder) -> ReviewLinks:
    """Links from a report in the folder `report`. candidate: a labelling; manifest: that of the settings, or none: then that
    which the candidate was made from."""
    version = Folder(candidate)
    if not version.exists(RECORD_FILE) and (version / "latest").exists(RECORD_FILE):
        version = version / "latest"
    pictures = _pictures(version, paths, report) if report.is_local else {}
    missing = None
    videos: dict[str, VideoLinks] = {}
    try:
        if manifest is None and version.exists(RECORD_FILE):
            manifest = read_version_record(version).manifest
        if manifest is None:
            missing = "Give manifest=... for links into the videos."
        elif report.is_local:
            videos = _videos(manifest, paths, report)
    except (DataError, StorageError) as error:
        missing = f"No links into the videos: {error}"
    return ReviewLinks(
        by_path={
            path: VideoLinks(
                video=videos[path].video if path in videos else None,
                first_us=videos[path].first_us if path in videos else 0,
                timeline=pictures.get(path),
            )
            for path in paths
        },
        missing=missing,
    )


def _videos(manifest: str, paths: Sequence[str], report: Folder) -> dict[str, VideoLinks]:
    table = read_table(manifest)
    if absent := [name for name in ("path", "uri", "start_us") if name not in table.column_names]:
        raise DataError(f"{manifest} is no manifest of `nrray scan`: it lacks the columns {absent}")
    rows = table.filter(pc.field("path").isin(list(paths))).select(["path", "uri", "start_us"]).to_pylist()
    return {
        row["path"]: VideoLinks(video=address, first_us=row["start_us"] or 0)
        for row in rows
        if (address := _relative(row["uri"], report)) is not None
    }


def _pictures(version: Folder, paths: Sequence[str], report: Folder) -> dict[str, str]:
    if not version.is_local or not version.exists("timelines"):
        return {}
    named = timeline_files(version.path())
    addresses = {path: _relative(version.path(f"timelines/{named[path]}"), report) for path in paths if path in named}
    return {path: address for path, address in addresses.items() if address is not None}


def _relative(uri: str, report: Folder) -> str | None:
    """The address of a local file for a page in `report`, so that both may be moved together; None where there is no such
    file."""
    if not is_local(uri):
        return None
    file = uri.removeprefix("file://")
    if not os.path.isfile(file):  # a folder that may not be entered has none
        return None
    return quote(Path(os.path.relpath(file, report.path())).as_posix())
