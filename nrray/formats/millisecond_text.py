"""The field's millisecond text: label, start, end, duration, and in one variant the original event's name.

Times are whole milliseconds; columns stand between tabs, or blanks in the four-column variant.
"""

import re
from collections.abc import Sequence

from nrray.archive.annotations import millisecond_text
from nrray.errors import DataError
from nrray.formats.file_format import FileFormat, ReadContext, VideoAnnotations
from nrray.formats.reading import Observation, ParsedFile, ParsedSegment, utf8_text
from nrray.wording import counted

_WHOLE = re.compile(r"-?\d+")


def read_millisecond_file(data: bytes, *, file: str, context: ReadContext) -> ParsedFile:
    """Problems and DataError name the line."""
    segments = []
    num_originals = 0
    for number, line in enumerate(utf8_text(data, file=file).splitlines(), start=1):
        parts = [part.strip() for part in line.split("\t")] if "\t" in line else line.split()
        if not line.strip() or (number == 1 and _is_header(parts)):
            continue
        with context.problems.gathering():
            segments.append(_segment(line, parts, where=f"{file}, line {number}"))
            num_originals += len(parts) == 5 and parts[4] not in ("", parts[0])
    notes = []
    if num_originals:
        notes.append(f"{counted(num_originals, 'original event name')} in the fifth column not kept.")
    return ParsedFile(
        observations=[Observation(name=file, video_name=None, annotator=None, segments=segments)], notes=notes
    )


def _is_header(parts: Sequence[str]) -> bool:
    return len(parts) in (4, 5) and [part.lower() for part in parts[1:3]] == ["start", "end"]


def _segment(line: str, parts: Sequence[str], *, where: str) -> ParsedSegment:
    if len(parts) not in (4, 5) or (len(parts) == 5 and "\t" not in line):
        raise DataError(
            f"{where}: found {counted(len(parts), 'field')}, expected label, start, end, duration (and, between "
            f"tabs, the original event): {line!r}. For other columns set format=delimited, columns and time_unit: "
            f"the file does not say in which unit its times are."
        )
    if not all(_WHOLE.fullmatch(part) for part in parts[1:4]):
        raise DataError(f"{where}: times must be whole milliseconds, found {parts[1:4]}")
    start_ms, end_ms, length_ms = (int(part) for part in parts[1:4])
    if end_ms - start_ms != length_ms:
        raise DataError(f"{where}: start {start_ms}, end {end_ms} and duration {length_ms} do not fit together")
    return ParsedSegment(label=parts[0], start_us=start_ms * 1000, end_us=end_ms * 1000, where=where)


def millisecond_file(video: VideoAnnotations) -> str:
    """A line per segment."""
    return millisecond_text(video.segments)


MILLISECOND_TEXT = FileFormat(read=read_millisecond_file, write=millisecond_file, suffix=".txt")
