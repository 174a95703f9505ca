"""A real server with OpenAI's API whose answers a test chooses."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]
KEY = "a-key-that-nobody-may-see"


@dataclass(frozen=True)
class Answer:
    """An answer: its body as it is, or a label in a completion.

    Attributes:
        label: what the model calls the group.
        status: of the answer.
        body: instead of a completion.
        headers: beside the usual ones.
        pause: seconds before it.
        tokens: as the server counts them.
        dripping: whether the body comes in blanks, and without an end.
    """

    label: str | None = None
    status: int = 200
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    pause: float = 0.0
    tokens: int | None = 50
    dripping: bool = False

    @property
    def content(self) -> bytes:
        if self.body is not None:
            return self.body
        return completion(json.dumps({"label": self.label}), self.tokens)


def completion(content: str, tokens: int | None = 50) -> bytes:
    """A completion as a server writes it."""
    usage = {} if tokens is None else {"usage": {"total_tokens": tokens}}
    message = {"role": "assistant", "content": content}
    return json.dumps({"choices": [{"index": 0, "message": message}], **usage}).encode()


class LlmServer(ThreadingHTTPServer):
    """Answers by `behave`, which gets the question's texts and the number of the request."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, behave: Callable[[Json, int], Answer]) -> None:
        self.behave = behave
        self.asked: list[Json] = []
        self.headers: list[dict[str, str]] = []
        self.in_flight = self.most_in_flight = 0
        self.lock = threading.Lock()
        self.closing = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def connection(self, model: str, **extra: Any) -> str:
        """An Airflow connection to it."""
        return connection(self.url, model, **extra)

    def texts(self, number: int) -> Json:
        """The texts of a request."""
        found: Json = json.loads(self.asked[number]["messages"][1]["content"])
        return found


def connection(url: str, model: str, **extra: Any) -> str:
    """An Airflow connection to a model."""
    own = {"conn_type": "http", "host": url, "password": KEY}
    return json.dumps(own | {"extra": {"model": model} | extra})


class _Handler(BaseHTTPRequestHandler):
    server: LlmServer

    def do_POST(self) -> None:
        server = self.server
        with server.lock:
            server.in_flight += 1
            server.most_in_flight = max(server.most_in_flight, server.in_flight)
        try:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with server.lock:
                server.asked.append(request)
                server.headers.append(dict(self.headers) | {"path": self.path})
                number = len(server.asked)
            texts = json.loads(request["messages"][1]["content"])
            answer = server.behave(texts, number)
            server.closing.wait(answer.pause)
        finally:
            with server.lock:  # before the answer: whoever has it may ask again
                server.in_flight -= 1
        with suppress(ConnectionError):  # who asked may have given up
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            while answer.dripping and not server.closing.wait(0.1):
                self.wfile.write(b" ")
            self.wfile.write(answer.content)

    def do_GET(self) -> None:
        """Where a redirect that is followed would end."""
        self.server.headers.append(dict(self.headers) | {"path": f"GET {self.path}"})
        self.send_error(404)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def llm_server(behave: Callable[[Json, int], Answer]) -> Iterator[LlmServer]:
    """A server that answers until the block ends."""
    with LlmServer(behave) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()
            while server.in_flight:
                time.sleep(0.01)
