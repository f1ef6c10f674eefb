"""The parsed content of an annotation file of any format: observations, each by one annotator of one video, with segments
under the labels of the file. Times are the video's, in microseconds; nothing is checked against videos or label sets yet.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from io import StringIO
from typing import Any

from nrray.errors import DataError
from nrray.formats.options import TimeUnit
from nrray.intervals import Interval
from nrray.nested import json_from
from nrray.types import US_PER_SECOND

_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)")
_US = {TimeUnit.MICROSECONDS: 1, TimeUnit.MILLISECONDS: 1000, TimeUnit.SECONDS: US_PER_SECOND}


@dataclass(frozen=True, kw_only=True)
class ParsedSegment:
    """A segment under the label that its file gives it; it may end before it starts. `where` names file and line or
    annotation."""

    label: str
    start_us: int
    end_us: int
    where: str


@dataclass(frozen=True, kw_only=True)
class Observation:
    """The annotations of one video by one annotator. `video_name` and `annotator` are None where the file does not name
    them; `examined` is None where the file does not state it; `name` tells observations of one file apart."""

    name: str
    video_name: str | None
    annotator: str | None
    segments: Sequence[ParsedSegment]
    examined: Interval | None = None


@dataclass(frozen=True, kw_only=True)
class ParsedFile:
    """The observations of one file; notes are sentences on content that was skipped or cannot be held."""

    observations: list[Observation]
    notes: list[str] = field(default_factory=list)


class Problems:
    """The problems of one file, gathered so that all of them are told, and mended, at once."""

    def __init__(self) -> None:
        self.errors: list[DataError] = []

    @contextmanager
    def gathering(self) -> Iterator[None]:
        """A DataError within the block is one more problem, and the block is left: for each row of a file its own block."""
        try:
            yield
        except DataError as error:
            self.errors.append(error)


def utf8_text(data: bytes, *, file: str) -> str:
    """The text in `data`, without a byte order mark. Raises DataError where it is not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(
            f"{file}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8. Save the file as UTF-8 (with or without "
            f"a byte order mark): it may be in Latin-1 or UTF-16 now."
        ) from None


def json_value(data: bytes, *, file: str) -> Any:
    """The JSON in `data`. Raises DataError."""
    try:
        return json_from(utf8_text(data, file=file))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is not JSON: {error}") from None


def delimited_rows(text: str, delimiter: str | None, *, file: str) -> Iterator[tuple[int, list[str]]]:
    """(line number, fields) of each line that is not blank; None splits at blanks."""
    if delimiter is None:
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                yield number, line.split()
        return
    # strict: a quote that is opened and never closed would swallow the rest of the file
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if any(part.strip() for part in row):
                yield reader.line_num, row
    except csv.Error as error:
        raise DataError(f"{file}, line {reader.line_num}: not a delimited text: {error}") from None


def microseconds(text: str, unit: TimeUnit, *, where: str, fps: float | None = None) -> int:
    """A time as text in `unit`. Raises DataError that names `where`."""
    text = text.strip()
    if unit is TimeUnit.CLOCK:
        match = _CLOCK.fullmatch(text)
        if match is None:
            raise DataError(f"{where}: found {text!r}, expected a time such as 00:01:02.345")
        hours, minutes, seconds = match.groups()
        total = int(hours or 0) * 3600 + int(minutes) * 60 + Decimal(seconds.replace(",", "."))
        return round(total * US_PER_SECOND)
    try:
        value = Decimal(text)
        if not value.is_finite() or abs(value) > 10**15:
            raise InvalidOperation
    except InvalidOperation:
        raise DataError(f"{where}: found {text!r}, expected a time in {unit.value}, such as 1250 or 1.25") from None
    if unit is TimeUnit.FRAMES:
        if fps is None:
            raise DataError(f"{where}: {text!r} is a frame number and no frame rate is known: set fps")
        if value != value.to_integral_value():
            raise DataError(f"{where}: found {text!r}, expected a whole frame number")
        return round(int(value) * US_PER_SECOND / fps)
    return round(value * _US[unit])


def seconds_us(value: Any, *, where: str) -> int:
    """A number of seconds from JSON. Raises DataError that names `where`."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise DataError(f"{where}: found {value!r}, expected a number of seconds")
    return microseconds(str(value), TimeUnit.SECONDS, where=where)


def mapping_of(value: Any, *, where: str) -> dict[str, Any]:
    """A JSON object, empty where there is none. Raises DataError where it is something else."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise DataError(f"{where}: found {str(value)[:60]!r}, expected a mapping")
    return value


def list_of(value: Any, *, where: str) -> list[Any]:
    """A JSON array, empty where there is none. Raises DataError where it is something else."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise DataError(f"{where}: found {str(value)[:60]!r}, expected a list")
    return value
