"""Addresses of servers: which are in one's own house, so that frames of clinical video may be sent there.

In the house are loopback (RFC 1122, RFC 4291), private IPv4 (RFC 1918) and unique local IPv6 (RFC 4193) addresses. Link-local
ones, under which clouds hand out secrets (169.254.169.254), and those that name no single machine are never spoken to.
"""

import asyncio
import re
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult

from nrray.errors import ConfigError

Address = IPv4Address | IPv6Address

_HOUSE = tuple(map(ip_network, ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")))
_METADATA = frozenset(map(ip_address, ("fd00:ec2::254", "fd20:ce::254", "fd00:c1::a9fe:a9fe")))
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")
_COMPLETIONS = "/chat/completions"


class AddressRefusedError(OSError):
    """An address that nothing is sent to. An OSError, as every failure to resolve a name is."""


def server_url(text: str) -> str:
    """The base of a server's routes, such as http://127.0.0.1:8000/v1, of what a user writes for it. Raises ConfigError."""
    found = f"strategy.engine.url: found {_shown(text)}"
    try:
        parts = urlsplit(text.strip())
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"{found}, which is no address ({error}). Give one like http://127.0.0.1:8000/v1.") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError(f"{found}, expected an address that begins with http:// or https://. Give one with its port.")
    if not _HOST.fullmatch(host) or (_looks_numeric(host) and not _is_literal(host)):
        raise ConfigError(f"{found}, whose host {host!r} is neither a name nor an address. Give one like 127.0.0.1.")
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            f"{found}, with a name or password in it, which would be kept in records. Put a key into an environment variable, "
            f"and its name into strategy.engine.api_key_variable."
        )
    if parts.query or parts.fragment:
        raise ConfigError(f"{found}, expected an address without '?' and '#'. Put more fields into extra_body.")
    path = parts.path.rstrip("/").removesuffix(_COMPLETIONS) or "/v1"
    return SplitResult(parts.scheme, parts.netloc.lower(), path, "", "").geturl()


def check_literal(url: str, *, allow_remote: bool) -> None:
    """Raise AddressRefusedError where the url's host is an address that is not to be spoken to: it is never resolved."""
    host = urlsplit(url).hostname or ""
    if _is_literal(host):
        check_addresses((host,), host=host, allow_remote=allow_remote)


def _looks_numeric(host: str) -> bool:
    """Whether a library may take it for an address, as 127.1 and 2130706433 are in some."""
    return ":" in host or host.replace(".", "").isdigit()


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _shown(text: str) -> str:
    """What was given, without the name and password that may stand in it."""
    before, separator, after = text.rpartition("@")
    return f"{before.partition('//')[0]}//...@{after}" if separator else repr(text)


def resolved_addresses(url: str, *, allow_remote: bool) -> tuple[str, ...]:
    """The addresses of the url's host, as this node resolves it. Raises AddressRefusedError where one of them is not to be
    spoken to, OSError where there is none."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    found = socket.getaddrinfo(parts.hostname, parts.port or 80, type=socket.SOCK_STREAM)
    addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
    check_addresses(addresses, host=parts.hostname, allow_remote=allow_remote)
    return addresses


def check_addresses(addresses: Iterable[str], *, host: str, allow_remote: bool) -> None:
    """Raise AddressRefusedError where one of a host's addresses is not to be spoken to."""
    for text in addresses:
        address = _unwrapped(text)
        named = host if host == text else f"{host} ({text})"
        if address.is_link_local or address in _METADATA:
            raise AddressRefusedError(
                f"{named} is a link-local address, under which clouds hand out secrets, and is never spoken to. Give the "
                f"server's own address."
            )
        if address.is_unspecified or address.is_multicast:
            raise AddressRefusedError(f"{named} names no single machine. Give 127.0.0.1 for a server on this one.")
        if not allow_remote and not is_in_house(address):
            raise AddressRefusedError(
                f"{named} is outside loopback and private address ranges: frames of the videos would leave the house. Run the "
                f"server in the house; or, where they may leave it, give --allow-remote on the command line of relabel."
            )


def is_in_house(address: Address | str) -> bool:
    """Whether an address is loopback, private or unique local."""
    known = _unwrapped(address)
    return any(known in network for network in _HOUSE if network.version == known.version)


def _unwrapped(address: Address | str) -> Address:
    """An IPv4 address that is written as IPv6 is IPv4."""
    known = ip_address(str(address))
    mapped = known.ipv4_mapped if isinstance(known, IPv6Address) else None
    return mapped if mapped is not None else known


class HouseResolver(AbstractResolver):
    """Resolves names for connections: what is connected to is what was checked, whatever a name resolves to next time."""

    def __init__(self, *, allow_remote: bool) -> None:
        self._allow_remote = allow_remote

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """As `AbstractResolver` says. Raises AddressRefusedError, OSError."""
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        check_addresses((str(entry[4][0]) for entry in found), host=host, allow_remote=self._allow_remote)
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=int(address[1]),
                family=of_family,
                proto=protocol,
                flags=socket.AI_NUMERICHOST,
            )
            for of_family, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Nothing is held."""
