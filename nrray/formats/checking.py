"""The observations of one file, checked against videos and label set: segments and extents under the archive's names."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import PurePosixPath

from nrray.archive.annotations import num_overlapping, unit_doubt
from nrray.errors import ConfigError, DataError
from nrray.formats.names import ActivityNames, UnknownActivityError
from nrray.formats.options import ExtentFrom, ImportConfig
from nrray.formats.reading import Observation, ParsedFile, ParsedSegment, Problems
from nrray.formats.videos import KnownVideos, seconds_text
from nrray.intervals import Interval
from nrray.tables import table_from_rows
from nrray.types import US_PER_SECOND, Extent, Origin, Segment, Video
from nrray.wording import counted

DEFAULT_SOURCE = "imported"
ROUNDING_US = 1000  # of a millisecond format: not worth a note
END_SLACK_US = US_PER_SECOND  # tools disagree on the length of a video by some frames; more is a wrong unit or video


@dataclass(frozen=True, kw_only=True)
class CheckedAnnotations:
    """The annotations of one file. notes: sentences on content that was skipped or is doubtful; sources: all annotators,
    those too whose annotations are not asked for."""

    segments: list[Segment]
    extents: list[Extent]
    notes: list[str]
    sources: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PlacedObservation:
    """An observation and its video of the archive."""

    observation: Observation
    video: Video


segment_order = attrgetter("path", "start_us", "activity", "source", "end_us")
"""The sort key of written segments."""


def placed_observations(
    parsed: ParsedFile, *, file: str, videos: KnownVideos, problems: Problems
) -> list[PlacedObservation]:
    """Each observation with its video; one that is of no video of the manifest is a problem."""
    placed: list[PlacedObservation] = []
    for observation in parsed.observations:
        with problems.gathering():
            video = videos.of(observation.video_name, file=file, where=f"{file}, {observation.name}")
            placed.append(PlacedObservation(observation=observation, video=video))
    return placed


def checked_annotations(
    parsed: ParsedFile,
    placed: Sequence[PlacedObservation],
    *,
    file: str,
    config: ImportConfig,
    videos: KnownVideos,
    names: ActivityNames,
    problems: Problems,
) -> CheckedAnnotations:
    """The segments and extents of a file whose observations have their videos, less those whose problems are gathered, each of
    which names the place in the file. Raises ConfigError."""
    with problems.gathering():
        _check_only_video(placed, file=file, config=config)
    notes = list(parsed.notes)
    sources = _sources(placed, file=file, config=config, notes=notes)
    wanted = [
        (item, source)
        for item, source in zip(placed, sources, strict=True)
        if config.annotator is None or source == config.annotator
    ]
    if left_out := Counter(source for source in sources if config.annotator not in (None, source)):
        listed = ", ".join(f"{name} ({counted(count, 'observation')})" for name, count in sorted(left_out.items()))
        notes.append(f"Left out: {listed}.")
    every = [segment for observation in parsed.observations for segment in observation.segments]
    tally = _Tally()
    segments: list[Segment] = []
    extents: list[Extent] = []
    for item, source in wanted:
        segments += _segments(item, source, every, config=config, names=names, tally=tally, problems=problems)
        with problems.gathering():
            extents += _extents(item, source, file=file, config=config, videos=videos)
    segments.sort(key=segment_order)
    times = {item.video.path: _time_of(item.video) for item in placed}
    notes += [*tally.segment_notes(), *_doubts(segments, times), *tally.end_notes()]
    notes += _clock_notes(videos, {item.video.path: item.video for item in placed})
    if config.extent is ExtentFrom.NONE:
        notes.append("No extents: no time is known to have been examined, so no comparison counts these segments.")
    return CheckedAnnotations(
        segments=segments,
        extents=list(dict.fromkeys(extents)),
        notes=notes,
        sources=tuple(dict.fromkeys(sources)),
    )


@dataclass(frozen=True, kw_only=True)
class _Tally:
    """Segments of one file that are left out, and by how much others end after their video."""

    ignored: Counter[str] = field(default_factory=Counter)  # by label
    empty: list[str] = field(default_factory=list)  # their places
    beyond_us: list[int] = field(default_factory=list)

    def segment_notes(self) -> list[str]:
        notes = [f"{counted(len(self.empty), 'segment')} of zero length left out."] if self.empty else []
        return notes + [f"{name!r} ignored, {counted(count, 'time')}." for name, count in sorted(self.ignored.items())]

    def end_notes(self) -> list[str]:
        if not self.beyond_us:
            return []
        latest = seconds_text(max(self.beyond_us))
        return [f"{counted(len(self.beyond_us), 'end')} of segments up to {latest} after the video's."]


def _check_only_video(placed: Sequence[PlacedObservation], *, file: str, config: ImportConfig) -> None:
    named = {str(item.observation.video_name) for item in placed}
    if config.video is not None and len(named) > 1:
        raise DataError(
            f"{file} is of several videos, and video={config.video!r} names one. Give a path for "
            f"each of them: videos={{{', '.join(f'{name!r}: PATH' for name in sorted(named))}}}"
        )


def _segments(
    item: PlacedObservation,
    source: str,
    every: Sequence[ParsedSegment],
    *,
    config: ImportConfig,
    names: ActivityNames,
    tally: _Tally,
    problems: Problems,
) -> list[Segment]:
    """Those of one observation; `every` segment of the file is named where a label is unknown."""
    offset_us = round(config.offset_seconds * US_PER_SECOND)
    segments = []
    for parsed in item.observation.segments:
        with problems.gathering():
            try:
                activity = names.activity_of(parsed, among=every)
            except UnknownActivityError:
                if not any(isinstance(error, UnknownActivityError) for error in problems.errors):
                    raise  # it names all others of the file
                continue
            if activity is None:
                tally.ignored[parsed.label] += 1
                continue
            start_us, end_us = parsed.start_us + offset_us, parsed.end_us + offset_us
            _check_times(parsed, start_us, end_us)
            if start_us == end_us:
                tally.empty.append(parsed.where)
                continue
            if (beyond_us := _beyond_us(item.video, start_us, end_us, where=parsed.where)) >= ROUNDING_US:
                tally.beyond_us.append(beyond_us)
            segments.append(
                Segment(
                    path=item.video.path,
                    activity=activity,
                    start_us=start_us,
                    end_us=end_us,
                    source=source,
                    origin=Origin.IMPORTED,
                )
            )
    return segments


def _doubts(segments: Sequence[Segment], times: Mapping[str, Interval]) -> list[str]:
    notes = []
    if (doubt := unit_doubt(table_from_rows(segments, Segment), times)) is not None:
        notes.append(doubt)
    if overlapping := num_overlapping(segments):
        notes.append(
            f"{counted(overlapping, 'segment')} overlapping another of the same activity: together they count once."
        )
    return notes


def _time_of(video: Video) -> Interval:
    start_us = video.start_us or 0
    return Interval(start_us=start_us, end_us=start_us + (video.duration_us or 0))


def _check_times(segment: ParsedSegment, start_us: int, end_us: int) -> None:
    if end_us < start_us or start_us < 0:
        fault = "ends before it starts" if end_us < start_us else "starts before the video does"
        raise DataError(
            f"{segment.where}: {segment.label!r} from {seconds_text(start_us)} to {seconds_text(end_us)} {fault}: "
            f"mend it, or set offset_seconds"
        )


def _beyond_us(video: Video, start_us: int, end_us: int, *, where: str) -> int:
    """By how many microseconds a segment ends after its video. Raises DataError where that is more than tools disagree by."""
    if video.duration_us is None:
        return 0
    video_end_us = (video.start_us or 0) + video.duration_us
    if end_us > video_end_us + END_SLACK_US or start_us >= video_end_us:
        raise DataError(
            f"{where}: from {seconds_text(start_us)} to {seconds_text(end_us)}, but {video.path} ends at "
            f"{seconds_text(video_end_us)}. Is it this video, and are time unit, fps and offset_seconds right?"
        )
    return end_us - video_end_us


def _sources(placed: Sequence[PlacedObservation], *, file: str, config: ImportConfig, notes: list[str]) -> list[str]:
    """The annotator of each observation. Observations of one video in one file that no name tells apart get their own."""
    path = PurePosixPath(file)
    try:
        given = config.source and config.source.format(folder=path.parent.name, stem=path.stem)
    except (KeyError, IndexError, ValueError):
        raise ConfigError(f"source is {config.source!r}; only {{folder}} and {{stem}} stand for something") from None
    paths = [item.video.path for item in placed]
    found = [
        "/".join(name for name in (given, item.observation.annotator) if name) or DEFAULT_SOURCE for item in placed
    ]
    seen = Counter(zip(paths, found, strict=True))
    apart = [
        f"{source}/{item.observation.name}" if seen[item.video.path, source] > 1 else source
        for item, source in zip(placed, found, strict=True)
    ]
    for (video_path, source), count in sorted(seen.items()):
        if count > 1:
            notes.append(f"{count} observations of {video_path} kept apart as sources {source}/...")
    keys = Counter(zip(paths, apart, strict=True))
    return [
        f"{source}#{index}" if keys[path, source] > 1 else source
        for index, (path, source) in enumerate(zip(paths, apart, strict=True), start=1)
    ]


def _extents(
    item: PlacedObservation, source: str, *, file: str, config: ImportConfig, videos: KnownVideos
) -> list[Extent]:
    video, examined = item.video, item.observation.examined
    if config.extent is ExtentFrom.NONE:
        return []
    if config.extent is ExtentFrom.WHOLE:
        start_us, end_us = videos.span_us(video, where=file)
    elif examined is not None:
        offset_us = round(config.offset_seconds * US_PER_SECOND)
        start_us, end_us = max(examined.start_us + offset_us, 0), examined.end_us + offset_us
    else:
        raise DataError(
            f"{file} does not say which part of {video.path} was examined, and outside that silence means nothing. Set "
            f"extent=whole if it was all of it, from start to end, or extent=none to have segments only."
        )
    return [Extent(path=video.path, start_us=start_us, end_us=end_us, source=source)]


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
