"""Whether a Ray cluster answers at an address, told within seconds: Ray itself tries for minutes, without a word."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import ray
from ray._private import services
from ray._private.grpc_utils import init_grpc_channel
from ray.core.generated.gcs_service_pb2 import CheckAliveRequest
from ray.core.generated.gcs_service_pb2_grpc import NodeInfoGcsServiceStub
from ray.exceptions import RayError

from nrray.errors import ResourcesError

ANSWER_SECONDS = 5.0

_WAY_OUT = "Unset RAY_ADDRESS to run on this machine alone."


def check_answers(address: str) -> None:
    """Ask the cluster at `address`, of the forms that RAY_ADDRESS has, whether it is alive.

    Raises ResourcesError, after ANSWER_SECONDS at most, where it is not, where it does not take this process's token, where it
    is of another Ray, and where this machine is no node of any cluster.
    """
    found = _host_and_port(address)
    with _told(address, found):
        # Ray's own connections go through no proxy either.
        channel = init_grpc_channel(found, options=[("grpc.enable_http_proxy", 0)])
        with channel:
            reply = NodeInfoGcsServiceStub(channel).CheckAlive(CheckAliveRequest(), timeout=ANSWER_SECONDS)
    if reply.ray_version != ray.__version__:
        raise ResourcesError(
            f"RAY_ADDRESS={address}: the cluster at {found} is of Ray {reply.ray_version}, this is Ray {ray.__version__}: both "
            f"have to be the same. Install ray=={reply.ray_version} here. {_WAY_OUT}"
        )
    if not services.find_node_ids():
        raise ResourcesError(
            f"RAY_ADDRESS={address}: the cluster at {found} answers, and this machine is no node of it: no raylet runs here. "
            f"Submit the command to the cluster with `ray job submit`, or join it first: ray start --address={found}. {_WAY_OUT}"
        )


def _host_and_port(address: str) -> str:
    """Where the control service of the cluster is, as host:port. Raises ResourcesError."""
    if "://" in address:
        raise ResourcesError(
            f"RAY_ADDRESS={address} is an address of Ray Client, which Ray Data does not run through. Set the cluster's own "
            f"address, HOST:PORT (the port is 6379 by default), on one of its nodes, or run the command as a job of it: "
            f"ray job submit. {_WAY_OUT}"
        )
    if address == "auto":
        try:
            return str(services.canonicalize_bootstrap_address(address))
        except (OSError, ValueError):  # among them ConnectionError
            raise ResourcesError(
                f"RAY_ADDRESS=auto: no Ray runs on this machine. Start it, `ray start --head`, or set HOST:PORT of a cluster. "
                f"{_WAY_OUT}"
            ) from None
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ResourcesError(
            f"RAY_ADDRESS={address} is no address: expected HOST:PORT, such as 10.0.0.5:6379, or auto for the cluster that "
            f"this machine is a node of. {_WAY_OUT}"
        )
    return address


@contextmanager
def _told(address: str, found: str) -> Iterator[None]:
    """Failures of a call within the block as a ResourcesError."""
    mode = os.environ.get("RAY_AUTH_MODE", "not set")
    start = f"RAY_ADDRESS={address}:"
    try:
        yield
    except grpc.RpcError as error:
        code, details = error.code(), str(error.details())
        if code is grpc.StatusCode.UNAUTHENTICATED:
            raise ResourcesError(
                f"{start} the cluster at {found} does not take this token, or expects one (RAY_AUTH_MODE is {mode}). Set "
                f"RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH to the cluster's token. {_WAY_OUT}"
            ) from None
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            raise ResourcesError(
                f"{start} nothing answered at {found} within {ANSWER_SECONDS:.0f} s. Is the cluster up, is this its address, and "
                f"does a firewall let its port through? {_WAY_OUT}"
            ) from None
        if code is grpc.StatusCode.UNAVAILABLE:
            raise ResourcesError(
                f"{start} no Ray cluster answers at {found}: {_reason(found, details)}. Is the cluster up, and is this its "
                f"address? {_WAY_OUT}"
            ) from None
        raise ResourcesError(
            f"{start} what answers at {found} is no Ray cluster ({code.name.lower()}: {details}). The port of the cluster's "
            f"control service is 6379 by default; 8265 is its dashboard, 10001 Ray Client. {_WAY_OUT}"
        ) from None
    except (RayError, RuntimeError, OSError) as error:  # no token where one is needed, certificates that cannot be read
        reason = str(error).strip().split(". ")[0]
        raise ResourcesError(
            f"{start} {reason} (RAY_AUTH_MODE is {mode}). Set RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH to a file that can be read, "
            f"to the cluster's token. {_WAY_OUT}"
        ) from None


def _reason(found: str, details: str) -> str:
    """Why a connection failed, without the words of gRPC."""
    lowered = details.lower()
    for words, reason in (
        ("connection refused", "the connection is refused"),
        ("resol", f"the host {found.rpartition(':')[0]} is not known"),
        ("lookup", f"the host {found.rpartition(':')[0]} is not known"),
        ("no route", "there is no route to the host"),
        ("unreachable", "the network is unreachable"),
        ("reset", "the connection was closed"),
        ("closed", "the connection was closed"),
    ):
        if words in lowered:
            return reason
    return details
