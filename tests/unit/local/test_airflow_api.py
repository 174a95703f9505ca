"""A busy API server is waited for; one that has ended for good is not."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from local import airflow_api
from local.airflow_api import AirflowApi
from local.errors import LocalError

ANSWER = b'{"state": "running"}'


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, cut_off: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.left = cut_off
        self.asked = 0


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, _Server)
        server.asked += 1
        if server.left > 0:
            server.left -= 1
            self.close_connection = True  # an end without an answer
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    do_POST = do_GET  # noqa: N815 - a name of http.server

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""


@contextmanager
def served(cut_off: int) -> Iterator[_Server]:
    server = _Server(cut_off)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def api(server: _Server, **more: object) -> AirflowApi:
    return AirflowApi(f"http://127.0.0.1:{server.server_port}", "user", "word", **more)  # type: ignore[arg-type]


def test_an_answer_that_does_not_come_is_asked_for_again() -> None:
    with served(cut_off=2) as server:
        assert api(server).get("/dags/a/dagRuns/b") == {"state": "running"}
        assert server.asked == 3


def test_the_message_names_the_server_when_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airflow_api, "PATIENCE_SECONDS", 0)
    with served(cut_off=9) as server, pytest.raises(LocalError, match=str(server.server_port)):
        api(server).get("/dags")


def test_nobody_waits_for_a_server_that_has_ended_for_good() -> None:
    def check() -> None:
        raise LocalError("Airflow's api-server has ended")

    with served(cut_off=9) as server, pytest.raises(LocalError, match="has ended"):
        api(server, check=check).get("/dags")
    assert server.asked == 1


def test_a_run_is_not_started_twice() -> None:
    with served(cut_off=9) as server, pytest.raises(LocalError, match="does not answer"):
        api(server).trigger("cluster_all")
    assert server.asked == 1
