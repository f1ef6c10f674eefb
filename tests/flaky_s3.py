"""An object store that speaks S3, on loopback, of whose calls some fail: moto's server, where it is installed."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec
import pytest

FAILURES = (("503 Slow Down", "SlowDown"), ("500 Internal Server Error", "InternalError"))


@dataclass(kw_only=True)
class FlakyS3:
    """The store's address, and how many of its calls were let through and how many failed."""

    url: str = ""
    num_calls: int = 0
    num_failures: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def environment(self) -> dict[str, str]:
        """Of processes that use it."""
        keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
        return {"AWS_ENDPOINT_URL": self.url, **keys}


@contextmanager
def flaky_s3(*, failing: float, seed: int = 0) -> Iterator[FlakyS3]:
    """The store for the time of the block, in this process; `failing` is the share of calls that get an error of the server."""
    server, serving = pytest.importorskip("moto.server"), pytest.importorskip("werkzeug.serving")
    pytest.importorskip("moto.backends").get_backend("s3").reset()  # moto's buckets outlive its server
    pytest.importorskip("s3fs")
    app = server.DomainDispatcherApplication(server.create_backend_app)
    store, chance = FlakyS3(), random.Random(seed)

    def flaky(environ: dict[str, Any], start_response: Any) -> Any:
        with store.lock:
            is_failure = chance.random() < failing
            store.num_calls += 1
            store.num_failures += is_failure
            status, code = FAILURES[store.num_failures % 2]
        if not is_failure:
            return app(environ, start_response)
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start_response(status, [("Content-Type", "application/xml")])
        return [f"<Error><Code>{code}</Code><Message>Try again.</Message></Error>".encode()]

    class Silent(serving.WSGIRequestHandler):
        def log(self, *_: Any, **__: Any) -> None:
            pass

    httpd = serving.make_server("127.0.0.1", 0, flaky, threaded=True, request_handler=Silent)
    store.url = f"http://127.0.0.1:{httpd.server_port}"
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in store.environment().items():
                patch.setenv(name, value)
            fsspec.filesystem("s3").mkdir("bucket")
            yield store
    finally:
        httpd.shutdown()
        fsspec.filesystem("s3").clear_instance_cache()


def uploaded(folder: Path, uri: str) -> str:
    """A copy of all files of a folder below a URI of the store."""
    filesystem, root = fsspec.core.url_to_fs(uri)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        filesystem.put_file(str(file), f"{root}/{file.relative_to(folder).as_posix()}")
    return uri
