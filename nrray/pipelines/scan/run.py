"""`nrray scan`: walk an archive, probe new and changed files in parallel, write the manifest and join the cases."""

import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial

import pyarrow as pa
from pydantic import Field

from nrray.archive.cases import Cases, cases_table, read_cases
from nrray.archive.manifest import (
    CHUNK_BYTES,
    content_id_of,
    manifest_table,
    manifest_videos,
    video_id_of,
)
from nrray.config import Section
from nrray.console.progress import Progress
from nrray.console.reporter import Reporter
from nrray.console.run_record import keep_record, refuse_other_output
from nrray.decode import DecodeConfig, GuardedDecoder
from nrray.errors import DataError, DecodeError, ErrorKind
from nrray.pipelines.job_folder import refuse_job_folder
from nrray.pipelines.on_ray.pools import PoolRequest, cluster_capacity, planned_pools
from nrray.pipelines.on_ray.session import ray_session
from nrray.pipelines.on_ray.streaming import PooledStage, streamed_rows
from nrray.pipelines.scan.listing import VIDEO_SUFFIXES, Listed, Listing, listed_files
from nrray.pipelines.scan.report import Scanned
from nrray.storage import Folder, absolute_uri, located, source_facts
from nrray.tables import rows_from_table, table_from_rows
from nrray.types import US_PER_SECOND, ProbeStatus, Video
from nrray.wording import counted

STALL_SECONDS = 1800  # without a probed file for so long, the scan ends with an error

PARTIAL_FILE, PARTIAL_SECONDS = "manifest-partial.parquet", 30.0  # of a scan that is not done

# Probing again gives the same error as long as the file is the same.
_BAD_FOR_GOOD = frozenset({ErrorKind.EMPTY.value, ErrorKind.NO_VIDEO.value, ErrorKind.ENCRYPTED.value})

SETTLE_SECONDS = 2.0  # a file modified this recently is examined twice


class ScanConfig(Section):
    """The archive to scan, and the folder for its manifest."""

    archive: str = Field(description="folder or URI of the videos")
    output: str = Field(description="folder or URI for manifest.parquet and cases.parquet")
    cases: str | None = Field(None, description="sidecar table (CSV or Parquet) with the case that each video shows")
    suffixes: tuple[str, ...] = Field(
        VIDEO_SUFFIXES,
        description="suffixes of videos; files without a suffix, or that begin as videos do, are taken too",
    )
    decode: DecodeConfig = DecodeConfig()


def scan(config: ScanConfig, reporter: Reporter, *, dry_run: bool = False) -> Scanned:
    """Bring the manifest up to date. Raises ConfigError, DataError, ResourcesError, StorageError."""
    for name in ("archive", "output"):
        refuse_job_folder(getattr(config, name), name)
    # Whoever names suffixes wants these and no others.
    listing = listed_files(config.archive, set(config.suffixes), sniffs=config.suffixes == VIDEO_SUFFIXES)
    files, output = listing.files, Folder(config.output)
    before = _previous(output)
    paths = {file.path for file in files}
    hidden = {path for path in before.keys() - paths if any(item.hides(path) for item in listing.unlisted)}
    if not files and not hidden:
        raise _without_videos(config, listing, num_known=len(before))
    fresh = [file for file in files if not _is_unchanged(file, before.get(file.path))]
    removed = before.keys() - paths - hidden
    reporter.say(
        f"{len(files)} video files in {absolute_uri(config.archive)}: {len(fresh)} to probe, "
        f"{len(files) - len(fresh)} known, {len(removed)} gone"
        + (f", {len(hidden)} known that cannot be looked at now" if hidden else "")
    )
    if listing.unlisted:
        first = listing.unlisted[0]
        reporter.say(
            f"{len(listing.unlisted)} folders or links cannot be looked into, first {first.path}: {first.reason}"
        )
    manifest_uri = f"{output.uri.rstrip('/')}/manifest.parquet"
    scanned = partial(
        Scanned,
        manifest=manifest_uri,
        num_removed=len(removed),
        ignored=listing.ignored,
        unlisted=listing.unlisted,
        num_kept=len(hidden),
    )
    if dry_run:
        reporter.say("dry run: nothing was probed, nothing was written")
        known = [video for path, video in before.items() if path in paths | hidden]
        return scanned(videos=known, num_probed=0, seconds=0.0, cases=Cases())
    refuse_other_output(output, "scan")
    output.create()
    keep_record(output, "scan", config)
    sidecar = read_cases(absolute_uri(config.cases)) if config.cases is not None else None
    started = time.monotonic()
    probed = _probed_and_kept(fresh, config.decode, output, reporter)
    seconds = time.monotonic() - started
    videos = [probed.get(file.path) or before[file.path] for file in files]
    videos += [before[path] for path in sorted(hidden)]
    output.write_table("manifest.parquet", manifest_table(videos))
    output.remove(PARTIAL_FILE)
    cases = _joined_cases(config, sidecar, videos, output, reporter)
    return scanned(videos=videos, num_probed=len(probed), seconds=seconds, cases=cases)


def _without_videos(config: ScanConfig, listing: Listing, *, num_known: int) -> DataError:
    """The error of an archive in which no video was found."""
    archive = absolute_uri(config.archive)
    if num_known:
        return DataError(
            f"none of the {num_known} known videos is in {archive} any more: is it mounted? Nothing was changed; for an archive "
            f"that is really empty choose another output."
        )
    others = ", ".join(f"{count} {kind}" for kind, count in listing.ignored.most_common(8)) or "nothing"
    unlisted = "".join(
        f"; {len(listing.unlisted)} folders or links could not be looked into, first {item.path} ({item.reason})"
        for item in listing.unlisted[:1]
    )
    return DataError(
        f"no video in {archive}: found {others}{unlisted}. Looked in it and its folders, but hidden ones and those behind links, "
        f"for files without a suffix or with one of {' '.join(config.suffixes)}. Is it the right folder, and is it mounted? "
        f"Other suffixes: --set suffixes=[.abc]. Nothing was written."
    )


def _previous(output: Folder) -> dict[str, Video]:
    """The videos that earlier scans found, a killed scan among them."""
    found: dict[str, Video] = {}
    for name in ("manifest.parquet", PARTIAL_FILE):
        if output.exists(name):
            found |= {video.path: video for video in manifest_videos(output.read_table(name))}
    return found


def _is_unchanged(file: Listed, known: Video | None) -> bool:
    if known is None:
        return False
    if known.status is ProbeStatus.BAD and known.error_kind not in _BAD_FOR_GOOD:
        return False  # a setting, a permission or the network may have been at fault
    return (file.uri, file.size_bytes, file.modified_us) == (known.uri, known.size_bytes, known.modified_us)


class ProbeStage:
    """Rows of `Listed` to rows of `Video`, in an actor that owns one guarded decoder. Raises for no file."""

    def __init__(self, decode: DecodeConfig) -> None:
        self._decoder = GuardedDecoder(decode)

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        for file in rows_from_table(batch, Listed):
            yield table_from_rows([probed_video(file, self._decoder)], Video)


def probed_video(file: Listed, decoder: GuardedDecoder) -> Video:
    """The manifest row of a file; a bad file is a row with its reason."""
    content_id = ""
    try:
        size_bytes, modified_us = _settled_facts(file)
        content_id = _content_id(file.uri, size_bytes)
        video = Video(
            video_id=video_id_of(content_id, file.path),
            content_id=content_id,
            uri=file.uri,
            path=file.path,
            size_bytes=size_bytes,
            modified_us=modified_us,
            status=ProbeStatus.OK,
        )
        if size_bytes == 0:
            raise DecodeError(ErrorKind.EMPTY, "the file has zero bytes")
        video = replace(video, **asdict(decoder.probe(file.uri)))
        if source_facts(file.uri) != (size_bytes, modified_us):
            raise DecodeError(
                ErrorKind.STILL_GROWING, "the file changed while it was probed: scan again when it is whole"
            )
    except DecodeError as error:
        return Video(
            video_id=video_id_of(content_id, file.path),
            content_id=content_id,
            uri=file.uri,
            path=file.path,
            size_bytes=file.size_bytes,
            modified_us=file.modified_us,
            status=ProbeStatus.BAD,
            error_kind=error.kind.value,
            reason=str(error),
        )
    return video


def _settled_facts(file: Listed) -> tuple[int, int]:
    """Size and modification time, read again where the file was modified a moment ago.

    Raises DecodeError(STILL_GROWING) where they then differ.
    """
    facts = source_facts(file.uri)
    age_seconds = time.time() - facts[1] / US_PER_SECOND
    if 0 <= age_seconds < SETTLE_SECONDS:
        time.sleep(SETTLE_SECONDS - age_seconds)
        if source_facts(file.uri) != facts:
            raise DecodeError(ErrorKind.STILL_GROWING, "the file is being written: scan again when it is whole")
    return facts


def _content_id(uri: str, size_bytes: int) -> str:
    starts = sorted({0, max(size_bytes // 2 - CHUNK_BYTES // 2, 0), max(size_bytes - CHUNK_BYTES, 0)})
    fs, path = located(uri)
    try:
        with fs.open(path, "rb") as file:
            chunks = []
            for start in starts:
                file.seek(start)
                chunks.append(file.read(CHUNK_BYTES))
    except OSError as error:
        raise DecodeError(ErrorKind.UNREADABLE, f"cannot be read: {error}") from None
    return content_id_of(size_bytes, chunks)


def _probed_and_kept(files: list[Listed], decode: DecodeConfig, output: Folder, reporter: Reporter) -> dict[str, Video]:
    """Manifest rows by path. They are written now and then, so that a killed scan goes on from there."""
    probed: dict[str, Video] = {}
    written = time.monotonic()
    for video in _probed(files, decode, reporter):
        probed[video.path] = video
        if time.monotonic() - written > PARTIAL_SECONDS:
            output.write_table(PARTIAL_FILE, manifest_table(list(probed.values())))
            written = time.monotonic()
    return probed


def _probed(files: list[Listed], decode: DecodeConfig, reporter: Reporter) -> Iterator[Video]:
    """One manifest row per file."""
    named = [file for file in files if file.nameable]
    yield from (_unnameable(file) for file in files if not file.nameable)
    if not named:
        return
    progress = Progress(
        console=reporter.console,
        verb="scan",
        total_units=len(named),
        total_us=0,  # what a probe tells
        unit="files",
        quiet=reporter.is_silent,
    )
    with progress, ray_session():
        (probers,) = planned_pools(
            [PoolRequest(name="probers", count="auto")], cluster_capacity(), num_units=len(named)
        )
        table = table_from_rows(named, Listed)
        rows = max(1, min(16, table.num_rows // (probers.count * 16)))
        for row in streamed_rows(
            [table.slice(start, rows) for start in range(0, table.num_rows, rows)],
            [PooledStage(actor=ProbeStage, arguments={"decode": decode}, pool=probers)],
            stall_timeout_seconds=STALL_SECONDS,
        ):
            (video,) = manifest_videos(row)
            progress.add(video_us=video.duration_us or 0, error_kind=video.error_kind)
            yield video


def _unnameable(file: Listed) -> Video:
    return Video(
        video_id=video_id_of("", file.path),
        content_id="",
        uri=file.uri,
        path=file.path,
        size_bytes=file.size_bytes,
        modified_us=file.modified_us,
        status=ProbeStatus.BAD,
        error_kind=ErrorKind.UNREADABLE.value,
        reason="the file name is not valid UTF-8: rename the file",
    )


def _joined_cases(
    config: ScanConfig, cases: Cases | None, videos: list[Video], output: Folder, reporter: Reporter
) -> Cases:
    """Check the sidecar against the manifest and write it beside it. Without one, a video is its own case."""
    if cases is None:
        output.remove("cases.parquet")
        return Cases()
    paths = {video.path for video in videos}
    named = set(cases.by_path)
    if absent := sorted(named - paths):
        reporter.say(f"Not in the archive: {counted(len(absent), 'video')} of {config.cases}, first {absent[0]!r}")
    if without := sorted(paths - named):
        reporter.say(
            f"Without a row in {config.cases}: {counted(len(without), 'video')}, first {without[0]!r}; each is its own case"
        )
    if named and not named & paths:
        raise DataError(
            f"no video_path of {config.cases} is in the archive: it has {min(named)!r}, the archive {min(paths, default='')!r}. "
            f"Paths are relative to {absolute_uri(config.archive)}."
        )
    output.write_table("cases.parquet", cases_table(cases.rows))
    return cases
