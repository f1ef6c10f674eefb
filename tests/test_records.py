"""JSON files of one dataclass each: what is not its own is refused by name."""

from dataclasses import dataclass

import pytest

from nrray.errors import DataError
from nrray.records import read_record, record_document, write_record
from nrray.storage import Folder


@dataclass(frozen=True, kw_only=True)
class Reading:
    number: int
    share: float | None
    names: tuple[str, ...] = ()


@pytest.fixture
def folder(tmp_path):
    return Folder(str(tmp_path))


def test_a_record_is_read_back_as_it_was_written(folder):
    record = Reading(number=3, share=0.5, names=("a", "b"))
    write_record(folder, "reading.json", record)
    assert read_record(folder, "reading.json", Reading) == record
    assert (
        folder.read_json("reading.json") == record_document(record) == {"number": 3, "share": 0.5, "names": ["a", "b"]}
    )


def test_a_key_with_a_default_may_be_missing(folder):
    folder.write_json("reading.json", {"number": 3, "share": None})
    assert read_record(folder, "reading.json", Reading) == Reading(number=3, share=None)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"number": 3, "share": None, "other": 1}, r"found other, expected only names, number, share"),
        ({"number": 3}, r"share: Field required"),
        ({"number": "3", "share": None}, r"number: Input should be a valid integer"),
        ([], r"cannot be used: all of it"),
    ],
)
def test_a_document_that_is_no_such_record_is_refused(folder, document, message):
    folder.write_json("reading.json", document)
    with pytest.raises(DataError, match=message):
        read_record(folder, "reading.json", Reading)


def test_a_record_that_is_not_there_is_not_found(folder):
    with pytest.raises(FileNotFoundError):
        read_record(folder, "reading.json", Reading)
