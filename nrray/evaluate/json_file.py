"""JSON files that hold one frozen dataclass each, with a schema_version."""

import json
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import JsonValue, TypeAdapter, ValidationError

from nrray.errors import DataError
from nrray.storage import Folder

DocumentT = TypeVar("DocumentT")


def json_document(document: object) -> dict[str, JsonValue]:
    """A dataclass as a mapping of JSON values."""
    content: dict[str, JsonValue] = _adapter(type(document)).dump_python(document, mode="json", by_alias=True)
    return content


def write_json_file(folder: Folder, name: str, document: object) -> None:
    """Write a dataclass as one whole file on one line. Raises StorageError, ValueError for NaN."""
    # On one line: Python indents a hundred times slower than it writes.
    folder.write_bytes(name, (json.dumps(json_document(document), allow_nan=False) + "\n").encode())


def read_json_file(uri: str, name: str, document: type[DocumentT], *, newest_version: int) -> DocumentT:
    """The dataclass in the file `name` of the folder `uri`. Raises DataError for a file that is missing, of a newer version or
    not of this type; StorageError."""
    folder = Folder(uri)
    try:
        content = folder.read_json(name)
    except FileNotFoundError:
        raise DataError(
            f"{uri}: found no {name}. Give the output folder of `nrray evaluate` or `nrray compare`."
        ) from None
    version = content.get("schema_version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > newest_version:
        raise DataError(
            f"{folder.path(name)}: found schema_version {version}, expected at most {newest_version}. A newer nrray wrote "
            f"the file: read it with that one."
        )
    try:
        found: DocumentT = _adapter(document).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(
            f"{folder.path(name)}: {'.'.join(map(str, first['loc']))}: {first['msg']}. Restore the file, or run the verb "
            f"again."
        ) from None
    return found


@lru_cache
def _adapter(document: Any) -> TypeAdapter[Any]:
    return TypeAdapter(document)
