"""Rows to Arrow tables and back: the one place where the schema of a row type is derived from its fields.

A row type that is stored declares `schema_version`, which then is the last column of its tables. A row type that only travels
between processes of one run declares none.
"""

import types
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nrray.errors import DataError

RowT = TypeVar("RowT")

VERSION_COLUMN = "schema_version"

_PLAIN_TYPES: dict[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
}
_MARKED_TYPES: dict[str, pa.DataType] = {
    "int32": pa.int32(),
    "float32": pa.float32(),
    "dictionary": pa.dictionary(pa.int32(), pa.string()),
    "blob": pa.large_binary(),
}


def schema_of(cls: type) -> pa.Schema:
    """The Arrow schema of a row type: a column per field, in order, then `schema_version` where the type declares one.

    `X | None` is nullable, an Enum its value, an array or list a list. Raises TypeError for a field of another type.
    """
    return _derived_schema(cls)


@lru_cache
def _derived_schema(cls: Any) -> pa.Schema:
    hints = get_type_hints(cls, include_extras=True)
    columns = []
    for name in _names(cls):
        hint, is_nullable = _without_none(hints[name])
        columns.append(pa.field(name, _arrow_type(hint), nullable=is_nullable))
    if _version_of(cls) is not None:
        columns.append(pa.field(VERSION_COLUMN, pa.int16(), nullable=False))
    return pa.schema(columns)


def table_from_rows(rows: Sequence[RowT], cls: type[RowT]) -> pa.Table:
    """`rows` as a table with the schema of `cls`."""
    schema = schema_of(cls)
    columns = [_column([getattr(row, name) for row in rows], schema.field(name).type) for name in _names(cls)]
    if (version := _version_of(cls)) is not None:
        columns.append(pa.array(np.full(len(rows), version, np.int16)))
    return pa.table(columns, schema=schema)


def rows_from_table(table: pa.Table, cls: type[RowT]) -> list[RowT]:
    """The rows of `table` as `cls`. Arrays and blobs are views of the table's memory: not to be written to.

    Raises DataError that names missing columns, a newer version, or a value that an Enum does not have.
    """
    check_columns(table, cls, name=f"a table of {cls.__name__} rows")
    hints = get_type_hints(cls, include_extras=True)
    names = _names(cls)
    columns = [_values(table[name], *_without_none(hints[name]), where=f"{cls.__name__}.{name}") for name in names]
    return [cls(**dict(zip(names, values, strict=True))) for values in zip(*columns, strict=True)]


def check_columns(table: pa.Table, cls: type, *, name: str) -> None:
    """Raise DataError where `table` lacks a column of `cls`, or was written with a newer version of it."""
    if missing := [column for column in _names(cls) if column not in table.column_names]:
        raise DataError(f"{name} lacks the columns {missing[:5]}; it has {table.column_names}")
    check_version(table, cls, name=name)


def check_version(table: pa.Table, cls: type, *, name: str) -> None:
    """Raise DataError where `table` was written with a newer version of `cls`. One without `schema_version` was written
    before there was such a column, and counts as version 1."""
    version = _version_of(cls)
    if version is None or VERSION_COLUMN not in table.column_names:
        return
    found = [value for value in table[VERSION_COLUMN].unique().to_pylist() if value is None or value > version]
    if found:
        raise DataError(
            f"{name} has schema_version {found[0]}, expected at most {version}: it was written by a newer nrray. Read it with "
            f"that version."
        )


def _names(cls: type) -> list[str]:
    assert is_dataclass(cls)
    return [field.name for field in fields(cls)]


def _version_of(cls: type) -> int | None:
    version: int | None = getattr(cls, "schema_version", None)
    return version


def _without_none(hint: Any) -> tuple[Any, bool]:
    """The type without `| None`, and whether it had that."""
    if get_origin(hint) in (Union, types.UnionType) and type(None) in get_args(hint):
        (inner,) = (argument for argument in get_args(hint) if argument is not type(None))
        return inner, True
    return hint, False


def _arrow_type(hint: Any) -> pa.DataType:
    if get_origin(hint) is Annotated:
        return _MARKED_TYPES[hint.__metadata__[0]]
    if hint in _PLAIN_TYPES:
        return _PLAIN_TYPES[hint]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return pa.string()
    if get_origin(hint) is list:
        return pa.list_(_arrow_type(_without_none(get_args(hint)[0])[0]))
    if get_origin(hint) is np.ndarray:  # NDArray[T] is ndarray[shape, dtype[T]]
        return pa.list_(pa.from_numpy_dtype(get_args(get_args(hint)[1])[0]))
    raise TypeError(f"no Arrow type is known for a field of type {hint}")


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_large_binary(kind):
        if len(values) == 1:  # as one buffer: a unit's pixels are tens of megabytes
            offsets = pa.py_buffer(np.array([0, values[0].nbytes], np.int64))
            return pa.Array.from_buffers(kind, 1, [None, offsets, pa.py_buffer(np.ascontiguousarray(values[0]))])
        return pa.array([value.tobytes() for value in values], kind)
    plain = [value.value if isinstance(value, Enum) else value for value in values]
    if pa.types.is_dictionary(kind):
        return pa.array(plain, kind.value_type).dictionary_encode()
    return pa.array(plain, kind)


def _values(column: pa.ChunkedArray, hint: Any, is_nullable: bool, *, where: str) -> list[Any]:
    if get_origin(hint) is np.ndarray:
        chunks = (item for chunk in column.chunks for item in chunk)
        return [item.values.to_numpy(zero_copy_only=False) if item.is_valid else None for item in chunks]
    if get_origin(hint) is Annotated and hint.__metadata__[0] == "blob":
        return [blob for chunk in column.chunks for blob in _blobs(chunk)]
    values: list[Any] = column.to_pylist()
    plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    if isinstance(plain, type) and issubclass(plain, Enum):
        return [None if value is None and is_nullable else _member(plain, value, where=where) for value in values]
    return values


def _blobs(chunk: pa.LargeBinaryArray) -> list[NDArray[np.uint8]]:
    """A view of every value; pyarrow's own scalars copy them."""
    _, offsets, data = chunk.buffers()
    if not len(chunk) or data is None:
        return [np.zeros(0, np.uint8)] * len(chunk)
    bounds = np.frombuffer(offsets, np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
    whole = np.frombuffer(data, np.uint8)
    return [whole[start:end] for start, end in pairwise(bounds.tolist())]


def _member(enum: type[Enum], value: Any, *, where: str) -> Enum:
    try:
        return enum(value)
    except ValueError:
        raise DataError(f"{where}: found {value!r}, expected one of {[item.value for item in enum]}") from None
