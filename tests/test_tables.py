from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from nrray.errors import DataError
from nrray.tables import rows_from_table, schema_of, table_from_rows
from nrray.types import Blob, Coded, Float32, Int32


class Colour(str, Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, kw_only=True)
class Kept:
    schema_version: ClassVar[int] = 2

    name: str
    code: Coded
    count: Int32
    size: int
    share: float
    score: Float32 | None
    is_on: bool
    colour: Colour
    other: Colour | None
    times: NDArray[np.int64]
    flags: NDArray[np.bool_]
    answers: list[str | None] | None
    pixels: Blob


@dataclass(frozen=True, kw_only=True)
class Passing:
    name: str


def kept(name: str, *, num_pixels: int = 6, **values: object) -> Kept:
    given = {
        "name": name,
        "code": "a",
        "count": 3,
        "size": 2**40,
        "share": 0.25,
        "score": 0.5,
        "is_on": True,
        "colour": Colour.RED,
        "other": None,
        "times": np.array([1, -2, 3]),
        "flags": np.array([True, False]),
        "answers": None,
        "pixels": np.arange(num_pixels, dtype=np.uint8),
    }
    return Kept(**{**given, **values})


def assert_same(found: Kept, expected: Kept) -> None:
    for name, value in vars(expected).items():
        if isinstance(value, np.ndarray):
            assert np.array_equal(getattr(found, name), value), name
            assert getattr(found, name).dtype == value.dtype, name
        else:
            assert getattr(found, name) == value, name
            assert type(getattr(found, name)) is type(value), name


def test_a_schema_is_derived_from_the_fields_in_their_order():
    coded = pa.dictionary(pa.int32(), pa.string())
    assert schema_of(Kept) == pa.schema(
        [
            pa.field("name", pa.string(), nullable=False),
            pa.field("code", coded, nullable=False),
            pa.field("count", pa.int32(), nullable=False),
            pa.field("size", pa.int64(), nullable=False),
            pa.field("share", pa.float64(), nullable=False),
            pa.field("score", pa.float32()),
            pa.field("is_on", pa.bool_(), nullable=False),
            pa.field("colour", pa.string(), nullable=False),
            pa.field("other", pa.string()),
            pa.field("times", pa.list_(pa.int64()), nullable=False),
            pa.field("flags", pa.list_(pa.bool_()), nullable=False),
            pa.field("answers", pa.list_(pa.string())),
            pa.field("pixels", pa.large_binary(), nullable=False),
            pa.field("schema_version", pa.int16(), nullable=False),
        ]
    )


def test_a_row_that_is_not_stored_has_no_version():
    assert schema_of(Passing).names == ["name"]


def test_a_field_without_an_arrow_type_is_refused():
    @dataclass(frozen=True)
    class Odd:
        what: dict[str, int]

    with pytest.raises(TypeError, match="no Arrow type is known for a field of type dict"):
        schema_of(Odd)


@pytest.mark.parametrize("count", [1, 2])
def test_rows_come_back_from_their_table(count):
    rows = [
        kept("first"),
        kept("second", num_pixels=0, score=None, other=Colour.BLUE, times=np.zeros(0, np.int64), answers=["yes", None]),
    ][:count]
    table = table_from_rows(rows, Kept)
    assert table.schema == schema_of(Kept)
    assert table["schema_version"].to_pylist() == [2] * count
    for found, expected in zip(rows_from_table(table, Kept), rows, strict=True):
        assert_same(found, expected)


def test_rows_of_a_table_in_chunks_come_back():
    rows = [kept("first"), kept("second", num_pixels=2), kept("third")]
    table = pa.concat_tables([table_from_rows([row], Kept) for row in rows])
    for found, expected in zip(rows_from_table(table.slice(1), Kept), rows[1:], strict=True):
        assert_same(found, expected)


def test_the_blob_of_a_single_row_is_never_copied():
    given = kept("a", num_pixels=1000)
    (row,) = rows_from_table(table_from_rows([given], Kept), Kept)
    assert np.shares_memory(row.pixels, given.pixels)


def test_no_rows_are_an_empty_table():
    table = table_from_rows([], Kept)
    assert table.schema == schema_of(Kept)
    assert rows_from_table(table, Kept) == []


def test_missing_columns_are_named():
    with pytest.raises(DataError, match=r"a table of Kept rows lacks the columns \['size', 'share'\]"):
        rows_from_table(table_from_rows([kept("a")], Kept).drop_columns(["share", "size"]), Kept)


@pytest.mark.parametrize(("version", "is_read"), [(1, True), (2, True), (3, False)])
def test_a_newer_version_is_refused_and_an_older_one_read(version, is_read):
    table = table_from_rows([kept("a")], Kept)
    table = table.set_column(table.num_columns - 1, "schema_version", pa.array([version], pa.int16()))
    if is_read:
        assert rows_from_table(table, Kept)[0].name == "a"
    else:
        with pytest.raises(DataError, match="schema_version 3, expected at most 2"):
            rows_from_table(table, Kept)


def test_a_table_from_before_versions_is_read():
    table = table_from_rows([kept("a")], Kept).drop_columns(["schema_version"])
    assert rows_from_table(table, Kept)[0].name == "a"


def test_a_value_that_an_enum_lacks_is_named():
    table = table_from_rows([kept("a")], Kept)
    table = table.set_column(table.column_names.index("colour"), "colour", pa.array(["green"]))
    with pytest.raises(DataError, match=r"Kept.colour: found 'green', expected one of \['red', 'blue'\]"):
        rows_from_table(table, Kept)
