"""A small Stage 5: takes completion events over HTTP from whoever has the token."""

import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from local.configuration import HOST

PATH = "/webhooks/clustering-completed"
CONNECTION_ID = "stage5_webhook"
MAX_BYTES = 1 << 20


class Stage5Receiver(ThreadingHTTPServer):
    """Keeps what arrived in `received`, and in `keys` by what key it came.

    It answers with the statuses in `answers` first, if any.
    """

    daemon_threads = True

    def __init__(self, token: str) -> None:
        self.token = token
        self.received: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.refused = 0
        self.answers: list[HTTPStatus] = []
        super().__init__((HOST, 0), Handler)

    @property
    def url(self) -> str:
        """Where events are to be posted."""
        return f"http://{HOST}:{self.server_port}{PATH}"

    def environment(self) -> dict[str, str]:
        """What tells Stage 4 to notify this receiver: an Airflow connection, and its id."""
        connection = {
            "conn_type": "http",
            "schema": "http",
            "host": HOST,
            "port": self.server_port,
            "password": self.token,
        }
        return {
            f"AIRFLOW_CONN_{CONNECTION_ID.upper()}": json.dumps(connection),
            "STAGE4_STAGE5_CONN_ID": CONNECTION_ID,
        }


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Stage5Receiver

    def do_POST(self) -> None:
        """Check path, token and body, in this order."""
        body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), MAX_BYTES))
        if self.path != PATH:
            self.send_error(HTTPStatus.NOT_FOUND)
        elif not self._authorised():
            self.server.refused += 1
            self.send_error(HTTPStatus.UNAUTHORIZED)
        elif self.server.answers:
            self.send_error(self.server.answers.pop(0))
        else:
            self._take(body)

    def _authorised(self) -> bool:
        given = self.headers.get("Authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {self.server.token}".encode())

    def _take(self, body: bytes) -> None:
        try:
            event = json.loads(body)
        except ValueError:
            self.send_error(HTTPStatus.BAD_REQUEST, "not JSON")
            return
        self.server.received.append(event)
        self.server.keys.append(self.headers.get("Idempotency-Key"))
        self.send_response(HTTPStatus.NO_CONTENT)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing: what arrived is shown at the end."""


@contextmanager
def listening(token: str) -> Iterator[Stage5Receiver]:
    """A receiver that answers until the block ends."""
    with Stage5Receiver(token) as receiver:
        thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.1})
        thread.start()
        try:
            yield receiver
        finally:
            receiver.shutdown()
            thread.join()
