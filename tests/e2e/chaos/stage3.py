"""Stage 3 for the campaign: its folder, which it writes again and again, and its REST API."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from clustering_tasks.settings.levels import LEVELS
from local.sample import write_sample


@dataclass
class Stage3Folder:
    """A sample corpus. Its bytes change whenever it is written, and what they mean does not."""

    path: Path
    contents: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)
    writes: int = 0

    @classmethod
    def make(cls, path: Path, documents: int) -> "Stage3Folder":
        write_sample(path, documents=documents, seed=1)
        pairs = {level: [path / name for name in LEVELS[level].pair] for level in LEVELS}
        read = {level: (a.read_bytes(), b.read_bytes()) for level, (a, b) in pairs.items()}
        return cls(path, read)

    def write(self, level: str) -> None:
        """Write a level's pair again, each file whole; no run has seen these bytes before."""
        self.writes += 1
        for name, content in zip(LEVELS[level].pair, self._next(level), strict=True):
            draft = self.path / f".{name}.{threading.get_ident()}"
            draft.write_bytes(content)
            draft.replace(self.path / name)

    def write_in_place(self, level: str, seconds: float) -> None:
        """The same, but piece by piece into the files that are read."""
        self.writes += 1
        for name, content in zip(LEVELS[level].pair, self._next(level), strict=True):
            half = len(content) // 2
            with (self.path / name).open("wb") as file:
                file.write(content[:half])
                file.flush()
                time.sleep(seconds / 2)
                file.write(content[half:])

    def _next(self, level: str) -> tuple[bytes, bytes]:
        index, metadata = self.contents[level]
        return index, metadata + b"\n" * self.writes


class Stage3Server(ThreadingHTTPServer):
    """Stage 3's REST API: healthy, or not, or slow."""

    daemon_threads = True

    def __init__(self, counts: dict[str, int]) -> None:
        self.counts = counts
        self.status = 200
        self.is_healthy = True
        self.asked = 0
        self.pause = 0.0
        super().__init__(("127.0.0.1", 0), _Handler)

    def answer(self, path: str) -> object:
        self.asked += 1
        if path == "/health":
            return {"status": "healthy" if self.is_healthy else "degraded"}
        indices = [{"name": name, "total_vectors": count} for name, count in self.counts.items()]
        return {"backends": {"faiss": {"indices": indices}}}


class _Handler(BaseHTTPRequestHandler):
    server: Stage3Server

    def do_GET(self) -> None:
        time.sleep(self.server.pause)
        body = json.dumps(self.server.answer(self.path)).encode()
        try:
            self.send_response(self.server.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:
            self.close_connection = True  # who asked has given up

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def answering(folder: Stage3Folder) -> Iterator[Stage3Server]:
    """Stage 3's API until the block ends."""
    counts = {level: _count(metadata) for level, (_, metadata) in folder.contents.items()}
    with Stage3Server(counts) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def _count(metadata: bytes) -> int:
    return len(json.loads(metadata)["metadata_store"])
