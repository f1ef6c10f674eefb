"""BORIS' aggregated events (TSV or CSV): one row per state, read by column name, since versions moved the columns.

Times count from the start of the observation, over all its files.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from nrray.errors import DataError
from nrray.formats.boris import MediaFile, split_over_media
from nrray.formats.file_format import FileFormat, ReadContext, SourceKept, VideoAnnotations
from nrray.formats.options import TimeUnit
from nrray.formats.reading import (
    Observation,
    ParsedFile,
    ParsedSegment,
    delimited_rows,
    microseconds,
    utf8_text,
)
from nrray.formats.videos import KnownVideos, seconds_text
from nrray.intervals import Interval
from nrray.wording import counted

_NEEDED = ("Observation id", "Behavior", "Behavior type", "Start (s)", "Stop (s)")
_MEDIA = ("Media file", "Media file name", "Media file path", "Source")  # by age of the version
_LENGTH = ("Total length", "Media duration (s)")
_OUR_HEADER = (
    "Observation id\tMedia file\tTotal length\tSubject\tBehavior\tBehavior type\tStart (s)\tStop (s)\tDuration (s)\n"
)
LENGTH_SLACK_US = 500_000  # between BORIS' length of a file and the manifest's: the last frame may or may not count
Row = tuple[str, Mapping[str, str]]  # where, cells by column


def read_boris_aggregated(data: bytes, *, file: str, context: ReadContext) -> ParsedFile:
    """Problems and DataError name the line."""
    text = utf8_text(data, file=file)
    delimiter = "\t" if "\t" in text.split("\n", 1)[0] else ","
    rows = list(delimited_rows(text, delimiter, file=file))
    header = [name.strip() for name in rows[0][1]] if rows else []
    if missing := [name for name in _NEEDED if name not in header]:
        raise DataError(
            f"{file}: no aggregated events of BORIS, it lacks the columns {missing}. Export with "
            f"Observations > Export events > Aggregated events."
        )
    media_column = next((name for name in _MEDIA if name in header), None)
    if media_column is None:
        raise DataError(f"{file}: found the columns {header}, expected one of {list(_MEDIA)} that names the video")
    by_observation: dict[str, list[Row]] = {}
    skipped: Counter[str] = Counter()
    for number, cells in rows[1:]:
        with context.problems.gathering():
            row = dict(zip(header, (cell.strip() for cell in cells), strict=False))
            where = f"{file}, line {number}"
            if len(cells) < len(header) and any(row.get(name) is None for name in _NEEDED):
                raise DataError(f"{where}: found {len(cells)} columns, the header has {len(header)}")
            kind = row["Behavior type"].upper()
            if kind not in ("STATE", "POINT"):
                raise DataError(f"{where}: Behavior type is {row['Behavior type']!r}, expected STATE or POINT")
            skipped["points"] += kind == "POINT"
            skipped["subjects"] += row.get("Subject", "") not in ("", "No focal subject")
            by_observation.setdefault(row["Observation id"], []).append((where, row))
    observations = []
    for name, mine in by_observation.items():
        with context.problems.gathering():
            observations += _observations(name, mine, media_column, file=file, context=context)
    notes = []
    if skipped["points"]:
        notes.append(f"{counted(skipped['points'], 'POINT row')} left out: an instant is no interval.")
    if skipped["subjects"]:
        notes.append("Subjects not kept.")
    return ParsedFile(observations=observations, notes=notes)


def boris_aggregated_text(video: VideoAnnotations) -> str:
    """The rows that an import needs; the observation's id is the source."""
    lines = [_OUR_HEADER]
    for item in video.segments:
        times = "\t".join(
            f"{time_us / 1e6:.3f}" for time_us in (item.start_us, item.end_us, item.end_us - item.start_us)
        )
        facts = [item.source, video.path, f"{video.length_us / 1e6:.3f}", "No focal subject", item.activity, "STATE"]
        lines.append("\t".join(facts) + f"\t{times}\n")
    return "".join(lines)


def _observations(
    name: str, rows: Sequence[Row], media_column: str, *, file: str, context: ReadContext
) -> list[Observation]:
    """An observation for each of its video files; where there are several, their lengths must be the manifest's."""
    videos, starts_us = context.videos, []
    for row in rows:
        with context.problems.gathering():
            starts_us.append(_seconds(row, "Start (s)"))
    if len(starts_us) < len(rows):
        return []
    ordered = [row for _, row in sorted(zip(starts_us, rows, strict=True), key=lambda pair: pair[0])]
    files = list(dict.fromkeys(_media_name(row[1][media_column]) for row in ordered))
    length_us = _length_us(rows[0])
    media = [MediaFile(name=files[0], start_us=0, end_us=length_us)]
    if len(files) > 1:
        media = _consecutive(files, length_us, where=f"{file}, observation {name!r}", file=file, videos=videos)
    elif length_us is not None and videos.only is None:
        _check_single(media[0], length_us, where=rows[0][0], file=file, videos=videos)
    segments: dict[str, list[ParsedSegment]] = {item.name: [] for item in media}
    for row in ordered:
        where, cells = row
        if cells["Behavior type"].upper() == "POINT":
            continue
        with context.problems.gathering():
            if not cells["Stop (s)"] or cells["Stop (s)"] == "NA":
                raise DataError(
                    f"{where}: {cells['Behavior']!r} was started and not stopped. Stop it in BORIS, export again."
                )
            offset_us = _offset_us(row)
            start_us, end_us = (_seconds(row, column) - offset_us for column in ("Start (s)", "Stop (s)"))
            for video, first, stop in split_over_media(start_us, end_us, media, where=where):
                segments[video].append(ParsedSegment(label=cells["Behavior"], start_us=first, end_us=stop, where=where))
    return [
        Observation(
            name=name,
            video_name=item.name,
            annotator=None,
            segments=segments[item.name],
            examined=None if item.end_us is None else Interval(start_us=0, end_us=item.end_us - item.start_us),
        )
        for item in media
    ]


def _consecutive(
    files: Sequence[str], length_us: int | None, *, where: str, file: str, videos: KnownVideos
) -> list[MediaFile]:
    if videos.only is not None:
        raise DataError(f"{where}: is of several videos {files}, and video names one. Leave `video` out.")
    media: list[MediaFile] = []
    for name in files:
        start_us = media[-1].end_us or 0 if media else 0
        first, last = videos.span_us(videos.of(name, file=file, where=where), where=where)
        media.append(MediaFile(name=name, start_us=start_us, end_us=start_us + last - first))
    total_us = media[-1].end_us or 0
    if length_us is None or abs(total_us - length_us) > LENGTH_SLACK_US * len(media):
        stated = "no total length" if length_us is None else f"a total of {seconds_text(length_us)}"
        raise DataError(
            f"{where}: times run over several videos {files}; the file states {stated}, the manifest measured "
            f"{seconds_text(total_us)} for them: it is not known where each starts. Import the BORIS project instead."
        )
    return media


def _check_single(item: MediaFile, length_us: int, *, where: str, file: str, videos: KnownVideos) -> None:
    """An observation may have files in which nothing happened: then its length is more than its one named video's."""
    video = videos.of(item.name, file=file, where=where)
    first, last = videos.span_us(video, where=where)
    if length_us > last - first + LENGTH_SLACK_US:
        raise DataError(
            f"{where}: the observation is {seconds_text(length_us)} long, {video.path} is {seconds_text(last - first)}: "
            f"it had more videos than the export names, or this is another video. Import the BORIS project instead."
        )


def _media_name(cell: str) -> str:
    """`player #1:v.mp4` of newer versions, or the plain name; the first player where there are several."""
    first = cell.split(";")[0].strip()
    return first.split(":", 1)[1].strip() if first.lower().startswith("player #") and ":" in first else first


def _length_us(row: Row) -> int | None:
    where, cells = row
    text = next((cells[name] for name in _LENGTH if cells.get(name)), "")
    parts = [part.split(":")[-1].strip() for part in text.split(";")]
    if not text or text == "NA":
        return None
    length_us = microseconds(parts[0], TimeUnit.SECONDS, where=f"{where}, length")
    if length_us < 0:
        raise DataError(f"{where}: found the length {parts[0]}, expected seconds from 0 on")
    return length_us


def _offset_us(row: Row) -> int:
    text = row[1].get("Time offset (s)", "")
    return microseconds(text, TimeUnit.SECONDS, where=f"{row[0]}, Time offset (s)") if text not in ("", "NA") else 0


def _seconds(row: Row, column: str) -> int:
    return microseconds(row[1][column], TimeUnit.SECONDS, where=f"{row[0]}, {column}")


BORIS_AGGREGATED = FileFormat(
    read=read_boris_aggregated,
    write=boris_aggregated_text,
    suffix=".tsv",
    is_first_line=lambda line: b"Observation id" in line and b"Behavior type" in line,
    source_kept=SourceKept.PER_OBSERVATION,
    states_lengths=True,
)
