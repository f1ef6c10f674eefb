"""What libraries that open object stores raise becomes a sentence, with the setting to change."""

import socket
import threading
import time
from contextlib import contextmanager

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from nrray.cli import main
from nrray.errors import DataError, DecodeError, NrrayError, StorageError
from nrray.storage import Folder, read_table, remote_reason, source_facts, storage_errors


def library_error(name, text, *, module, base=Exception):
    """An error as a library that may not be installed here raises it."""
    return type(name, (base,), {"__module__": module})(text)


ERRORS = {
    "no credentials of S3": (
        library_error("NoCredentialsError", "Unable to locate credentials", module="botocore.exceptions"),
        "AWS_ACCESS_KEY_ID",
    ),
    "no credentials of Google": (
        library_error(
            "DefaultCredentialsError", "Your default credentials were not found.", module="google.auth.exceptions"
        ),
        "GOOGLE_APPLICATION_CREDENTIALS",
    ),
    "a refused endpoint": (
        library_error(
            "EndpointConnectionError",
            'Could not connect to the URL: "http://127.0.0.1:9/"',
            module="botocore.exceptions",
        ),
        "AWS_ENDPOINT_URL",
    ),
    "a connection that ended": (
        library_error("ServerDisconnectedError", "Server disconnected", module="aiohttp.client_exceptions"),
        "does not answer",
    ),
    "a client error that is an OSError": (
        library_error(
            "ClientConnectorError", "Cannot connect to host x:80", module="aiohttp.client_exceptions", base=OSError
        ),
        "does not answer",
    ),
    "a missing bucket": (
        library_error("HttpError", "The specified bucket does not exist., 404", module="gcsfs.retry"),
        "bucket does not exist",
    ),
}


@pytest.mark.parametrize(("error", "words"), ERRORS.values(), ids=ERRORS)
def test_an_error_of_a_library_is_a_sentence(error, words):
    with pytest.raises(StorageError, match=f"cannot write x: .*{words}"), storage_errors("cannot write x"):
        raise error


def test_a_fault_of_ours_stays_one():
    assert remote_reason(ValueError("x")) is None
    with pytest.raises(ZeroDivisionError), storage_errors("cannot write x"):
        raise ZeroDivisionError


@pytest.mark.parametrize("error", [error for error, _ in ERRORS.values()], ids=list(ERRORS))
def test_every_way_to_storage_tells_it(error, monkeypatch):
    def failing(self, *args, **kwargs):
        raise error

    for name in ("cat_file", "pipe_file", "ls", "exists", "info", "open", "_open", "rm_file"):
        monkeypatch.setattr(MemoryFileSystem, name, failing)
    folder = Folder("memory://bucket/folder")
    calls = [
        lambda: folder.read_bytes("x"),
        lambda: folder.read_json("x"),
        lambda: folder.write_bytes("x", b""),
        lambda: folder.names(),
        lambda: folder.exists("x"),
        lambda: folder.remove("x"),
        lambda: read_table("memory://bucket/x.parquet"),
    ]
    for call in calls:
        with pytest.raises(StorageError):
            call()
    with pytest.raises(DecodeError):
        source_facts("memory://bucket/x.mp4")


@contextmanager
def silent_server():
    """It takes connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = []
        threading.Thread(target=lambda: [taken.append(listener.accept()) for _ in range(20)], daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_an_http_server_that_says_nothing_is_told(monkeypatch):
    monkeypatch.setattr("nrray.storage.HTTP_SILENCE_SECONDS", 0.5)
    with silent_server() as address:
        started = time.monotonic()
        with pytest.raises(NrrayError, match="does not answer"):
            Folder(f"{address}/archive").read_bytes("manifest.parquet")
        assert time.monotonic() - started < 60


def test_a_refused_address_is_told():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/archive"
    with pytest.raises(NrrayError, match="does not answer"):
        Folder(address).read_bytes("manifest.parquet")


def test_an_unknown_scheme_is_told():
    with pytest.raises(DataError, match=r"foo://x: .*Expected a local path, or a URI"):
        Folder("foo://x")


def test_the_command_line_tells_what_nobody_caught(monkeypatch, capsys):
    def failing(*_args, **_settings):
        raise ERRORS["no credentials of S3"][0]

    monkeypatch.setattr("nrray.pipelines.doctor.run_doctor", failing)
    assert main(["doctor"]) == 1
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "AWS_ACCESS_KEY_ID" in said
