"""A real Redis of a test's own, which can be stopped and started again."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis

PROGRAM = shutil.which("redis-server")
ANSWER_SECONDS = 20  # a test that would wait for ever takes its whole process along


@dataclass
class RedisServer:
    """Listens on a port of this machine, and forgets everything when it is stopped."""

    folder: Path
    port: int
    tls: tuple[Path, Path] | None = None  # a certificate that is its own authority, and its key
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def client(self) -> redis.Redis:
        if self.tls is None:
            return redis.Redis("127.0.0.1", self.port, socket_timeout=ANSWER_SECONDS)
        how = self.tls_extra
        return redis.Redis("127.0.0.1", self.port, socket_timeout=ANSWER_SECONDS, **how)

    @property
    def tls_extra(self) -> dict[str, Any]:
        """What a client needs to know, by the names of redis-py and of Airflow's extra."""
        assert self.tls
        own, key = map(str, self.tls)
        return {"ssl": True, "ssl_ca_certs": own, "ssl_certfile": own, "ssl_keyfile": key}

    @property
    def airflow_connection(self) -> str:
        return f'{{"conn_type": "redis", "host": "127.0.0.1", "port": {self.port}}}'

    def start(self) -> None:
        assert PROGRAM
        command = [PROGRAM, *self._listen(), "--bind", "127.0.0.1", "--save", ""]
        process = subprocess.Popen([*command, "--dir", str(self.folder)], stdout=subprocess.DEVNULL)
        self.processes.append(process)
        deadline = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            if self._answers() == process.pid:  # not whoever else has taken the port
                return
            time.sleep(0.02)
        raise AssertionError(f"redis-server has not started in {ANSWER_SECONDS} s")

    def _listen(self) -> list[str]:
        if self.tls is None:
            return ["--port", str(self.port)]
        own, key = map(str, self.tls)
        files = ["--tls-cert-file", own, "--tls-key-file", key, "--tls-ca-cert-file", own]
        return ["--port", "0", "--tls-port", str(self.port), *files]

    def _answers(self) -> int | None:
        """The process that answers."""
        try:
            told: Any = self.client.info("server")
        except redis.RedisError:
            return None
        return int(told["process_id"])

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        self.processes.clear()

    def pause(self) -> None:
        """Let it take connections and answer nothing."""
        for process in self.processes:
            process.send_signal(19)

    def resume(self) -> None:
        for process in self.processes:
            process.send_signal(18)


@contextmanager
def running(folder: Path, tls: tuple[Path, Path] | None = None) -> Iterator[RedisServer]:
    """A Redis until the block ends; skips the test where redis-server is not installed.

    With `tls`, a certificate and its key, it wants a certificate of its clients, too.
    """
    if PROGRAM is None:
        pytest.skip("redis-server is not installed (Debian's package of that name)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    server = RedisServer(folder, port, tls)
    server.start()
    try:
        yield server
    finally:
        server.resume()
        server.stop()
