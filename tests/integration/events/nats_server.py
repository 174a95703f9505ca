"""A real NATS with JetStream of a test's own, which can be stopped and started again."""

import asyncio
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.js.api import StreamConfig
from nats.js.errors import NotFoundError

PROGRAM = shutil.which("nats-server")
STREAM = "stage4-clustering-events"
USERS = """
authorization {
    users: [
        {user: "admin", password: "admin secret"}
        {user: "stage4", password: "own secret", permissions: {
            publish: ["stage4.clustering.>", "$JS.API.STREAM.CREATE.stage4-clustering-events"]
            subscribe: "_INBOX.>"
        }}
        {user: "reader", password: "own secret", permissions: {
            publish: "nothing"
            subscribe: "_INBOX.>"
        }}
    ]
}
"""


@dataclass(frozen=True)
class Stored:
    """A message of a stream."""

    subject: str
    headers: dict[str, str]
    body: bytes

    @property
    def place(self) -> tuple[str, int]:
        """The job, and the sequence in it."""
        event = json.loads(self.body)
        return event["subject"], int(event["sequence"])


@dataclass
class NatsServer:
    """Listens on a port of this machine, and keeps its streams when it is stopped.

    Attributes:
        folder: of its configuration and streams.
        port: that it listens on.
        login: what the tests themselves connect with.
    """

    folder: Path
    port: int
    login: dict[str, Any]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def connection(self, login: str = "", password: str = "", **extra: Any) -> str:
        """An Airflow connection that leads here."""
        who = {"login": login, "password": password}
        where = {"conn_type": "nats", "host": "127.0.0.1", "port": self.port}
        return json.dumps(where | who | {"extra": extra})

    def start(self) -> None:
        assert PROGRAM
        command = [PROGRAM, "--config", str(self.folder / "nats.conf")]
        self.processes.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as found:
                    if found.recv(4) == b"INFO":
                        return
            except OSError:
                time.sleep(0.02)
        raise AssertionError("nats-server has not started in 20 s")

    def stop(self) -> None:
        for process in self.processes:
            process.send_signal(18)
            process.terminate()  # a killed one may lose what it has not flushed yet
            process.wait()
        self.processes.clear()

    def pause(self) -> None:
        """Let it take connections and answer nothing."""
        for process in self.processes:
            process.send_signal(19)

    def create(self, name: str = STREAM, **more: Any) -> None:
        """Make a stream."""

        async def create(client: Client) -> None:
            own = {"name": name, "subjects": ["stage4.clustering.>"]} | more
            await client.jetstream().add_stream(StreamConfig(**own))

        self._ask(create)

    def stored(self, name: str = STREAM) -> list[Stored]:
        """Read all messages of a stream, as they lie in it; none where there is no stream."""

        async def read(client: Client) -> list[Stored]:
            streams = client.jetstream()
            try:
                state = (await streams.stream_info(name)).state
            except NotFoundError:
                return []
            numbers = range(state.first_seq, state.last_seq + 1)
            found = [await streams.get_msg(name, number) for number in numbers]
            return [
                Stored(each.subject or "", each.headers or {}, each.data or b"") for each in found
            ]

        found: list[Stored] = self._ask(read)
        return found

    def config(self, name: str = STREAM) -> StreamConfig:
        """Read how a stream is made."""

        async def read(client: Client) -> StreamConfig:
            return (await client.jetstream().stream_info(name)).config

        found: StreamConfig = self._ask(read)
        return found

    def _ask(self, act: Any) -> Any:
        async def ask() -> Any:
            client = await nats.connect(self.url, **self.login)
            try:
                return await act(client)
            finally:
                await client.close()

        return asyncio.run(ask())


@contextmanager
def running(folder: Path, more: str = "", **login: Any) -> Iterator[NatsServer]:
    """A NATS until the block ends; skips the test where nats-server is not installed.

    Args:
        folder: of its own.
        more: lines of its configuration.
        login: what the test itself connects with.
    """
    if PROGRAM is None:
        pytest.skip("nats-server is not installed (Debian's package of that name)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    lines = f'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: "{folder}/streams" }}\n{more}'
    (folder / "nats.conf").write_text(lines, encoding="utf-8")
    server = NatsServer(folder, port, login)
    server.start()
    try:
        yield server
    finally:
        server.stop()
