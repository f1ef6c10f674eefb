"""JSON files that hold one frozen dataclass each: its fields are the file's keys, no others, each of its type."""

from dataclasses import fields
from typing import Any, TypeVar

from pydantic import JsonValue, TypeAdapter, ValidationError

from nrray.errors import DataError
from nrray.storage import Folder

RecordT = TypeVar("RecordT")


def write_record(folder: Folder, name: str, record: object) -> None:
    """Write a dataclass as one whole file. Raises StorageError."""
    folder.write_json(name, record_document(record))


def read_record(folder: Folder, name: str, record: type[RecordT]) -> RecordT:
    """The dataclass `record` in a file. Raises FileNotFoundError, StorageError, DataError for a key that is unknown or missing
    and for a value of another type."""
    document, where = folder.read_json(name), folder.path(name)
    known = {field.name for field in fields(record)}  # type: ignore[arg-type]
    unknown = sorted(document.keys() - known) if isinstance(document, dict) else []
    if unknown:
        raise DataError(
            f"{where}: found {', '.join(unknown)}, expected only {', '.join(sorted(known))}. Restore the file, or read it with "
            f"the version of nrray that wrote it."
        )
    try:
        found: RecordT = _adapter(record).validate_json(folder.read_bytes(name), strict=True)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'all of it'}: {e['msg']}" for e in error.errors())
        raise DataError(f"{where} cannot be used: {problems}. Restore the file, or delete it.") from None
    return found


def record_document(record: object) -> dict[str, JsonValue]:
    """A dataclass as JSON has it."""
    document: dict[str, JsonValue] = _adapter(type(record)).dump_python(record, mode="json")
    return document


_ADAPTERS: dict[type, TypeAdapter[Any]] = {}


def _adapter(record: type) -> TypeAdapter[Any]:
    if record not in _ADAPTERS:
        _ADAPTERS[record] = TypeAdapter(record)
    return _ADAPTERS[record]
