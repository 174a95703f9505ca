"""A TCP proxy that can be slow, frozen, or away: what networks do to connections."""

import contextlib
import os
import select
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Address = str | tuple[str, int]
Mode = Literal["pass", "slow", "frozen", "away"]
SLOW_SECONDS = 0.2  # before each piece that is passed on
PIECE = 1 << 16


class FaultProxy:
    """Passes connections on to `target`, the path of a unix socket or a host and a port.

    `mode` holds for old and new connections: `slow` passes each piece on late, `frozen` takes what
    comes and passes nothing on, `away` cuts all and takes none. Counted are the connections and
    `pieces` that were passed on, and those that were `troubled`: cut, refused, late or held.
    """

    def __init__(self, target: Address) -> None:
        self.target = target
        self.mode: Mode = "pass"
        self.passed = 0  # connections
        self.pieces = 0
        self.troubled = 0
        self._turn = threading.Lock()  # of those that change the mode
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0), backlog=128)
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def port(self) -> int:
        found: int = self._server.getsockname()[1]
        return found

    @contextmanager
    def being(self, mode: Mode) -> Iterator[None]:
        """Let connections be so until the block ends; what was frozen is cut, as by a timeout."""
        with self._turn:
            self.mode = mode
            if mode == "away":
                self.cut()
            try:
                yield
            finally:
                self.mode = "pass"
                if mode == "frozen":
                    self.cut()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Let no packet come or go until the block ends: half-open connections, as of lost hosts.

        What the proxy holds is cut meanwhile, so that nobody is told of it.
        """
        ends = [("--dport", str(self.port)), ("--sport", str(self.port))]
        for end in ends:
            _filter("-I", end)
        try:
            self.cut()
            yield
        finally:
            for end in ends:
                _filter("-D", end)

    def cut(self) -> int:
        """Cut every connection; returns how many there were."""
        with self._lock:
            pairs = list(self._pairs)
        for each in (one for pair in pairs for one in pair):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self.troubled += len(pairs)
        return len(pairs)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.cut()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # it was closed
            while True:
                client, _ = self._server.accept()
                if self.mode == "away":
                    self.troubled += 1
                    client.close()
                else:
                    threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), self._connected_or_troubled() as server:
            pair = (client, server)
            with self._lock:
                self._pairs.add(pair)
                self.passed += 1
            try:
                self._pass_on(client, server)
            finally:
                with self._lock:
                    self._pairs.discard(pair)

    def _connected(self) -> socket.socket:
        if isinstance(self.target, tuple):
            return socket.create_connection(self.target)
        made = socket.socket(socket.AF_UNIX)
        made.connect(self.target)
        return made

    def _connected_or_troubled(self) -> socket.socket:
        try:
            return self._connected()
        except OSError:
            self.troubled += 1
            raise

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        other = {client: server, server: client}
        while True:
            for ready in select.select(list(other), [], [])[0]:
                if not (data := ready.recv(PIECE)):
                    return
                self.pieces += 1
                self.troubled += self.mode != "pass"
                if self.mode == "slow":
                    time.sleep(SLOW_SECONDS)
                while self.mode == "frozen":
                    time.sleep(0.05)
                other[ready].sendall(data)


def can_be_silent() -> bool:
    """Whether packets can be dropped here: that needs root, and iptables."""
    if os.geteuid() != 0 or shutil.which("iptables") is None:
        return False
    return subprocess.run(["iptables", "-n", "-L", "INPUT"], capture_output=True).returncode == 0


def _filter(act: str, end: tuple[str, str]) -> None:
    rule = ["INPUT", "-i", "lo", "-p", "tcp", *end, "-j", "DROP"]
    subprocess.run(["iptables", "-w", act, *rule], check=True)
