"""Annotation files of any format to `segments.parquet` and `extents.parquet`, checked against videos and label set."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from nrray.archive.annotations import SEGMENTS_FILE, write_annotations
from nrray.archive.manifest import manifest_videos
from nrray.errors import DataError
from nrray.formats.catalogue import CATALOGUE, check_read_options, format_of
from nrray.formats.checking import CheckedAnnotations, checked_annotations, placed_observations, segment_order
from nrray.formats.file_format import ReadContext
from nrray.formats.names import ActivityNames
from nrray.formats.options import Format, ImportConfig
from nrray.formats.videos import KnownVideos, UnknownVideoError, all_unknown
from nrray.storage import Folder, absolute_uri, is_local, located, read_table, storage_errors
from nrray.types import US_PER_SECOND, Extent, Segment

RECORD = "import.json"


@dataclass(frozen=True, kw_only=True)
class ImportedFile:
    """One file's part of an import."""

    file: str
    format: Format
    sha256: str
    annotations: CheckedAnnotations

    @property
    def seconds_by_activity(self) -> dict[str, float]:
        totals: Counter[str] = Counter()
        for segment in self.annotations.segments:
            totals[segment.activity] += segment.end_us - segment.start_us
        return {name: total_us / US_PER_SECOND for name, total_us in sorted(totals.items())}


@dataclass(frozen=True, kw_only=True)
class ImportResult:
    """The folder of the tables, and the annotations of each file."""

    folder: str
    files: list[ImportedFile]

    @property
    def rivals(self) -> tuple[str, ...]:
        """Sources that annotated a video which another one annotated too, sorted."""
        sources: dict[str, set[str]] = {}
        for item in self.files:
            for row in _rows(item):
                sources.setdefault(row.path, set()).add(row.source)
        return tuple(sorted({name for names in sources.values() if len(names) > 1 for name in names}))

    @property
    def num_segments(self) -> int:
        return sum(len(item.annotations.segments) for item in self.files)

    @property
    def num_extents(self) -> int:
        return sum(len(item.annotations.extents) for item in self.files)


def import_annotations(config: ImportConfig) -> ImportResult:
    """Read all files, then write the tables: nothing is written where one file is refused. Raises NrrayError."""
    output = Folder(config.output)
    if output.exists(SEGMENTS_FILE) and not output.exists(RECORD):
        raise DataError(f"{output} holds annotations that no import wrote: choose another output")
    names = ActivityNames(config)
    manifest = manifest_videos(read_table(config.manifest))
    videos = KnownVideos(manifest, only=config.video, renamed=config.videos, fps=config.fps)
    contents = {file: _content(file) for file in found_files(config.files)}
    kinds = {file: format_of(file, data, config) for file, data in contents.items()}
    check_read_options(config, set(kinds.values()))
    context = ReadContext(options=config, videos=videos, known_names=names.known)
    files: list[ImportedFile] = []
    unknown: list[UnknownVideoError] = []
    for file, data in contents.items():
        videos.variable_rate_paths.clear()
        try:
            parsed = CATALOGUE[kinds[file]].read(data, file=file, context=context)
        except UnknownVideoError as error:  # a reader of frame numbers has to know the video first
            unknown.append(error)
            continue
        placed, unplaced = placed_observations(parsed, file=file, videos=videos)
        unknown += unplaced
        if unknown:
            continue
        annotations = checked_annotations(parsed, placed, file=file, config=config, videos=videos, names=names)
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
        for key in sorted({(row.path, row.source) for row in _rows(item)}):
            if key in seen:
                raise DataError(
                    f"{seen[key]} and {item.file} both annotate {key[0]} as source {key[1]!r}. Tell them apart with "
                    f"source='{{folder}}' or source='{{stem}}', or import them into two folders."
                )
            seen[key] = item.file


def _rows(item: ImportedFile) -> list[Segment | Extent]:
    return [*item.annotations.segments, *item.annotations.extents]


def _content(file: str) -> bytes:
    parent, _, name = file.rpartition("/")
    try:
        return Folder(parent or "/").read_bytes(name)
    except FileNotFoundError:
        raise DataError(f"{file} does not exist any more") from None


def _write(output: Folder, files: Sequence[ImportedFile], config: ImportConfig) -> None:
    segments = [segment for item in files for segment in item.annotations.segments]
    extents = [extent for item in files for extent in item.annotations.extents]
    segments.sort(key=segment_order)
    extents.sort(key=lambda item: (item.path, item.source, item.start_us))
    output.create()
    record = [
        {**{key: value for key, value in asdict(item).items() if key != "annotations"}, "notes": item.annotations.notes}
        for item in files
    ]
    output.write_json(RECORD, {"config": config.model_dump(mode="json"), "files": record})
    write_annotations(output, segments, extents, activities=config.activities)
