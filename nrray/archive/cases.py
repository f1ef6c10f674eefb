"""The case sidecar: the case that a video shows, its camera, its place on the case's clock, and instants of the case."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nrray.errors import DataError
from nrray.storage import located
from nrray.tables import VERSION_COLUMN
from nrray.types import Case

_REQUIRED = ("case_id", "video_path")
_FIELDS = (*_REQUIRED, "camera", "video_start_us", "site")
_INSTANT_SUFFIX = "_us"  # of the columns that are instants


@dataclass(frozen=True, kw_only=True)
class Cases:
    """The cases of an archive: `rows` of a sidecar, one per video. A video without a row is a case of its own, named by its
    path and with its clock."""

    rows: tuple[Case, ...] = ()

    @cached_property
    def by_path(self) -> Mapping[str, Case]:
        """Path of a video to its row."""
        return {row.video_path: row for row in self.rows}

    def case_of(self, path: str) -> str:
        """The case_id of a video."""
        row = self.by_path.get(path)
        return path if row is None else row.case_id

    def case_ids(self, paths: Iterable[str]) -> list[str]:
        """The case_id of every video, in their order."""
        return [self.case_of(path) for path in paths]

    def rows_by_case(self) -> dict[str, list[Case]]:
        """case_id to its rows, by rising path."""
        found: dict[str, list[Case]] = {}
        for row in sorted(self.rows, key=lambda row: row.video_path):
            found.setdefault(row.case_id, []).append(row)
        return found


def read_cases(uri: str | None) -> Cases:
    """The cases of a sidecar, CSV or Parquet by its suffix; without a sidecar no rows. `case_id` and `video_path` are
    required; the camera is "" and the start 0 where a column is missing, the site is None. Every other column whose name ends
    in `_us` is an instant on the case's clock, known where it has a value: `order_us` is the instant `order`.

    Raises DataError that names the line (CSV) or row (Parquet).
    """
    if uri is None:
        return Cases()
    fs, path = located(uri)
    try:
        data = fs.cat_file(path)
    except FileNotFoundError:
        raise DataError(
            f"case sidecar not found: {uri}. Expected a table, CSV or Parquet, with the columns case_id and video_path."
        ) from None
    except OSError as error:
        raise DataError(
            f"case sidecar {uri} cannot be read: {error.strerror or error}. Expected a CSV or Parquet file."
        ) from None
    rows: list[dict[str, Any]]
    if path.lower().endswith(".parquet"):
        try:
            rows = pq.read_table(pa.BufferReader(data)).to_pylist()
        except pa.ArrowInvalid as error:
            raise DataError(f"{uri} is not a readable Parquet table: {error}") from None
        places = [f"row {number}" for number in range(1, len(rows) + 1)]
    else:
        try:
            reader = csv.DictReader(StringIO(data.decode("utf-8-sig"), newline=""))
            numbered = [(f"line {reader.line_num}", row) for row in reader]
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{uri} is not a CSV text in UTF-8: {error}") from None
        places, rows = [place for place, _ in numbered], [row for _, row in numbered]
    cases = [_case(row, f"{uri}, {place}") for place, row in zip(places, rows, strict=True)]
    seen: dict[str, str] = {}
    for place, case in zip(places, cases, strict=True):
        if case.video_path in seen:
            raise DataError(
                f"{uri}, {place}: {case.video_path!r} is also on {seen[case.video_path]}; a video shows one case"
            )
        seen[case.video_path] = place
    return Cases(rows=tuple(cases))


def cases_csv(rows: Sequence[Case]) -> str:
    """Rows as CSV text, which `read_cases` reads."""
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    columns = _columns(rows)
    writer.writerow(columns)
    for values in zip(*columns.values(), strict=True):
        writer.writerow(["" if value is None else value for value in values])
    return text.getvalue()


def cases_table(rows: Sequence[Case]) -> pa.Table:
    """Rows as a table, which `read_cases` reads from a Parquet file."""
    columns = _columns(rows)
    arrays = [
        pa.array(values, pa.int64() if name.endswith(_INSTANT_SUFFIX) else pa.string())
        for name, values in columns.items()
    ]
    versions = pa.array(np.full(len(rows), Case.schema_version, np.int16))
    return pa.table([*arrays, versions], names=[*columns, VERSION_COLUMN])


def _columns(rows: Sequence[Case]) -> dict[str, list[Any]]:
    """The fields of all rows, then a column for each of their instants."""
    columns: dict[str, list[Any]] = {name: [getattr(row, name) for row in rows] for name in _FIELDS}
    for instant in dict.fromkeys(name for row in rows for name in row.instants):
        columns[f"{instant}{_INSTANT_SUFFIX}"] = [row.instants.get(instant) for row in rows]
    return columns


def _case(row: Mapping[str, Any], where: str) -> Case:
    for name in _REQUIRED:
        if row.get(name) in (None, ""):
            raise DataError(f"{where}: no {name}; columns found: {', '.join(str(key) for key in row)}")
    times = {
        name: _microseconds(value, name, where)
        for name, value in row.items()
        if isinstance(name, str) and name.endswith(_INSTANT_SUFFIX)  # DictReader has None for fields beyond the header
    }
    start_us = times.pop("video_start_us", None)
    return Case(
        case_id=str(row["case_id"]),
        video_path=str(row["video_path"]),
        camera=str(row.get("camera") or ""),
        video_start_us=start_us or 0,
        site=str(row["site"]) if row.get("site") else None,
        instants={name.removesuffix(_INSTANT_SUFFIX): us for name, us in times.items() if us is not None},
    )


def _microseconds(value: Any, name: str, where: str) -> int | None:
    if value in (None, ""):
        return None
    try:
        if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
            raise TypeError
        return int(value)
    except (TypeError, ValueError):
        raise DataError(f"{where}: {name} is {value!r}; expected whole microseconds") from None
