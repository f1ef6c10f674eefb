"""JSON over HTTP to a server that may refuse, hang, answer rubbish or die: every outcome is a document or a `ServerError`.

Nothing goes through a proxy, no redirect is followed, no cookie is kept, and only addresses that `addresses` allows are
connected to.
"""

import asyncio
import json
import os
import random
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp

from nrray.errors import ErrorKind, ModelError, ServerError
from nrray.models.engines.addresses import AddressRefusedError, HouseResolver, check_literal

MAX_REPLY_BYTES = 16 * 2**20
CONNECT_SECONDS = 10.0
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 30.0
_SHOWN_CHARACTERS = 200

ResultT = TypeVar("ResultT")
Body = Callable[[], Mapping[str, Any]]
"""Makes the body of a request when its turn has come: those of a whole unit would not fit memory."""


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How a server is reached. url: the base of its routes; retries: of a request that got no answer, or one of overload;
    api_key_variable: of the environment, that holds the key."""

    url: str
    allow_remote: bool
    timeout_seconds: float
    retries: int
    concurrency: int
    api_key_variable: str | None


@dataclass(frozen=True, kw_only=True)
class _Failed:
    """A try that may be made again, after a pause where the server asks for one."""

    error: ServerError
    pause_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Timed:
    """A document, and the seconds that its last try took."""

    document: Any
    seconds: float


class HttpClient:
    """Requests from any thread; they run on a thread of the client's own. Close it."""

    def __init__(self, reach: Reach) -> None:
        """Raises ModelError where the environment of this node lacks the key."""
        self._reach = reach
        self._headers = {"Accept": "application/json", "Accept-Encoding": "identity", **_key_header(reach)}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="nrray-http", daemon=True)
        self._thread.start()
        self._session: aiohttp.ClientSession | None = None

    def close(self) -> None:
        """Ends all connections, and the thread."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._closed(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def get(self, route: str) -> Any:
        """The JSON of a route. Raises ServerError."""
        return self._run(self._exchanged("GET", route, None)).document

    def post(self, route: str, bodies: Sequence[Body]) -> list[Timed]:
        """The JSON of a route for each body, in order; some are on their way at once. Raises the first ServerError, which ends
        the others."""
        return self._run(self._all(route, bodies))

    def _run(self, coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except CancelledError:
            raise ServerError(ErrorKind.SERVER_UNREACHABLE, f"{self._reach.url}: the request was cancelled") from None
        except BaseException:
            future.cancel()  # of a signal: no request goes on without anybody who waits for it
            raise

    async def _all(self, route: str, bodies: Sequence[Body]) -> list[Timed]:
        turn = asyncio.Semaphore(self._reach.concurrency)

        async def one(body: Body) -> Timed:
            async with turn:
                return await self._exchanged("POST", route, body)

        tasks = [asyncio.ensure_future(one(body)) for body in bodies]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _exchanged(self, method: str, route: str, body: Body | None) -> Timed:
        """A document, after retries. A completion changes nothing in the server, so asking for it again is safe; one that
        timed out is not asked for again, as the server may still be at it."""
        data = None if body is None else json.dumps(body()).encode()
        for number in range(self._reach.retries + 1):
            started = self._loop.time()
            tried = await self._tried(method, route, data)
            if not isinstance(tried, _Failed):
                return Timed(document=tried, seconds=self._loop.time() - started)
            if number == self._reach.retries:
                break
            await asyncio.sleep(_pause_seconds(number, tried.pause_seconds))
        again = f" Tried {self._reach.retries + 1} times." if self._reach.retries else ""
        raise ServerError(tried.error.kind, f"{tried.error}{again}")

    async def _tried(self, method: str, route: str, data: bytes | None) -> Any:
        """The document of one try, or why it failed where another one may not. Raises ServerError where it would."""
        reach, where = self._reach, f"{self._reach.url}{route}"
        try:
            check_literal(reach.url, allow_remote=reach.allow_remote)
            async with self._opened().request(
                method,
                where,
                data=data,
                headers=None if data is None else {"Content-Type": "application/json"},
                allow_redirects=False,
            ) as response:
                content = await _read(response, where)
                status, headers = response.status, response.headers
        except AddressRefusedError as error:
            raise ServerError(ErrorKind.SERVER_UNREACHABLE, f"{where}: {error}") from None
        except asyncio.TimeoutError:
            raise ServerError(
                ErrorKind.SERVER_TIMEOUT,
                f"{where} did not answer within {reach.timeout_seconds:g} s. Raise strategy.engine.timeout_seconds, lower "
                f"strategy.engine.concurrency or pools.labelers, or start the server anew.",
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            refused = _refused_address(error)
            if refused is not None:
                raise ServerError(ErrorKind.SERVER_UNREACHABLE, f"{where}: {refused}") from None
            reason = " ".join(str(error).split()) or type(error).__name__
            return _Failed(
                error=ServerError(
                    ErrorKind.SERVER_UNREACHABLE,
                    f"{where} cannot be reached, or ended the connection ({reason[:_SHOWN_CHARACTERS]}). Start the server, or "
                    f"set strategy.engine.url to where it is.",
                )
            )
        if status in _RETRIED:
            return _Failed(
                error=_refused(where, status, content), pause_seconds=_asked_pause(headers.get("Retry-After"))
            )
        if 300 <= status < 400:
            raise ServerError(
                ErrorKind.SERVER_REFUSED,
                f"{where} answered with status {status}, which sends to another address; redirects are not followed. Set "
                f"strategy.engine.url to the server itself.",
            )
        if status != 200:
            raise _refused(where, status, content)
        return _document(where, content)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._reach.concurrency, resolver=HouseResolver(allow_remote=self._reach.allow_remote)
                ),
                timeout=aiohttp.ClientTimeout(
                    total=self._reach.timeout_seconds, sock_connect=min(CONNECT_SECONDS, self._reach.timeout_seconds)
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=self._headers,
                trust_env=False,  # a proxy would see the frames
                auto_decompress=False,
            )
        return self._session

    async def _closed(self) -> None:
        if self._session is not None:
            await self._session.close()


def _key_header(reach: Reach) -> dict[str, str]:
    if reach.api_key_variable is None:
        return {}
    key = os.environ.get(reach.api_key_variable, "").strip()
    if not key:
        raise ModelError(
            f"strategy.engine.api_key_variable: found {reach.api_key_variable}, which the environment of this node does not set, "
            f"expected the server's key in it. Set it on every node, or leave it out where the server wants no key."
        )
    if not key.isascii() or not key.isprintable():
        raise ModelError(
            f"{reach.api_key_variable}: found characters that no key has. Set it to the server's key alone."
        )
    return {"Authorization": f"Bearer {key}"}


async def _read(response: aiohttp.ClientResponse, where: str) -> bytes:
    """The body. Raises ServerError where it has no end."""
    content = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        content += chunk
        if len(content) > MAX_REPLY_BYTES:
            raise ServerError(
                ErrorKind.SERVER_REPLY,
                f"{where} answered with more than {MAX_REPLY_BYTES >> 20} MiB. Set strategy.engine.url to a server of models.",
            )
    return bytes(content)


def _document(where: str, content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        raise ServerError(
            ErrorKind.SERVER_REPLY,
            f"{where} answered with {_shown(content)}, expected one JSON document. Set strategy.engine.url to a server that "
            f"speaks the OpenAI protocol.",
        ) from None


def _refused(where: str, status: int, content: bytes) -> ServerError:
    return ServerError(
        ErrorKind.SERVER_REFUSED, f"{where} answered with status {status}: {_reason(content)}.{_remedy(status)}"
    )


def _remedy(status: int) -> str:
    if status in (401, 403):
        return (
            " Put its key into an environment variable, and the variable's name into strategy.engine.api_key_variable."
        )
    if status == 404:
        return " Set strategy.engine.url to the base of its routes (.../v1), and strategy.engine.model to a model that it serves."
    if status in (413, 414):
        return " Send less: smaller or fewer frames (sampling), or strategy.engine.image_format=jpeg."
    if status == 429 or status >= 500:
        return " Its own log says why; then run the same command again, relabel with --retry-failed."
    return " Its own log says why."


def _reason(content: bytes) -> str:
    """Why a server refused, in its words: they are cut, as some repeat what they were sent."""
    try:
        found = json.loads(content)
    except ValueError:
        return _shown(content)
    for key in ("error", "message", "detail"):
        if isinstance(found, dict) and key in found:
            found = found[key]
    text = found if isinstance(found, str) else json.dumps(found)
    return " ".join(text.split())[:_SHOWN_CHARACTERS].rstrip(".") or "no reason"


def _shown(content: bytes) -> str:
    """The beginning of a body that is no JSON."""
    text = " ".join(content[: 4 * _SHOWN_CHARACTERS].decode("utf-8", "replace").split())
    if not text:
        return "nothing"
    kind = "an HTML page" if text[:15].lower().startswith(("<!doctype html", "<html")) else "text"
    return f"{kind} ({text[:_SHOWN_CHARACTERS]!r})"


def _asked_pause(text: str | None) -> float | None:
    """Seconds of a Retry-After; a date is not read."""
    return float(text) if text is not None and text.strip().isdigit() else None


def _pause_seconds(number: int, asked: float | None) -> float:
    """Longer from try to try, and never the same for two clients: those of one server must not all come back at once."""
    pause = asked if asked is not None else _FIRST_PAUSE_SECONDS * 2**number * random.uniform(0.75, 1.25)
    return min(pause, _LONGEST_PAUSE_SECONDS)


def _refused_address(error: BaseException) -> AddressRefusedError | None:
    """The refusal behind an error of a connection."""
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, AddressRefusedError):
            return current
        current = getattr(current, "os_error", None) or current.__cause__ or current.__context__
    return None
