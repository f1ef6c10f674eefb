"""Annotation files of any format to `segments.parquet` and `extents.parquet`, checked against videos and label set."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath

from nrray.archive.annotations import (
    TruthExtent,
    TruthSegment,
    num_overlapping,
    unit_doubt,
)
from nrray.archive.manifest import manifest_videos
from nrray.errors import ConfigError, DataError
from nrray.formats.catalogue import check_options, format_of, reader_of
from nrray.formats.names import ActivityNames
from nrray.formats.options import ExtentFrom, Format, ImportConfig
from nrray.formats.reading import Look, Reading, Stretch, counted
from nrray.formats.videos import KnownVideos, UnknownVideoError, all_unknown, seconds_text
from nrray.storage import Folder, absolute_uri, is_local, located, read_table, storage_errors
from nrray.tables import table_from_rows
from nrray.types import US_PER_SECOND, Video

DEFAULT_SOURCE = "imported"
ROUNDING_US = 1000  # of a millisecond format: not worth a word
END_SLACK_US = US_PER_SECOND  # tools disagree on the length of a video by some frames; more is a wrong unit or video
RECORD = "import.json"


@dataclass(frozen=True, kw_only=True)
class Annotations:
    """What one file or all of them came to; notes are sentences on what was skipped or is doubtful; `sources` are all who
    looked, those too whose annotations are not asked for."""

    segments: list[TruthSegment]
    extents: list[TruthExtent]
    notes: list[str]
    sources: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ImportedFile:
    """One file's part of an import."""

    file: str
    format: Format
    sha256: str
    annotations: Annotations

    @property
    def seconds_by_activity(self) -> dict[str, float]:
        totals: Counter[str] = Counter()
        for segment in self.annotations.segments:
            totals[segment.activity] += segment.end_us - segment.start_us
        return {name: total_us / US_PER_SECOND for name, total_us in sorted(totals.items())}


@dataclass(frozen=True, kw_only=True)
class ImportResult:
    """Where the tables are, and what each file came to."""

    folder: str
    files: list[ImportedFile]

    @property
    def rivals(self) -> tuple[str, ...]:
        """Sources that annotated a video which another one annotated too, sorted."""
        who: dict[str, set[str]] = {}
        for item in self.files:
            for row in _rows(item):
                who.setdefault(row.video_path, set()).add(row.source)
        return tuple(sorted({name for names in who.values() if len(names) > 1 for name in names}))

    @property
    def num_segments(self) -> int:
        return sum(len(item.annotations.segments) for item in self.files)

    @property
    def num_extents(self) -> int:
        return sum(len(item.annotations.extents) for item in self.files)


def import_annotations(config: ImportConfig) -> ImportResult:
    """Read all files, then write the tables: nothing is written where one file is refused. Raises NrrayError."""
    output = Folder(config.output)
    if output.exists("segments.parquet") and not output.exists(RECORD):
        raise DataError(f"{output} holds truth that no import wrote: choose another output")
    names = ActivityNames(config)
    manifest = manifest_videos(read_table(config.manifest))
    videos = KnownVideos(manifest, only=config.video, renamed=config.videos, fps=config.fps)
    contents = {file: _content(file) for file in found_files(config.files)}
    kinds = {file: format_of(file, data, config) for file, data in contents.items()}
    check_options(config, set(kinds.values()))
    files: list[ImportedFile] = []
    unknown: list[UnknownVideoError] = []
    for file, data in contents.items():
        reader = reader_of(kinds[file], known_names=names.known)
        videos.variable_rate_paths.clear()
        try:
            reading = reader(data, file=file, options=config, videos=videos)
        except UnknownVideoError as error:  # a reader of frame numbers has to know the video first
            unknown.append(error)
            continue
        placed, unplaced = _placed(reading, file=file, videos=videos)
        unknown += unplaced
        if unknown:
            continue
        annotations = checked_annotations(reading, placed, file=file, config=config, videos=videos, names=names)
        digest = hashlib.sha256(data).hexdigest()
        files.append(ImportedFile(file=file, format=kinds[file], sha256=digest, annotations=annotations))
    if unknown:
        raise all_unknown(unknown, videos)
    _check_annotator(files, config.annotator)
    _check_sources(files)
    _write(output, files, config)
    return ImportResult(folder=output.uri, files=files)


def found_files(patterns: Sequence[str]) -> list[str]:
    """Each file once, in the order of the patterns. Raises DataError for a pattern that finds none."""
    found: list[str] = []
    for pattern in patterns:
        file_system, path = located(pattern)
        with storage_errors(f"cannot list {pattern}"):
            if file_system.isfile(path):
                paths = [path]
            else:
                paths = sorted(str(item) for item in file_system.glob(path) if file_system.isfile(item))
        if not paths:
            raise DataError(
                f"no file found at {pattern}: give paths of annotation files, or a pattern such as in/*.eaf"
            )
        found += paths if is_local(absolute_uri(pattern)) else [file_system.unstrip_protocol(item) for item in paths]
    return list(dict.fromkeys(found))


def _placed(
    reading: Reading, *, file: str, videos: KnownVideos
) -> tuple[list[tuple[Look, Video]], list[UnknownVideoError]]:
    """Each look with its video, and what is of no video of the manifest."""
    placed: list[tuple[Look, Video]] = []
    unknown: list[UnknownVideoError] = []
    for look in reading.looks:
        try:
            placed.append((look, videos.of(look.video_name, file=file, where=f"{file}, {look.name}")))
        except UnknownVideoError as error:
            unknown.append(error)
    return placed, unknown


def checked_annotations(
    reading: Reading,
    placed: Sequence[tuple[Look, Video]],
    *,
    file: str,
    config: ImportConfig,
    videos: KnownVideos,
    names: ActivityNames,
) -> Annotations:
    """A reading, each of whose looks is placed at its video, in the archive's names and times.

    Raises DataError that names the place in the file.
    """
    segments: list[TruthSegment] = []
    extents: list[TruthExtent] = []
    notes = list(reading.notes)
    tally: Counter[str] = Counter()
    named = {str(look.video_name) for look, _ in placed}
    if config.video is not None and len(named) > 1:
        raise DataError(
            f"{file} is of several videos, and video={config.video!r} names one. Give a path for "
            f"each of them: videos={{{', '.join(f'{name!r}: PATH' for name in sorted(named))}}}"
        )
    sources = _sources(placed, file=file, config=config, notes=notes)
    if left_out := Counter(source for source in sources if config.annotator not in (None, source)):
        told = ", ".join(f"{name} ({counted(count, 'look')})" for name, count in sorted(left_out.items()))
        notes.append(f"Left out: {told}.")
    offset_us = round(config.offset_seconds * US_PER_SECOND)
    late: list[int] = []
    every = [stretch for look in reading.looks for stretch in look.stretches]
    for (look, video), source in zip(placed, sources, strict=True):
        if source in left_out:
            continue
        for stretch in look.stretches:
            activity = names.ours(stretch, among=every)
            if activity is None:
                tally[stretch.name] += 1
                continue
            start_us, end_us = stretch.start_us + offset_us, stretch.end_us + offset_us
            _check_times(stretch, start_us, end_us)
            if start_us == end_us:
                tally[""] += 1
                continue
            if (beyond_us := _beyond_us(video, start_us, end_us, where=stretch.where)) >= ROUNDING_US:
                late.append(beyond_us)
            segments.append(
                TruthSegment(video_path=video.path, activity=activity, start_us=start_us, end_us=end_us, source=source)
            )
        extents += _extents(look, video, source, file=file, config=config, videos=videos)
    if num_zero := tally.pop("", 0):
        notes.append(f"{counted(num_zero, 'segment')} of zero length left out.")
    notes += [f"{name!r} ignored, {counted(count, 'time')}." for name, count in sorted(tally.items())]
    spans = {video.path: (video.start_us or 0, (video.start_us or 0) + (video.duration_us or 0)) for _, video in placed}
    if (doubt := unit_doubt(table_from_rows(segments, TruthSegment), spans)) is not None:
        notes.append(doubt)
    if overlapping := num_overlapping(segments):
        notes.append(
            f"{counted(overlapping, 'segment')} overlapping another of the same activity: together they count once."
        )
    if late:
        notes.append(f"{counted(len(late), 'end')} of segments up to {seconds_text(max(late))} after the video's.")
    notes += _clock_notes(videos, {video.path: video for _, video in placed})
    if config.extent is ExtentFrom.NONE:
        notes.append("No extents: nothing is known to have been looked at, so no comparison counts these segments.")
    segments.sort(key=lambda item: (item.video_path, item.start_us, item.activity, item.source, item.end_us))
    who = tuple(dict.fromkeys(sources))
    return Annotations(segments=segments, extents=list(dict.fromkeys(extents)), notes=notes, sources=who)


def _check_times(stretch: Stretch, start_us: int, end_us: int) -> None:
    if end_us < start_us or start_us < 0:
        what = "ends before it starts" if end_us < start_us else "starts before the video does"
        raise DataError(
            f"{stretch.where}: {stretch.name!r} from {seconds_text(start_us)} to {seconds_text(end_us)} {what}: "
            f"mend it, or set offset_seconds"
        )


def _beyond_us(video: Video, start_us: int, end_us: int, *, where: str) -> int:
    """By how much a segment ends after its video. Raises DataError where that is more than tools disagree by."""
    if video.duration_us is None:
        return 0
    video_end_us = (video.start_us or 0) + video.duration_us
    if end_us > video_end_us + END_SLACK_US or start_us >= video_end_us:
        raise DataError(
            f"{where}: from {seconds_text(start_us)} to {seconds_text(end_us)}, but {video.path} ends at "
            f"{seconds_text(video_end_us)}. Is it this video, and are time unit, fps and offset_seconds right?"
        )
    return end_us - video_end_us


def _sources(placed: Sequence[tuple[Look, Video]], *, file: str, config: ImportConfig, notes: list[str]) -> list[str]:
    """Who looked, for each look. Looks of one file at one video that no name tells apart get the look's name."""
    path = PurePosixPath(file)
    try:
        given = config.source and config.source.format(folder=path.parent.name, stem=path.stem)
    except (KeyError, IndexError, ValueError):
        raise ConfigError(f"source is {config.source!r}; only {{folder}} and {{stem}} stand for something") from None
    found = []
    for look, _ in placed:
        parts = [part for part in (given, look.annotator) if part]
        found.append("/".join(parts) or DEFAULT_SOURCE)
    seen = Counter((video.path, source) for (_, video), source in zip(placed, found, strict=True))
    repeated = {key for key, count in seen.items() if count > 1}
    told = [
        f"{source}/{look.name}" if (video.path, source) in repeated else source
        for (look, video), source in zip(placed, found, strict=True)
    ]
    for video_path, source in sorted(repeated):
        notes.append(f"{seen[video_path, source]} looks at {video_path} kept apart as sources {source}/...")
    keys = Counter((video.path, source) for (_, video), source in zip(placed, told, strict=True))
    return [
        f"{source}#{index}" if keys[video.path, source] > 1 else source
        for index, ((_, video), source) in enumerate(zip(placed, told, strict=True), start=1)
    ]


def _extents(
    look: Look, video: Video, source: str, *, file: str, config: ImportConfig, videos: KnownVideos
) -> list[TruthExtent]:
    if config.extent is ExtentFrom.NONE:
        return []
    if config.extent is ExtentFrom.WHOLE:
        start_us, end_us = videos.span_us(video, where=file)
    elif look.seen_us is not None:
        offset_us = round(config.offset_seconds * US_PER_SECOND)
        start_us, end_us = max(look.seen_us[0] + offset_us, 0), look.seen_us[1] + offset_us
    else:
        raise DataError(
            f"{file} does not say which part of {video.path} was looked at, and outside that silence means nothing. Set "
            f"extent=whole if it was all of it, from start to end, or extent=none to have segments only."
        )
    return [TruthExtent(video_path=video.path, start_us=start_us, end_us=end_us, source=source)]


def _clock_notes(videos: KnownVideos, used: dict[str, Video]) -> list[str]:
    notes = []
    if variable := sorted(videos.variable_rate_paths):
        notes.append(
            f"{counted(len(variable), 'video')} with a variable frame rate, so times from frame numbers are "
            f"approximate: {variable[:3]}."
        )
    if shifted := sorted(path for path, video in used.items() if video.start_us):
        notes.append(
            f"{counted(len(shifted), 'video')} with a first frame after time 0: {shifted[:3]}. Times are taken as the "
            f"container's; set offset_seconds if the tool counted from the first frame."
        )
    return notes


def _check_annotator(files: Sequence[ImportedFile], annotator: str | None) -> None:
    """Raises DataError where nobody of that name annotated anything."""
    known = sorted({source for item in files for source in item.annotations.sources})
    if annotator is not None and annotator not in known:
        raise DataError(
            f"annotator is {annotator!r}, and the files are by {', '.join(map(repr, known))}: name one of them"
        )


def _check_sources(files: Sequence[ImportedFile]) -> None:
    """Raises DataError where two files speak of one video as one source: their silence would contradict each other."""
    seen: dict[tuple[str, str], str] = {}
    for item in files:
        for key in sorted({(row.video_path, row.source) for row in _rows(item)}):
            if key in seen:
                raise DataError(
                    f"{seen[key]} and {item.file} both speak of {key[0]} as source {key[1]!r}. Tell them apart with "
                    f"source='{{folder}}' or source='{{stem}}', or import them into two folders."
                )
            seen[key] = item.file


def _rows(item: ImportedFile) -> list[TruthSegment | TruthExtent]:
    return [*item.annotations.segments, *item.annotations.extents]


def _content(file: str) -> bytes:
    parent, _, name = file.rpartition("/")
    try:
        return Folder(parent or "/").read_bytes(name)
    except FileNotFoundError:
        raise DataError(f"{file} is not there any more") from None


def _write(output: Folder, files: Sequence[ImportedFile], config: ImportConfig) -> None:
    segments = [segment for item in files for segment in item.annotations.segments]
    extents = [extent for item in files for extent in item.annotations.extents]
    segments.sort(key=lambda item: (item.video_path, item.start_us, item.activity, item.source, item.end_us))
    extents.sort(key=lambda item: (item.video_path, item.source, item.start_us))
    output.create()
    record = [
        {**{key: value for key, value in asdict(item).items() if key != "annotations"}, "notes": item.annotations.notes}
        for item in files
    ]
    output.write_json(RECORD, {"config": config.model_dump(mode="json"), "files": record})
    output.write_table("segments.parquet", table_from_rows(segments, TruthSegment))
    output.write_table("extents.parquet", table_from_rows(extents, TruthExtent))
