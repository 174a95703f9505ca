"""Events of the outbox for tests, and a real receiver of webhooks."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from stage4.database.deliveries import Due

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = "whsec_" + "c2VjcmV0" * 6
OLD_SECRET = "whsec_" + "b2xkb25l" * 6


def due(**own: Any) -> Due:
    values: dict[str, Any] = {
        "number": 1,
        "receiver": "hook",
        "job_id": "cluster_events.manual__1",
        "attempts": 0,
        "refusals": 0,
        "since": NOON,
        "event_id": "0d5f3c1e-6f0e-4a4e-9f3b-0f3f5d1f1a11",
        "sequence": 7,
        "type": "clustering.job.started",
        "source": "urn:stage4:clustering",
        "traceparent": f"00-{'1' * 32}-{'2' * 16}-00",
        "data": {"event_type": "clustering.job.started", "note": "Zürich"},
        "created_at": NOON,
        "callback_url": None,
    }
    return Due(**values | own)


@dataclass(frozen=True)
class Received:
    """A request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.body)
        return read

    @property
    def place(self) -> tuple[str, int]:
        """The job, and the sequence in it."""
        return self.event["subject"], int(self.event["sequence"])


class WebhookServer(ThreadingHTTPServer):
    """Keeps what it has taken, and answers `status` with `headers`, after `pause` seconds.

    `dripping` answers a header at a time, and never ends.
    """

    daemon_threads = True

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.refused: list[Received] = []
        self.status = 204
        self.headers: dict[str, str] = {}
        self.pause = 0.0
        self.dripping = False
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"

    def connection(self, **extra: Any) -> str:
        """An Airflow connection that leads here."""
        return json.dumps(
            {"conn_type": "http", "host": self.url, "password": SECRET, "extra": extra}
        )


class _Handler(BaseHTTPRequestHandler):
    server: WebhookServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        got = Received(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
        time.sleep(self.server.pause)
        with suppress(ConnectionError):  # who asked may have given up
            self.send_response(self.server.status)
            for name, value in self.server.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            while self.server.dripping:
                self.wfile.write(b"X-Drip: 1\r\n")
                self.wfile.flush()
                time.sleep(0.1)
            self.end_headers()
        taken = self.server.received if self.server.status < 300 else self.server.refused
        taken.append(got)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def webhook() -> Iterator[WebhookServer]:
    """A receiver until the block ends."""
    with WebhookServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.dripping = False
            server.shutdown()
            thread.join()
