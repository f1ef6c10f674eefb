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
from nrray.formats.reading import ParsedFile, Problems
from nrray.formats.videos import KnownVideos, UnknownVideoError, all_unknown
from nrray.storage import Folder, absolute_uri, is_local, located, read_table, storage_errors
from nrray.types import US_PER_SECOND, Extent, Segment
from nrray.wording import counted

RECORD = "import.json"

_MAX_PROBLEMS_OF_FILE, _MAX_PROBLEMS = 10, 60  # lines that are printed


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
    """Read all files, then write the tables: nothing is written where one file has a problem.

    Raises NrrayError, for problems of files one DataError that names all of them.
    """
    output = Folder(config.output)
    if output.exists(SEGMENTS_FILE) and not output.exists(RECORD):
        raise DataError(f"{output} holds annotations that no import wrote: choose another output")
    names = ActivityNames(config)
    manifest = manifest_videos(read_table(config.manifest))
    videos = KnownVideos(manifest, only=config.video, renamed=config.videos, fps=config.fps)
    problems = {file: Problems() for file in found_files(config.files)}
    contents: dict[str, bytes] = {}
    kinds: dict[str, Format] = {}
    for file, gathered in problems.items():
        with gathered.gathering():
            contents[file] = _content(file)
            kinds[file] = format_of(file, contents[file], config)
    if len(kinds) == len(problems):  # else it is not known which formats there are
        check_read_options(config, set(kinds.values()))
    files: list[ImportedFile] = []
    for file, kind in kinds.items():
        context = ReadContext(options=config, videos=videos, known_names=names.known, problems=problems[file])
        annotations = _annotations(contents[file], kind, file=file, config=config, names=names, context=context)
        digest = hashlib.sha256(contents[file]).hexdigest()
        files.append(ImportedFile(file=file, format=kind, sha256=digest, annotations=annotations))
    if any(gathered.errors for gathered in problems.values()):
        raise all_problems([gathered.errors for gathered in problems.values()], videos)
    _check_annotator(files, config.annotator)
    _check_sources(files)
    _write(output, files, config)
    return ImportResult(folder=output.uri, files=files)


def all_problems(by_file: Sequence[Sequence[DataError]], videos: KnownVideos) -> DataError:
    """One error for the problems of all files; names that are of no video are told together, as they are mended together."""
    unknown = [error for errors in by_file for error in errors if isinstance(error, UnknownVideoError)]
    others = [[error for error in errors if not isinstance(error, UnknownVideoError)] for errors in by_file]
    listed: list[str] = []
    for errors in filter(None, others):
        listed += [str(error) for error in errors[:_MAX_PROBLEMS_OF_FILE]]
        if len(errors) > _MAX_PROBLEMS_OF_FILE:
            listed.append(f"and {len(errors) - _MAX_PROBLEMS_OF_FILE} more in this file")
    cut = len(listed) - _MAX_PROBLEMS
    if cut > 0:
        listed[_MAX_PROBLEMS:] = [f"and {cut} lines more"]
    if unknown:
        listed.append(str(all_unknown(unknown, videos)))
    num_problems = sum(map(len, others)) + len(unknown)
    if num_problems == 1 or len(listed) == 1:
        return DataError(listed[0])
    lines = "".join(f"\n  {line}" for line in listed)
    return DataError(
        f"{num_problems} problems in {counted(sum(map(bool, by_file)), 'file')}; nothing was imported:{lines}"
    )


def _annotations(
    data: bytes, kind: Format, *, file: str, config: ImportConfig, names: ActivityNames, context: ReadContext
) -> CheckedAnnotations:
    """Those of one file, less what has a problem: the context gathers it. Raises ConfigError."""
    videos, problems = context.videos, context.problems
    videos.variable_rate_paths.clear()
    parsed = ParsedFile(observations=[])
    with problems.gathering():
        parsed = CATALOGUE[kind].read(data, file=file, context=context)
    placed = placed_observations(parsed, file=file, videos=videos, problems=problems)
    return checked_annotations(parsed, placed, file=file, config=config, videos=videos, names=names, problems=problems)


def found_files(patterns: Sequence[str]) -> list[str]:
    """Each file once, in the order of the patterns. Raises DataError for a pattern that finds none."""
    found: list[str] = []
    missing: list[str] = []
    for pattern in patterns:
        file_system, path = located(pattern)
        with storage_errors(f"cannot list {pattern}"):
            if file_system.isfile(path):
                paths = [path]
            else:
                paths = sorted(str(item) for item in file_system.glob(path) if file_system.isfile(item))
        missing += [] if paths else [pattern]
        found += paths if is_local(absolute_uri(pattern)) else [file_system.unstrip_protocol(item) for item in paths]
    if missing:
        raise DataError(
            f"no file found at {', '.join(missing)}: give paths of annotation files, or a pattern such as in/*.eaf"
        )
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
    clashes: list[str] = []
    for item in files:
        for path, source in sorted({(row.path, row.source) for row in _rows(item)}):
            first = seen.setdefault((path, source), item.file)
            if first != item.file:
                clashes.append(f"{first} and {item.file} both annotate {path} as source {source!r}")
    if clashes:
        listed = clashes[:_MAX_PROBLEMS_OF_FILE]
        if len(clashes) > len(listed):
            listed.append(f"and {len(clashes) - len(listed)} more such pairs")
        raise DataError(
            f"{'; '.join(listed)}. Tell them apart with source='{{folder}}' or source='{{stem}}', or import them into two "
            f"folders."
        )


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
