"""CSV, TSV and blank-separated tables with a column map; ELAN's tab-delimited export is one with known columns.

Without a map, the header's own names are read: activity, start_UNIT, end_UNIT, and where they are there video,
duration_UNIT and source. Nothing is guessed of a unit: it is in the column's name or in `time_unit`.
"""

import csv
import re
from collections.abc import Sequence
from io import StringIO

from nrray.errors import DataError
from nrray.formats.file_format import FileFormat, ReadContext, SourceKept, VideoAnnotations
from nrray.formats.literal_cells import literal_cell, literal_text
from nrray.formats.options import ColumnMap, Delimiter, ReadOptions, TimeUnit
from nrray.formats.reading import Observation, ParsedFile, ParsedSegment, delimited_rows, microseconds, utf8_text

_CHARACTERS = {Delimiter.TAB: "\t", Delimiter.COMMA: ",", Delimiter.SEMICOLON: ";", Delimiter.BLANKS: None}
_NAMED_UNIT = re.compile(r"(start|end|duration)_(us|ms|s|seconds|frames)")
_UNITS = {"us": TimeUnit.MICROSECONDS, "ms": TimeUnit.MILLISECONDS, "frames": TimeUnit.FRAMES}
_US_PER_UNIT = {TimeUnit.MICROSECONDS: 1, TimeUnit.MILLISECONDS: 1000, TimeUnit.SECONDS: 1_000_000}
Row = tuple[int, list[str]]


def read_delimited(data: bytes, *, file: str, context: ReadContext) -> ParsedFile:
    """Problems and DataError name the line."""
    options = context.options
    rows = _rows(data, file=file, options=options)
    if not rows:
        return ParsedFile(observations=[Observation(name=file, video_name=None, annotator=None, segments=[])])
    columns, named_unit = options.columns, None
    if columns is None:
        columns, named_unit = _columns_by_header(rows[0], file=file)
    unit = options.time_unit or named_unit
    if named_unit is not None and unit is not None and unit is not named_unit:
        raise DataError(
            f"{file}, line {rows[0][0]}: {rows[0][1]} says that times are in {named_unit.value}, and time_unit is {unit.value}. "
            f"Leave time_unit out; or, where the header is wrong, map its columns with columns."
        )
    if unit is None:
        raise DataError(
            f"{file}, line {rows[0][0]}: {rows[0][1]} does not say in which unit its times are. "
            f"Set time_unit to one of {[item.value for item in TimeUnit]}."
        )
    return rows_reading(rows, columns=columns, unit=unit, file=file, context=context)


def read_elan_tab(data: bytes, *, file: str, context: ReadContext) -> ParsedFile:
    """ELAN's export: with a header line by its names, without one by the place of the times. Raises DataError."""
    options = context.options
    # ELAN does not quote: a quotation mark is an ordinary character
    lines = utf8_text(data, file=file).splitlines()
    rows = [
        (number, line.split("\t"))
        for number, line in enumerate(lines, start=1)
        if number > options.skip_rows and line.strip()
    ]
    if options.columns is not None and options.time_unit is not None:
        return rows_reading(rows, columns=options.columns, unit=options.time_unit, file=file, context=context)
    if options.columns is not None or options.time_unit is not None:
        raise DataError(f"{file}: give both columns and time_unit for an ELAN export, or none: they are then found")
    if not rows:
        return ParsedFile(observations=[Observation(name=file, video_name=None, annotator=None, segments=[])])
    columns, unit = _elan_columns(rows[0], file=file)
    return rows_reading(rows, columns=columns, unit=unit, file=file, context=context)


def rows_reading(
    rows: Sequence[Row], *, columns: ColumnMap, unit: TimeUnit, file: str, context: ReadContext
) -> ParsedFile:
    """`rows` (header included, where columns are named) read by a column map. Problems and DataError name the line."""
    videos, problems = context.videos, context.problems
    index, body = _indices(columns, rows, file=file)
    header = rows[0][1] if body is not rows else None
    observations: dict[tuple[str | None, str | None], list[ParsedSegment]] = {}
    rates: dict[str | None, float | None] = {}  # by the names of videos, None where there is none
    for number, row in body:
        with problems.gathering():
            where = f"{file}, line {number}"
            cells = _cells(row, index, header, where=where)
            video_name, source = cells.get("video") or None, cells.get("source") or None
            if unit is TimeUnit.FRAMES and video_name not in rates:
                rates[video_name] = None
                rates[video_name] = videos.frame_rate(videos.of(video_name, file=file, where=where), where=where)
            fps = rates.get(video_name)
            if unit is TimeUnit.FRAMES and fps is None:
                continue  # told where the video was first named
            start_us, end_us = _times_us(cells, unit, fps=fps, where=where)
            observations.setdefault((video_name, source), []).append(
                ParsedSegment(label=cells["activity"], start_us=start_us, end_us=end_us, where=where)
            )
    if not observations and "video" not in index:
        observations[None, None] = []
    return ParsedFile(
        observations=[
            Observation(name=source or file, video_name=video, annotator=source, segments=segments)
            for (video, source), segments in observations.items()
        ]
    )


def _cells(row: Sequence[str], index: dict[str, int], header: Sequence[str] | None, *, where: str) -> dict[str, str]:
    """The mapped cells of a row, an empty text for a last one that is not there."""
    if len(row) <= max(index[name] for name in index if name not in ("video", "source")):
        raise DataError(f"{where}: found {len(row)} columns, the column map needs {max(index.values()) + 1}: {row}")
    if header is not None and any(cell.strip() for cell in row[len(header) :]):
        raise DataError(
            f"{where}: found {len(row)} columns, the header has {len(header)}: {row}. Are there commas in its numbers? "
            f"Quote them, or separate columns by something else."
        )
    return {name: row[place].strip() if place < len(row) else "" for name, place in index.items()}


def _times_us(cells: dict[str, str], unit: TimeUnit, *, fps: float | None, where: str) -> tuple[int, int]:
    """Start and end of a row."""
    times = {
        name: microseconds(cells[name], unit, where=f"{where}, {name}", fps=fps)
        for name in ("start", "end", "duration")
        if name in cells and (cells[name] or name != "duration" or "end" not in cells)
    }
    end_us = times["end"] if "end" in times else times["start"] + times["duration"]
    if "duration" in times and abs(times["start"] + times["duration"] - end_us) > _slack_us(cells, unit, fps):
        raise DataError(
            f"{where}: start {cells['start']}, end {cells['end']} and duration {cells['duration']} do not fit together"
        )
    return times["start"], end_us


def delimited_text(video: VideoAnnotations) -> str:
    """CSV with the columns video, activity, start_UNIT, end_UNIT, source; no cell is a formula."""
    unit = video.time_unit
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["video", "activity", f"start_{unit.value}", f"end_{unit.value}", "source"])
    for segment in video.segments:
        times = (_unit_text(time_us, unit) for time_us in (segment.start_us, segment.end_us))
        path, activity, source = map(literal_cell, (video.path, segment.activity, segment.source))
        writer.writerow([path, activity, *times, source])
    return text.getvalue()


def elan_tab_text(video: VideoAnnotations) -> str:
    """As ELAN exports with column headers: a tier per activity, times in milliseconds."""
    lines = ["Tier\tParticipant\tBegin Time - msec\tEnd Time - msec\tDuration - msec\tAnnotation"]
    for segment in video.segments:
        start_ms, end_ms = segment.start_us // 1000, segment.end_us // 1000
        lines.append(
            f"{segment.activity}\t{segment.source}\t{start_ms}\t{end_ms}\t{end_ms - start_ms}\t{segment.activity}"
        )
    return "\n".join(lines) + "\n"


def _unit_text(time_us: int, unit: TimeUnit) -> str:
    if unit is TimeUnit.SECONDS:
        sign = "-" if time_us < 0 else ""
        return f"{sign}{abs(time_us) // 1_000_000}.{abs(time_us) % 1_000_000:06d}"
    return str(time_us // _US_PER_UNIT[unit])


def _rows(data: bytes, *, file: str, options: ReadOptions) -> list[Row]:
    text = utf8_text(data, file=file)
    first = "\n".join(text.splitlines()[options.skip_rows : options.skip_rows + 1])
    if options.delimiter is Delimiter.AUTO:
        character = next((candidate for candidate in "\t;," if candidate in first), None)
    else:
        character = _CHARACTERS[options.delimiter]
    return [
        (number, [literal_text(cell) for cell in cells])
        for number, cells in delimited_rows(text, character, file=file)
        if number > options.skip_rows
    ]


def _columns_by_header(header: Row, *, file: str) -> tuple[ColumnMap, TimeUnit | None]:
    names = [name.strip() for name in header[1]]
    found: dict[str, str] = {name: name for name in ("activity", "start", "end", "duration", "video", "source")}
    found = {name: column for name, column in found.items() if column in names}
    units = set()
    for name in names:
        if match := _NAMED_UNIT.fullmatch(name):
            found[match[1]] = name
            units.add(_UNITS.get(match[2], TimeUnit.SECONDS))
    if "activity" not in found or "start" not in found or not {"end", "duration"} & set(found) or len(units) > 1:
        raise DataError(
            f"{file}, line {header[0]}: found {names}, expected a header with activity, start_UNIT and end_UNIT. "
            f"Map its columns by name or number: columns={{activity: 3, start: 1, end: 2}} time_unit=ms"
        )
    return ColumnMap.model_validate(found), next(iter(units), None)


def _elan_columns(first: Row, *, file: str) -> tuple[ColumnMap, TimeUnit]:
    number, cells = first[0], [cell.strip() for cell in first[1]]
    if "Tier" in cells:
        for suffix, unit in (
            ("msec", TimeUnit.MILLISECONDS),
            ("hh:mm:ss.ms", TimeUnit.CLOCK),
            ("ss.msec", TimeUnit.SECONDS),
        ):
            if f"Begin Time - {suffix}" in cells and f"End Time - {suffix}" in cells:
                named = {"activity": "Tier", "start": f"Begin Time - {suffix}", "end": f"End Time - {suffix}"}
                source = {"source": "Participant"} if "Participant" in cells else {}
                return ColumnMap.model_validate({**named, **source}), unit
    clocks = [place for place, cell in enumerate(cells, start=1) if re.fullmatch(r"\d+:\d\d:\d\d\.\d+", cell)]
    if len(clocks) >= 2 and clocks[0] > 1:
        numbered = {"activity": 1, "start": clocks[0], "end": clocks[1]}
        numbered_source = {"source": 2} if clocks[0] > 2 else {}
        return ColumnMap.model_validate({**numbered, **numbered_source}), TimeUnit.CLOCK
    raise DataError(
        f"{file}, line {number}: {cells} shows neither ELAN's column headers nor times as hh:mm:ss.ms. Export with "
        f"column headers, or map the columns: columns={{activity: 1, start: 3, end: 4}} time_unit=ms"
    )


def _indices(columns: ColumnMap, rows: Sequence[Row], *, file: str) -> tuple[dict[str, int], Sequence[Row]]:
    """Index from 0 of each mapped column, and the rows without the header."""
    given = columns.given
    numbers = {name: value - 1 for name, value in given.items() if isinstance(value, int)}
    if numbers:
        return numbers, rows
    if not rows:
        return dict.fromkeys(given, 0), rows
    line, header = rows[0][0], [name.strip() for name in rows[0][1]]
    for value in given.values():
        if header.count(str(value)) != 1:
            raise DataError(f"{file}, line {line}: found columns {header}, expected one called {value!r}: mend columns")
    return {name: header.index(str(value)) for name, value in given.items()}, rows[1:]


def _slack_us(cells: dict[str, str], unit: TimeUnit, fps: float | None) -> int:
    """How far apart a rounded duration may be from the difference of rounded times: two units in the last place."""
    if unit is TimeUnit.FRAMES:
        return round(1.5e6 / (fps or 1))
    decimals = min(len(cells[name].partition(".")[2]) for name in ("start", "end", "duration") if name in cells)
    scale = 1_000_000 if unit is TimeUnit.CLOCK else _US_PER_UNIT[unit]
    return round(2 * scale / 10**decimals) if decimals or unit is TimeUnit.SECONDS else 0


DELIMITED = FileFormat(
    read=read_delimited,
    write=delimited_text,
    suffix=".csv",
    read_options=frozenset({"columns", "time_unit", "delimiter", "skip_rows", "fps"}),
    write_options=frozenset({"time_unit"}),
    source_kept=SourceKept.PER_SEGMENT,
)
ELAN_TAB = FileFormat(
    read=read_elan_tab,
    write=elan_tab_text,
    suffix=".tsv",
    is_first_line=lambda line: line.startswith(b"Tier\t") or b"\tBegin Time - " in line,
    read_options=frozenset({"columns", "time_unit", "skip_rows"}),
    source_kept=SourceKept.PER_SEGMENT,
)
