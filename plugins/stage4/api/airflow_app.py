"""Airflow's own REST API, asked from inside its API server with the rights of the user who asks."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PREFIX = "/api/v2"
_SCOPE_KEY = "stage4_airflow"
# Airflow's audit log waits for a second connection in the event loop, where a request has its first
# one: of 20 requests at once, its pool of 15 was empty for 30 s, and two were refused.
CALLS_AT_ONCE = 4
# Those of a request that belong to its body, and those by which an answer could be another one.
_OF_THE_BODY = frozenset({b"content-length", b"content-type", b"transfer-encoding"})
_NEGOTIATED = frozenset({b"accept", b"accept-encoding", b"if-none-match"})
# What routing has added belongs to the request from outside alone. `state` names a user whose token
# Airflow has renewed with this request.
_OF_THE_SERVER = (
    *("type", "asgi", "http_version", "server", "client", "scheme"),
    *("app", "root_path", "state"),
)


@dataclass(frozen=True)
class Answer:
    """What Airflow answered.

    Attributes:
        status: of HTTP.
        messages: of ASGI, to pass on as they are.
    """

    status: int
    messages: list[Message]

    @property
    def ok(self) -> bool:
        """Whether Airflow did what it was asked."""
        return 200 <= self.status < 300

    def json(self) -> Any:
        """Parse the body; None: it is no JSON."""
        body = b"".join(message.get("body", b"") for message in self.messages)
        try:
            return json.loads(body)
        except ValueError:
            return None

    async def pass_on(self, send: Send) -> None:
        """Let the client have this answer."""
        for message in self.messages:
            await send(message)


class AirflowApp:
    """What stands behind the front middleware, in the name of one request.

    Whatever is asked here goes through Airflow's own checks of the user's rights, its validation,
    its audit log and its listeners, as if the user had asked.
    """

    def __init__(self, app: ASGIApp, scope: Scope, turns: asyncio.Semaphore) -> None:
        """Ask in the name of a request.

        Args:
            app: what answers.
            scope: of the request.
            turns: how many may ask at once, of all requests.
        """
        self._app = app
        self._scope = scope
        self._turns = turns

    async def call(self, method: str, path: str, body: object = None) -> Answer:
        """Ask Airflow.

        Args:
            method: of HTTP.
            path: behind `/api/v2`, not quoted.
            body: of JSON types; None: there is none.
        """
        content = b"" if body is None else json.dumps(body).encode()
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        async with self._turns:
            await self._app(self._scope_of(method, path, content), _receiving(content), keep)
        status = next(each["status"] for each in messages if each["type"] == "http.response.start")
        return Answer(status, messages)

    def _scope_of(self, method: str, path: str, content: bytes) -> Scope:
        whole = f"{self._scope.get('root_path', '')}{PREFIX}{path}"
        left_out = _OF_THE_BODY | _NEGOTIATED
        headers = [pair for pair in self._scope["headers"] if pair[0] not in left_out]
        headers += [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
        ]
        return {key: self._scope[key] for key in _OF_THE_SERVER if key in self._scope} | {
            "method": method,
            "path": whole,
            "raw_path": quote(whole).encode(),
            "query_string": b"",
            "headers": headers,
        }


def lend(scope: Scope, app: AirflowApp) -> Scope:
    """Put the way to Airflow into a request's scope, for Stage 4's own endpoints."""
    return {**scope, _SCOPE_KEY: app}


def lent(scope: Mapping[str, Any]) -> AirflowApp:
    """Take the way to Airflow out of a request's scope."""
    found: AirflowApp = scope[_SCOPE_KEY]
    return found


def _receiving(content: bytes) -> Receive:
    messages = iter([{"type": "http.request", "body": content, "more_body": False}])

    async def receive() -> Message:
        return next(messages, {"type": "http.disconnect"})

    return receive
