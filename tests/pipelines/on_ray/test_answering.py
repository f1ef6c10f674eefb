"""Addresses at which no cluster of ours answers are told within seconds, with what was found and the way out."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
import ray
from ray._private import services
from ray.core.generated.gcs_service_pb2 import CheckAliveReply

from nrray.errors import ResourcesError
from nrray.pipelines.on_ray import answering
from nrray.pipelines.on_ray.session import ray_session

DEADLINE_SECONDS = 10.0

_CLUSTER = """
import sys
from nrray.pipelines.on_ray.session import ray_session
import ray
with ray_session():
    print(ray.get_runtime_context().gcs_address, flush=True)
    sys.stdin.read()
"""

_DRIVER = """
import json, sys, time
from nrray.errors import ResourcesError
from nrray.pipelines.on_ray.session import ray_session
started = time.monotonic()
try:
    with ray_session():
        said = "connected"
except ResourcesError as error:
    said = str(error)
print(json.dumps([said, time.monotonic() - started]))
"""


def said_of(address: str, monkeypatch) -> str:
    """The error of a session at `address`, which has to come within the deadline."""
    monkeypatch.setenv("RAY_ADDRESS", address)
    started = time.monotonic()
    with pytest.raises(ResourcesError) as raised, ray_session():
        pass
    assert time.monotonic() - started < DEADLINE_SECONDS
    assert not ray.is_initialized()
    assert str(raised.value).endswith("Unset RAY_ADDRESS to run on this machine alone.")
    return str(raised.value)


@contextmanager
def listener(backlog: int) -> Iterator[tuple[str, int]]:
    with closing(socket.socket()) as server:
        server.bind(("127.0.0.1", 0))
        server.listen(backlog)
        yield server.getsockname()


def test_a_host_that_refuses(monkeypatch):
    with listener(1) as (host, port):
        pass  # closed again: nobody listens there
    assert f"no Ray cluster answers at {host}:{port}: the connection is refused" in said_of(
        f"{host}:{port}", monkeypatch
    )


def test_a_server_that_accepts_and_stays_silent(monkeypatch):
    with listener(20) as (host, port):
        assert f"nothing answered at {host}:{port} within 5 s" in said_of(f"{host}:{port}", monkeypatch)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full queue refuses")
def test_a_host_that_drops_packets(monkeypatch):
    with listener(0) as address:  # its queue is full after one connection: the system drops what asks for another
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        assert "nothing answered at" in said_of(f"{address[0]}:{address[1]}", monkeypatch)
        for each in waiting:
            each.close()


def test_a_server_that_speaks_something_else(monkeypatch):
    program = (
        "import http.server as h; server = h.HTTPServer(('127.0.0.1', 0), h.SimpleHTTPRequestHandler); "
        "print(server.server_port, flush=True); server.serve_forever()"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert server.stdout is not None
        said_of(f"127.0.0.1:{server.stdout.readline().strip()}", monkeypatch)
    finally:
        server.kill()
        server.wait()


def test_a_host_that_is_not_known(monkeypatch):
    assert "the host nowhere.invalid is not known" in said_of("nowhere.invalid:6379", monkeypatch)


@pytest.mark.parametrize("address", ["nowhere", "nowhere:port", ":6379", "10.0.0.5:0", "10.0.0.5:70000"])
def test_what_is_no_address(address, monkeypatch):
    assert f"RAY_ADDRESS={address} is no address: expected HOST:PORT" in said_of(address, monkeypatch)


def test_an_address_of_ray_client_is_refused_with_what_to_do_instead(monkeypatch):
    said = said_of("ray://127.0.0.1:10001", monkeypatch)
    assert "is an address of Ray Client" in said
    assert "ray job submit" in said


def test_auto_without_a_cluster(monkeypatch):
    monkeypatch.setattr(services, "find_gcs_addresses", lambda: frozenset())
    monkeypatch.setattr(services, "find_bootstrap_address", lambda folder: None)
    assert said_of("auto", monkeypatch).startswith("RAY_ADDRESS=auto: no Ray runs on this machine.")


def test_an_empty_address_is_none(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", " ")
    with ray_session():
        assert ray.is_initialized()


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A Ray with a token that no other process knows."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    process = subprocess.Popen(
        [sys.executable, "-c", _CLUSTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdin is not None
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.stdin.close()
    process.wait(timeout=60)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"RAY_AUTH_MODE": "disabled"}, "does not take this token, or expects one (RAY_AUTH_MODE is disabled)"),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "f" * 64}, "does not take this token"),
        (
            {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "/nowhere/token"},
            "/nowhere/token (RAY_AUTH_MODE is token)",
        ),
    ],
)
def test_a_wrong_token(settings, expected, cluster):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    finished = subprocess.run(
        [sys.executable, "-c", _DRIVER],
        capture_output=True,
        text=True,
        timeout=120,
        env={**environment, **settings, "RAY_ADDRESS": cluster},
        check=True,
    )
    said, seconds = json.loads(finished.stdout)
    assert expected in said
    assert seconds < DEADLINE_SECONDS


class _Alive:
    """Stands for the control service of a cluster that cannot be had here: of another Ray, or on another machine."""

    def __init__(self, version: str) -> None:
        self._version = version

    def __call__(self, channel):
        return self

    def CheckAlive(self, request, timeout):  # noqa: N802
        return CheckAliveReply(ray_version=self._version)


def test_a_cluster_of_another_ray(monkeypatch):
    monkeypatch.setattr(answering, "NodeInfoGcsServiceStub", _Alive("2.1.0"))
    said = said_of("127.0.0.1:6379", monkeypatch)
    assert f"is of Ray 2.1.0, this is Ray {ray.__version__}" in said


def test_a_cluster_that_this_machine_is_no_node_of(monkeypatch):
    monkeypatch.setattr(answering, "NodeInfoGcsServiceStub", _Alive(ray.__version__))
    monkeypatch.setattr(services, "find_node_ids", lambda: set())
    assert "this machine is no node of it" in said_of("10.0.0.5:6379", monkeypatch)
