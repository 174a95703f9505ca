"""The commands of `stage4` against a real HTTP server that gives recorded answers."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from stage4.cli import watch
from stage4.cli.app import main
from stage4.cli.server import STAGE4

PASSWORD = "an open secret"
TOKEN = "token-of-the-server" * 40  # longer than any line


@dataclass(frozen=True)
class Asked:
    """A request that the server got."""

    path: str
    query: dict[str, str]
    body: Any
    token: str | None


@dataclass
class Script:
    """What the server answers.

    Attributes:
        answers: `"GET /path"` to one answer, or to several that are given in turn, the last for
            ever; an answer is a body, or a status and a body. A body that is text is sent as it is.
        asked: the requests.
        valid: the tokens that are let in.
        location: where an answer leads that leads elsewhere.
    """

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    valid: set[str] = field(default_factory=lambda: {TOKEN})
    location: str = "https://elsewhere/airflow"

    def stage4(self, what: str, *answers: Any) -> None:
        """Let Stage 4's API answer, `GET jobs` for example."""
        method, path = what.split(" ")
        self.answers[f"{method} {STAGE4}/{path}"] = list(answers)

    def airflow(self, what: str, *answers: Any) -> None:
        """Let Airflow's API answer."""
        method, path = what.split(" ")
        self.answers[f"{method} /api/v2/{path}"] = list(answers)

    def answer(self, method: str, asked: Asked) -> tuple[int, Any]:
        self.asked.append(asked)
        if asked.path == "/auth/token":
            right = asked.body == {"username": "reader", "password": PASSWORD}
            return (201, {"access_token": TOKEN}) if right else (401, {"detail": "Invalid login"})
        if asked.token not in self.valid:
            return 401, {"detail": "Not authenticated"}
        found = self.answers.get(f"{method} {asked.path}")
        if found is None:  # Airflow's user interface has a page for every path
            return 200, "<!doctype html>"
        answer = found.pop(0) if len(found) > 1 else found[0]
        return answer if isinstance(answer, tuple) else (200, answer)


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"

    def do_GET(self) -> None:
        self._answer(None)

    def do_DELETE(self) -> None:
        self._answer(None)

    def do_PATCH(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, body: Any) -> None:
        parts = urlsplit(self.path)
        token = (self.headers["Authorization"] or "").removeprefix("Bearer ") or None
        asked = Asked(parts.path, dict(parse_qsl(parts.query)), body, token)
        status, content = self.server.script.answer(self.command, asked)
        text = content if isinstance(content, str) else json.dumps(content)
        with suppress(ConnectionError):
            self.send_response(status)
            self.send_header("Location", self.server.script.location)
            self.end_headers()
            self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, script: Script) -> None:
        self.script = script
        super().__init__(("127.0.0.1", 0), _Handler)


@dataclass(frozen=True)
class Outcome:
    """What a command has left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Outcome]


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def url(script: Script) -> Iterator[str]:
    with _Server(script) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def bare(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Perform a command in an environment without any of the program's variables."""
    for name in ("URL", "TOKEN", "USER", "PASSWORD_FILE"):
        monkeypatch.delenv(f"STAGE4_{name}", raising=False)
    monkeypatch.setattr(watch, "POLL_SECONDS", 0.0)

    def perform(*arguments: str) -> Outcome:
        code = main(arguments)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return perform


@pytest.fixture
def terminal(bare: Command, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Perform a command as a user who is known to the server."""
    file = tmp_path / "password"
    file.touch(mode=0o600)
    file.write_text(PASSWORD + "\n")
    monkeypatch.setenv("STAGE4_URL", f"{url}/")
    monkeypatch.setenv("STAGE4_USER", "reader")
    monkeypatch.setenv("STAGE4_PASSWORD_FILE", str(file))
    return bare
