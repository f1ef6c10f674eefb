"""A small server of the OpenAI protocol, with any manners: what it serves, what it answers, and how it misbehaves.

It answers by the text of the question, remembers what it was sent, and plays its manners in their order, the last one for ever.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = {"id": "small-vlm", "object": "model", "created": 1, "owned_by": "tests", "root": "weights-1"}
PICTURE_TOKENS = 16


def well(server: "FakeServer", handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
    """An answer as the protocol has it."""
    parts = body["messages"][0]["content"]
    question = parts[-1]["text"]
    num_pictures = sum(part["type"] != "text" for part in parts) if server.sees else 0
    if not server.takes_videos and any(part["type"] == "video_url" for part in parts):
        send(handler, {"error": {"message": "video_url is not supported"}}, status=400)
        return
    text, listed = server.answer(question)
    if server.keeps_schemas and (form := body.get("response_format")) is not None:
        text = json.dumps(dict.fromkeys(form["json_schema"]["schema"]["required"], True))
    first = {"token": text.split(" ")[0], "logprob": listed.get(text, -0.1), "top_logprobs": []}
    first["top_logprobs"] = [{"token": token, "logprob": logprob} for token, logprob in listed.items()]
    wants = body.get("logprobs") and server.tells_probabilities
    usage = {"prompt_tokens": len(question.split()) + PICTURE_TOKENS * num_pictures, "completion_tokens": 1}
    send(
        handler,
        {
            "id": "1",
            "model": body["model"],
            "system_fingerprint": "build-7",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": "stop",
                    "logprobs": {"content": [first]} if wants else None,
                }
            ],
            **({"usage": usage} if server.counts else {}),
        },
    )


def send(handler: BaseHTTPRequestHandler, document: Any, *, status: int = 200, **headers: str) -> None:
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


def refusing(status: int, document: Any = None, **headers: str) -> Callable[..., None]:
    """A manner: this status, with a reason."""
    return lambda server, handler, body: send(
        handler, {"error": {"message": "no room"}} if document is None else document, status=status, **headers
    )


def saying(document: Any) -> Callable[..., None]:
    """A manner: this document, whatever was asked."""
    return lambda server, handler, body: send(handler, document)


def silent(server: "FakeServer", handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
    """No answer, until the server ends."""
    server.ended.wait(60)


def dribbling(server: "FakeServer", handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
    """An answer that never ends, a byte at a time: each of them comes in time."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    while not server.ended.is_set():
        try:
            handler.wfile.write(b" ")
            handler.wfile.flush()
        except OSError:
            return
        time.sleep(0.05)


def half(server: "FakeServer", handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
    """Half of the JSON that was promised, then the end of the connection."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [{"message": {"content": "ye')
    handler.close_connection = True


def hanging_up(server: "FakeServer", handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
    """The end of the connection, instead of an answer."""
    handler.close_connection = True


@dataclass
class FakeServer:
    """url: of its routes; requests: bodies that were sent, but those of the first two questions, by which nrray meets it."""

    url: str = ""
    models: list[dict[str, Any]] = field(default_factory=lambda: [dict(MODEL)])
    answer: Callable[[str], tuple[str, dict[str, float]]] = lambda question: ("yes", {"yes": -0.1, "no": -2.4})
    sees: bool = True
    counts: bool = True
    tells_probabilities: bool = True
    takes_videos: bool = True
    keeps_schemas: bool = True
    manners: Sequence[Callable[..., None]] = (well,)
    introductions: int = 2
    key: str | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    most_at_once: int = 0
    ended: threading.Event = field(default_factory=threading.Event)
    _at_once: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def handle(self, handler: BaseHTTPRequestHandler, body: dict[str, Any] | None) -> None:
        with self._lock:
            self.paths.append(handler.path)
        if self.key is not None and handler.headers.get("Authorization") != f"Bearer {self.key}":
            send(handler, {"error": {"message": "no key"}}, status=401)
        elif body is None:
            send(handler, {"object": "list", "data": [{**model, "created": time.time()} for model in self.models]})
        else:
            with self._lock:
                self._at_once += 1
                self.most_at_once = max(self.most_at_once, self._at_once)
                is_introduction = self.introductions > 0
                self.introductions -= is_introduction
                if not is_introduction:
                    self.requests.append(body)
                number = len(self.requests) - 1
            manner = well if is_introduction else self.manners[min(number, len(self.manners) - 1)]
            manner(self, handler, body)
            with self._lock:
                self._at_once -= 1


@contextmanager
def serving(server: FakeServer | None = None, *, port: int = 0) -> Iterator[FakeServer]:
    """The server, on a port of this machine."""
    fake = server or FakeServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            fake.handle(self, None)

        def do_POST(self) -> None:
            fake.handle(self, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            pass  # a client that has gone

    http = Server(("127.0.0.1", port), Handler)
    fake.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.ended.set()
        http.shutdown()
        http.server_close()
        thread.join()
