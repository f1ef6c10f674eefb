"""Folders of annotations and label versions to one file per video, in a format that another tool reads."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nrray.archive.annotations import SEGMENTS_FILE, read_annotations
from nrray.archive.manifest import manifest_videos
from nrray.errors import ConfigError, DataError
from nrray.formats.catalogue import CATALOGUE, check_write_options
from nrray.formats.file_format import FileFormat, SourceKept, VideoAnnotations
from nrray.formats.options import ExportConfig, Format, TimeUnit
from nrray.formats.videos import KnownVideos
from nrray.intervals import first_of_unions, union_of
from nrray.results.domain import OUTSIDE_MARK
from nrray.storage import Folder, read_table
from nrray.tables import rows_from_table
from nrray.types import EXAMINED_STATUSES, US_PER_SECOND, CoverageStatus, Extent, Segment
from nrray.wording import counted

_STEP_US = {TimeUnit.MICROSECONDS: 1, TimeUnit.MILLISECONDS: 1000, TimeUnit.SECONDS: 1}


@dataclass(frozen=True, kw_only=True)
class ExportResult:
    """The files written, one per video, and sentences on facts that the format cannot hold."""

    folder: str
    format: Format
    files: list[str]
    num_segments: int
    notes: list[str]

    @property
    def suffix(self) -> str:
        """The end of the files' names."""
        return CATALOGUE[self.format].suffix


@dataclass(frozen=True, kw_only=True)
class _Input:
    segments: list[Segment]
    extents: list[Extent]
    notes: list[str]


def export_annotations(config: ExportConfig) -> ExportResult:
    """Write one file per video that `input` has segments or extents of. Raises NrrayError."""
    if config.time_unit not in _STEP_US:
        raise ConfigError(f"time_unit is {config.time_unit.value}; an export is in us, ms or s")
    check_write_options(config)
    kind = CATALOGUE[config.format]
    found = _found(Folder(config.input))
    rows = manifest_videos(read_table(config.manifest)) if config.manifest is not None else []
    videos = KnownVideos(rows, fps=config.fps)
    tally: Counter[str] = Counter()
    paths = sorted({item.path for item in found.segments} | {item.path for item in found.extents})
    _check_names(found)
    texts: dict[str, str] = {}
    num_written = 0
    for path in paths:
        mine = [item for item in found.segments if item.path == path]
        fps = _frame_rate(path, config, videos) if kind.counts_frames else None
        video = VideoAnnotations(
            path=path,
            segments=_representable(mine, kind, config, fps=fps, tally=tally),
            extents=[item for item in found.extents if item.path == path],
            time_unit=config.time_unit,
            length_us=_length_us(path, config, videos) if kind.states_lengths else 0,
            frames_per_second=fps,
        )
        num_written += len(video.segments)
        texts[f"{path}{kind.suffix}"] = kind.write(video)
    output = Folder(config.output)
    for name, text in texts.items():
        parent = PurePosixPath(name).parent
        folder = output if str(parent) == "." else output / str(parent)
        folder.create()
        folder.write_bytes(PurePosixPath(name).name, text.encode("utf-8"), durable=False)
    return ExportResult(
        folder=output.uri,
        format=config.format,
        files=sorted(texts),
        num_segments=num_written,
        notes=[*found.notes, *_notes(found, kind, config.format.value, tally), *_rate_notes(videos)],
    )


def _found(folder: Folder) -> _Input:
    """The tables of a folder of annotations, or of a version (the newest of an output), whose windows its model examined."""
    if not folder.exists(SEGMENTS_FILE) and (folder / "latest").exists(SEGMENTS_FILE):
        folder = folder / "latest"
    if folder.exists("coverage.parquet"):
        return _version_input(folder)
    annotations = read_annotations(folder.uri)
    return _Input(
        segments=rows_from_table(annotations.segments, Segment),
        extents=rows_from_table(annotations.extents, Extent),
        notes=[],
    )


def _version_input(folder: Folder) -> _Input:
    segments = rows_from_table(folder.read_table(SEGMENTS_FILE), Segment)
    coverage = _columns(folder, "coverage.parquet", ["path", "start_us", "end_us", "status", "source"])
    is_ok = pc.is_in(coverage["status"].cast(pa.string()), value_set=pa.array(EXAMINED_STATUSES))
    notes = []
    if num_scores := sum(segment.score is not None for segment in segments):
        notes.append(f"{counted(num_scores, 'score')} left out: they are in {folder.path(SEGMENTS_FILE)}.")
    examined = coverage.filter(is_ok)
    is_unlike = pc.equal(coverage["status"].cast(pa.string()), CoverageStatus.NOT_ASSESSABLE.value)
    num_unlike = coverage.filter(is_unlike).num_rows
    if num_unlike:
        notes.append(
            f"Not assessable: {counted(num_unlike, 'window')} of videos unlike those that the model was trained on. The files do "
            f"not show it, and silence there is not absence."
        )
    if num_unexamined := len(coverage) - len(examined) - num_unlike:
        notes.append(
            f"Not examined (failed or not run): {counted(num_unexamined, 'window')}. The files do not show it, and "
            f"silence there is not absence."
        )
    is_marked = pc.match_substring(examined["source"].cast(pa.string()), OUTSIDE_MARK)
    if num_marked := len(pc.unique(examined.filter(is_marked)["path"].cast(pa.string()))):
        notes.append(
            f"Outside the model's domain and labelled all the same: {counted(num_marked, 'video')}. Their labels may mean "
            f"nothing; where the format holds a source, it ends in '{OUTSIDE_MARK.strip()}'."
        )
    return _Input(segments=segments, extents=_extents(examined), notes=notes)


def _columns(folder: Folder, name: str, columns: Sequence[str]) -> pa.Table:
    table = folder.read_table(name)
    if missing := [column for column in columns if column not in table.column_names]:
        raise DataError(f"{folder}/{name} lacks columns {missing}: is it a label version?")
    return table.select(list(columns))


def _extents(windows: pa.Table) -> list[Extent]:
    """The union of the windows of each video and source."""
    keys = zip(*(windows[name].cast(pa.string()).to_pylist() for name in ("path", "source")), strict=True)
    start_us, end_us = windows["start_us"].to_numpy(), windows["end_us"].to_numpy()
    rows: dict[tuple[str, str], list[int]] = {}
    for row, key in enumerate(keys):
        rows.setdefault(key, []).append(row)
    return [
        Extent(path=path, start_us=start, end_us=end, source=source)
        for path, source in sorted(rows)
        for start, end in union_of(start_us[rows[path, source]], end_us[rows[path, source]]).tolist()
    ]


def _check_names(found: _Input) -> None:
    """Raises DataError for a name that would break a line, a column or an XML document, or that is not Unicode."""
    rows: list[Segment | Extent] = [*found.segments, *found.extents]
    for item in rows:
        activity = item.activity if isinstance(item, Segment) else ""
        for text in (item.path, activity, item.source):
            if any(ord(character) < 32 or 0xD800 <= ord(character) < 0xE000 for character in text):
                raise DataError(f"the name {text!r} holds control characters or is not Unicode: rename it first")
        if activity != activity.strip() or "  " in activity:
            raise DataError(f"the activity {activity!r} holds blanks that formats do not keep: rename it first")
        if ".." in PurePosixPath(item.path).parts or item.path.startswith("/"):
            raise DataError(f"the video path {item.path!r} leads out of the archive")


def _representable(
    segments: Sequence[Segment], kind: FileFormat, config: ExportConfig, *, fps: float | None, tally: Counter[str]
) -> list[Segment]:
    """`segments` on the format's grid of time, sorted, and joined where it does not hold overlaps."""
    rate = fps if fps is not None else US_PER_SECOND / _STEP_US[config.time_unit]  # steps of the grid per second
    kept = []
    for segment in sorted(segments, key=lambda item: (item.start_us, item.activity, item.source, item.end_us)):
        steps = (round(time_us * rate / US_PER_SECOND) for time_us in (segment.start_us, segment.end_us))
        start_us, end_us = (round(step * US_PER_SECOND / rate) for step in steps)
        tally["rounded"] += (start_us, end_us) != (segment.start_us, segment.end_us)
        if start_us == end_us:
            tally["vanished"] += 1
            continue
        kept.append(replace(segment, start_us=start_us, end_us=end_us))
    return kept if kind.holds_overlaps else _joined(kept, tally)


def _joined(segments: Sequence[Segment], tally: Counter[str]) -> list[Segment]:
    """Sorted segments with those of one activity and source joined that overlap; those that touch stay apart."""
    groups: dict[tuple[str, str], list[int]] = {}
    for row, segment in enumerate(segments):
        groups.setdefault((segment.activity, segment.source), []).append(row)
    joined: dict[int, Segment] = {}  # by the row of the first
    for rows in groups.values():
        starts = np.array([segments[row].start_us for row in rows], np.int64)
        ends = np.array([segments[row].end_us for row in rows], np.int64)
        first = first_of_unions(starts, ends, max_gap_us=-1)
        last_us = np.maximum.reduceat(ends, first)
        for place, end_us in zip(first.tolist(), last_us.tolist(), strict=True):
            joined[rows[place]] = replace(segments[rows[place]], end_us=end_us)
    tally["joined"] += len(segments) - len(joined)
    return [joined[row] for row in sorted(joined)]


def _length_us(path: str, config: ExportConfig, videos: KnownVideos) -> int:
    if config.manifest is None:
        raise ConfigError(f"{config.format.value} states the length of each video: set manifest")
    return videos.span_us(videos.named(path, where=config.input), where=config.input)[1]


def _frame_rate(path: str, config: ExportConfig, videos: KnownVideos) -> float:
    if config.manifest is not None:
        return videos.frame_rate(videos.named(path, where=config.input), where=config.input)
    if config.fps is None:
        raise ConfigError(
            f"{config.format.value} counts frames: set manifest, or fps where all videos have the same frame rate"
        )
    return config.fps


def _notes(found: _Input, kind: FileFormat, name: str, tally: Mapping[str, int]) -> list[str]:
    notes = []
    sources = sorted({item.source for item in found.segments} | {item.source for item in found.extents})
    if kind.source_kept is SourceKept.NOWHERE:
        notes.append(f"{name} holds no source: segments of {sources[:3]} stand in one file without it.")
    elif kind.source_kept is SourceKept.PER_OBSERVATION:
        notes.append(f"{name} holds no source: there is one observation for each of {sources[:3]}.")
    if not kind.holds_extents and found.extents:
        notes.append(f"{name} does not hold which part of a video was examined.")
    if kind.holds_extents:
        parts = Counter((item.path, item.source) for item in found.extents)
        if num_parted := sum(count > 1 for count in parts.values()):
            notes.append(
                f"{counted(num_parted, 'observation')} of several parts: {name} holds one interval, none is set."
            )
    if tally["rounded"]:
        grid = "frames" if kind.counts_frames else "milliseconds"
        notes.append(f"{counted(tally['rounded'], 'segment')} rounded to whole {grid}.")
    if tally["vanished"]:
        notes.append(f"{counted(tally['vanished'], 'segment')} of zero length after rounding left out.")
    if tally["joined"]:
        notes.append(f"{counted(tally['joined'], 'segment')} joined with one of the same activity that it overlaps.")
    return notes


def _rate_notes(videos: KnownVideos) -> list[str]:
    if not videos.variable_rate_paths:
        return []
    paths = sorted(videos.variable_rate_paths)
    return [
        f"{counted(len(paths), 'video')} with a variable frame rate, so frame numbers are approximate: {paths[:3]}."
    ]
