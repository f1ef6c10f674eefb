"""Folders on any storage: private, whole files. Knows bytes and tables, not their meaning."""

import errno
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.core import url_to_fs

from nrray.errors import DataError, DecodeError, ErrorKind, StorageError
from nrray.nested import json_from
from nrray.types import US_PER_SECOND

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
HTTP_SILENCE_SECONDS = 30.0


_PROTOCOL = re.compile(r"[A-Za-z][A-Za-z0-9+.:-]*://")
_S3_PROTOCOLS = ("s3://", "s3a://")


def is_local(uri: str) -> bool:
    """Whether `uri` is a path of this machine's file system."""
    return _PROTOCOL.match(uri) is None or uri.startswith("file://")


def absolute_uri(uri: str) -> str:
    """`uri` as it stays valid in a process with another working directory."""
    if is_local(uri):
        return str(Path(uri.removeprefix("file://")).expanduser().absolute())
    return uri


def located(uri: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system of `uri` and the path that it knows. A local path is never parsed: it may hold `::` or `#`."""
    absolute = absolute_uri(uri)
    if is_local(absolute):
        return fsspec.filesystem("file"), absolute
    try:
        file_system, path = url_to_fs(absolute, **_settings(absolute))
    except ImportError as error:
        advice = "pip install 'nrray[s3]'" if absolute.startswith(_S3_PROTOCOLS) else str(error)
        raise DataError(f"{uri}: the package that opens this kind of URI is not installed: {advice}.") from None
    except ValueError as error:
        raise DataError(f"{uri}: {error}. Expected a local path, or a URI such as s3://bucket/folder.") from None
    return file_system, str(path)


def _settings(uri: str) -> dict[str, Any]:
    """Of the library that opens a URI: an http server that says nothing would be waited for during five minutes."""
    if not uri.startswith(("http://", "https://")):
        return {}
    from aiohttp import ClientTimeout  # a second to import

    silent = ClientTimeout(total=None, sock_connect=HTTP_SILENCE_SECONDS, sock_read=HTTP_SILENCE_SECONDS)
    return {"client_kwargs": {"timeout": silent}}


_STORAGE_PACKAGES = frozenset(
    {
        *(
            "adlfs",
            "aiobotocore",
            "aiohttp",
            "asyncio",
            "azure",
            "boto3",
            "botocore",
            "fsspec",
            "gcsfs",
            "google",
            "ocifs",
        ),
        *("paramiko", "requests", "s3fs", "urllib3"),
    }
)
_NO_CREDENTIALS = re.compile(
    "Credential|NoAuth|TokenRetrieval|UnauthorizedSSO|ProfileNotFound|Unauthorized", re.IGNORECASE
)
_NO_ANSWER = re.compile("Connect|Timeout|Disconnected|Endpoint|Unreachable|ServerError|Payload", re.IGNORECASE)


def remote_reason(error: BaseException) -> str | None:
    """What an error of a library that opens object stores means, and the setting to change; None for any other error. Most are
    no OSError."""
    classes = [each for each in type(error).__mro__ if each.__module__.split(".")[0] in _STORAGE_PACKAGES]
    if not classes:
        return None
    found = (str(error).strip() or type(error).__name__).split("\n")[0].rstrip(".")
    names = " ".join(each.__name__ for each in classes) + f" {found}"
    if _NO_CREDENTIALS.search(names):
        return (
            f"{found}: no credentials that the store takes. Set those of its library in the environment (s3: AWS_ACCESS_KEY_ID "
            f"and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; gs: GOOGLE_APPLICATION_CREDENTIALS)"
        )
    if _NO_ANSWER.search(names):
        return (
            f"{found}: the store does not answer. Is its address right (s3: AWS_ENDPOINT_URL), and can this machine reach it? "
            f"Run the same command again, it goes on where it stopped"
        )
    return f"{found} ({type(error).__name__})"


@contextmanager
def storage_errors(failure: str) -> Iterator[None]:
    """Turns an OSError, or an error of a library that opens object stores, into a StorageError of `failure`, such as "cannot
    write FILE", its reason and advice."""
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) and type(error).__module__ == "builtins":
            raise _storage_error(failure, error) from error
        reason = remote_reason(error)
        if reason is not None:
            raise StorageError(f"{failure}: {reason}.") from error
        if isinstance(error, OSError):
            raise _storage_error(failure, error) from error
        raise


def _storage_error(failure: str, error: OSError) -> StorageError:
    if isinstance(error, TimeoutError):
        return StorageError(
            f"{failure}: the store does not answer in time. Run the same command again, it goes on from there"
        )
    reasons = {
        errno.ENOSPC: "no space is left: free some, then run the same command again, it goes on where it stopped",
        errno.EDQUOT: "the disk quota is used up: free some, then run the same command again",
        errno.EROFS: "the file system is read-only: choose another output",
        errno.EACCES: "permission denied: choose another output, or change its owner or mode",
        errno.EPERM: "not permitted: choose another output, or change its owner or mode",
        errno.ENOTDIR: "a part of the path is a file, not a folder: choose another output",
        errno.EEXIST: "a file of that name is there, no folder: choose another output",
        errno.EISDIR: "a folder of that name is there, no file: choose another name",
    }
    return StorageError(f"{failure}: {reasons.get(error.errno or 0, (error.strerror or str(error)).lower())}")


class Folder:
    """A folder at a path or URI. Files appear whole or not at all.

    On a file system a file is written under a temporary name and renamed; on an object store it is a single put.
    """

    def __init__(self, uri: str) -> None:
        self.uri = absolute_uri(uri)
        self.is_local = is_local(self.uri)
        self._fs, self._root = located(self.uri)

    def __truediv__(self, name: str) -> "Folder":
        return Folder(f"{self.uri.rstrip('/')}/{name}")

    def __str__(self) -> str:
        return self.uri

    def path(self, name: str = "") -> str:
        """The path of `name` as its file system knows it."""
        return f"{self._root.rstrip('/')}/{name}" if name else self._root

    @property
    def filesystem(self) -> fsspec.AbstractFileSystem:
        return self._fs

    def create(self) -> None:
        """Make the folder, private to its owner. Raises StorageError."""
        with storage_errors(f"cannot create {self.uri}"):
            if self.is_local:
                Path(self._root).mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)

    def remove_leftovers(self) -> None:
        """Delete temporary files and folders of writers that were killed. Only for the one writer of the folder."""
        if not self.is_local:
            return
        for leftover in Path(self._root).glob(".tmp-*"):
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)

    def exists(self, name: str = "") -> bool:
        """Raises StorageError."""
        with storage_errors(f"cannot look for {self.path(name)}"):
            return bool(self._fs.exists(self.path(name)))

    def names(self, suffix: str = "") -> list[str]:
        """Sorted names of the files right in this folder that end with `suffix`; temporary ones are not named."""
        self._fs.invalidate_cache(self._root)
        try:
            with _reading(self.uri):
                found = self._fs.ls(self._root, detail=False)
        except FileNotFoundError:
            return []
        names = [str(path).rstrip("/").rsplit("/", 1)[-1] for path in found]
        return sorted(name for name in names if name.endswith(suffix) and not name.startswith(".tmp-"))

    def read_bytes(self, name: str) -> bytes:
        """The content of a file. Raises FileNotFoundError, StorageError."""
        with _reading(self.path(name)):
            return bytes(self._fs.cat_file(self.path(name)))

    def read_range(self, name: str, start: int, end: int) -> bytes:
        """Bytes [start, end) of a file, or up to its end; no others are read. Raises FileNotFoundError, StorageError."""
        with _reading(self.path(name)):
            return bytes(self._fs.cat_file(self.path(name), start=start, end=end))

    def read_json(self, name: str) -> Any:
        """Raises FileNotFoundError, StorageError, DataError where it is not JSON."""
        try:
            return json_from(self.read_bytes(name))
        except ValueError as error:
            raise DataError(f"{self.path(name)} is damaged, it is not JSON: {error}") from None

    def write_bytes(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """Write a whole file. `durable` waits for the disk. Raises StorageError (full, read-only, no permission)."""
        with storage_errors(f"cannot write {self.path(name)}"):
            if not self.is_local:
                self._fs.pipe_file(self.path(name), data)
                return
            temporary = Path(self.path(f".tmp-{secrets.token_hex(6)}"))
            try:
                descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                    if durable:
                        file.flush()
                        os.fsync(file.fileno())
                os.replace(temporary, self.path(name))
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise

    def write_json(self, name: str, value: Any, *, durable: bool = True) -> None:
        self.write_bytes(name, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode(), durable=durable)

    def write_table(self, name: str, table: pa.Table) -> None:
        """Write `table` as one whole Parquet file (zstd)."""
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        self.write_bytes(name, sink.getvalue().to_pybytes())

    def read_table(self, name: str) -> pa.Table:
        return read_table(f"{self.uri.rstrip('/')}/{name}")

    def remove(self, name: str) -> None:
        """Delete a file; a missing one is no error."""
        with storage_errors(f"cannot delete {self.path(name)}"):
            try:
                self._fs.rm_file(self.path(name))
            except FileNotFoundError:
                return


@contextmanager
def _reading(path: str) -> Iterator[None]:
    """As storage_errors, but a missing file stays FileNotFoundError: callers have an answer to it."""
    with storage_errors(f"cannot read {path}"):
        try:
            yield
        except FileNotFoundError as error:
            missing = error
        else:
            return
    raise missing


@contextmanager
def _remote_errors(failure: str) -> Iterator[None]:
    """As storage_errors, but every OSError of Python itself stays what it is."""
    try:
        yield
    except Exception as error:
        reason = None if type(error).__module__ == "builtins" else remote_reason(error)
        if reason is None:
            raise
        raise StorageError(f"{failure}: {reason}.") from error


def make_private(folder: Path) -> None:
    """Give a folder and the files right in it to their owner alone, whichever library wrote them."""
    folder.chmod(PRIVATE_FOLDER)
    for file in folder.iterdir():
        file.chmod(PRIVATE_FILE)


def read_table(uri: str) -> pa.Table:
    """The Parquet table at `uri`. Raises DataError where there is none or it is damaged."""
    fs, path = located(uri)
    try:
        with _remote_errors(f"cannot read {uri}"), fs.open(path, "rb") as file:
            return pq.read_table(file)
    except FileNotFoundError:
        raise DataError(
            f"table not found: {uri}. Expected a Parquet file, such as the manifest.parquet that `nrray scan` leaves in its "
            f"output."
        ) from None
    except IsADirectoryError:
        raise DataError(f"{uri}: found a folder, expected a Parquet file in one, such as manifest.parquet.") from None
    except (pa.ArrowInvalid, OSError) as error:
        reason = str(error).strip().split(". ")[0].rstrip(".")
        raise DataError(
            f"{uri} is not a readable Parquet table: {reason}. Was it cut short when it was copied? Copy it again, or "
            f"make it anew: `nrray scan` makes a manifest."
        ) from None


def source_facts(uri: str) -> tuple[int, int]:
    """(size in bytes, modification time in Unix microseconds, 0 where the store has none) of a file.

    Raises DecodeError(MISSING) where there is none.
    """
    try:
        if is_local(uri):
            facts = os.stat(uri.removeprefix("file://"))
            return facts.st_size, facts.st_mtime_ns // 1000
        fs, path = located(uri)
        fs.invalidate_cache()
        with _remote_errors(f"cannot read {uri}"):
            info = fs.info(path)
    except StorageError as error:
        raise DecodeError(ErrorKind.UNREADABLE, str(error)) from None
    except FileNotFoundError:
        raise DecodeError(ErrorKind.MISSING, f"{uri} does not exist any more") from None
    except OSError as error:
        raise DecodeError(ErrorKind.UNREADABLE, f"{uri} cannot be read: {error}") from None
    modified = next(
        (info[key] for key in ("LastModified", "last_modified", "mtime", "updated", "created") if info.get(key)), 0
    )
    if isinstance(modified, str):  # ISO 8601; Python 3.10 reads no trailing Z
        modified = datetime.fromisoformat(modified.replace("Z", "+00:00"))
    seconds = modified.timestamp() if isinstance(modified, datetime) else float(modified)
    return int(info["size"]), round(seconds * US_PER_SECOND)


def check_unchanged(uri: str, *, size_bytes: int, modified_us: int) -> None:
    """Raises DecodeError(MISSING or CHANGED) where a file differs in size or time from the scan's."""
    size_now, modified_now = source_facts(uri)
    if (size_now, modified_now) != (size_bytes, modified_us):
        raise DecodeError(
            ErrorKind.CHANGED,
            f"{uri} changed since the scan ({size_bytes} bytes then, {size_now} now): scan again, then relabel again "
            f"(with --retry-failed where only its time changed)",
        )
