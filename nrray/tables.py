"""Rows to Arrow tables and back. Every table carries a `schema_version` column."""

from collections.abc import Sequence
from dataclasses import fields
from enum import Enum
from typing import Any, TypeVar, get_type_hints

import numpy as np
import pyarrow as pa

from nrray.errors import DataError
from nrray.types import SCHEMA_VERSION

RowT = TypeVar("RowT")

VERSION_FIELD = pa.field("schema_version", pa.int16(), nullable=False)


def table_from_rows(rows: Sequence[Any], schema: pa.Schema) -> pa.Table:
    """`rows` (dataclasses with the fields of `schema`) as a table with `schema` and a `schema_version` column."""
    columns = [
        pa.array([_plain(getattr(row, field.name)) for row in rows], field.type)
        for field in schema
        if field.name != VERSION_FIELD.name
    ]
    names = [field.name for field in schema if field.name != VERSION_FIELD.name]
    version = pa.array(np.full(len(rows), SCHEMA_VERSION, np.int16))
    full = pa.schema([*(schema.field(name) for name in names), VERSION_FIELD])
    return pa.table([*columns, version], schema=full)


def rows_from_table(table: pa.Table, cls: type[RowT]) -> list[RowT]:
    """The rows of `table` as `cls`, a dataclass. Raises DataError that names missing columns or a newer version."""
    names = [field.name for field in fields(cls)]  # type: ignore[arg-type]
    if missing := [name for name in names if name not in table.column_names]:
        raise DataError(f"a table of {cls.__name__} rows lacks columns {missing}; it has {table.column_names}")
    if VERSION_FIELD.name in table.column_names:
        newer = [v for v in table[VERSION_FIELD.name].unique().to_pylist() if v is None or v > SCHEMA_VERSION]
        if newer:
            raise DataError(f"a table of {cls.__name__} rows has schema_version {newer[0]}; expected {SCHEMA_VERSION}")
    enums = {
        name: hint for name, hint in get_type_hints(cls).items() if isinstance(hint, type) and issubclass(hint, Enum)
    }
    rows = []
    for values in table.select(names).to_pylist():
        for name, enum in enums.items():
            try:
                values[name] = enum(values[name])
            except ValueError:
                raise DataError(
                    f"{cls.__name__}.{name}: found {values[name]!r}, expected one of {[item.value for item in enum]}"
                ) from None
        rows.append(cls(**values))
    return rows


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value
