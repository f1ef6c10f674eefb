"""WebVTT: a cue per segment, its text the activity; several lines of text are several activities. Cues may overlap."""

import html
import re
from collections.abc import Sequence

from nrray.errors import DataError
from nrray.formats.file_format import FileFormat, ReadContext, VideoAnnotations
from nrray.formats.options import TimeUnit
from nrray.formats.reading import Observation, ParsedFile, ParsedSegment, microseconds, utf8_text
from nrray.wording import counted

_TIMING = re.compile(r"\s*(\S+)\s+-->\s+(\S+)(?:\s.*)?")
_CUE_TIME = re.compile(r"(?:\d{2,}:)?[0-5]\d:[0-5]\d\.\d{3}")
_TAG = re.compile(r"<[^>]*>")
_NOT_CUES = re.compile(r"(NOTE|STYLE|REGION)(\s|$)")


def read_webvtt(data: bytes, *, file: str, context: ReadContext) -> ParsedFile:
    """Problems and DataError name the line."""
    lines = utf8_text(data, file=file).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if not re.fullmatch(r"WEBVTT([ \t].*)?", lines[0]):
        raise DataError(f"{file}, line 1: found {lines[0][:40]!r}, expected WEBVTT")
    segments: list[ParsedSegment] = []
    num_notes = num_empty = 0
    for first, block in _blocks(lines):
        if first == 0:
            continue
        if _NOT_CUES.match(block[0]) and "-->" not in block[0]:
            num_notes += block[0].startswith("NOTE")
            continue
        with context.problems.gathering():
            found = _cue_segments(first, block, file=file)
            num_empty += not found
            segments += found
    notes = []
    if num_notes:
        notes.append(f"{counted(num_notes, 'NOTE')} left out.")
    if num_empty:
        notes.append(f"{counted(num_empty, 'cue')} without text left out.")
    return ParsedFile(
        observations=[Observation(name=file, video_name=None, annotator=None, segments=segments)], notes=notes
    )


def _cue_segments(first: int, block: Sequence[str], *, file: str) -> list[ParsedSegment]:
    timed = next((index for index, line in enumerate(block[:2]) if "-->" in line), None)
    if timed is None:
        raise DataError(f"{file}, line {first + 1}: found {block[0]!r}, expected a cue: START --> END")
    where = f"{file}, line {first + timed + 1}"
    start_us, end_us = _cue_times(block[timed], where)
    names = [html.unescape(_TAG.sub("", line)).strip() for line in block[timed + 1 :]]
    return [ParsedSegment(label=name, start_us=start_us, end_us=end_us, where=where) for name in names if name]


def webvtt_text(video: VideoAnnotations) -> str:
    """A cue per segment."""
    cues = [
        f"\n{_clock(segment.start_us)} --> {_clock(segment.end_us)}\n{html.escape(segment.activity, quote=False)}\n"
        for segment in sorted(video.segments, key=lambda segment: (segment.start_us, segment.end_us, segment.activity))
    ]
    return "WEBVTT\n" + "".join(cues)


def _blocks(lines: Sequence[str]) -> list[tuple[int, list[str]]]:
    """(index of the first line, lines) of each block between blank lines."""
    blocks: list[tuple[int, list[str]]] = []
    previous_is_blank = True
    for index, line in enumerate(lines):
        if line.strip():
            if previous_is_blank:
                blocks.append((index, []))
            blocks[-1][1].append(line)
        previous_is_blank = not line.strip()
    return blocks


def _cue_times(line: str, where: str) -> tuple[int, int]:
    match = _TIMING.fullmatch(line)
    if match is None or not all(_CUE_TIME.fullmatch(part) for part in match.groups()):
        raise DataError(f"{where}: found {line!r}, expected START --> END with times such as 00:01:02.345")
    start, end = (microseconds(part, TimeUnit.CLOCK, where=where) for part in match.groups())
    return start, end


def _clock(time_us: int) -> str:
    total_ms = time_us // 1000
    return (
        f"{total_ms // 3_600_000:02d}:{total_ms // 60_000 % 60:02d}:{total_ms // 1000 % 60:02d}.{total_ms % 1000:03d}"
    )


WEBVTT = FileFormat(read=read_webvtt, write=webvtt_text, suffix=".vtt", owns_suffix=True)
