"""A Docker engine of the campaign's own: it is killed and started again, and nobody else's is.

It has no network, which the steps do not need, and takes its image from the machine's engine.
"""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import psutil
import requests
from docker import APIClient
from docker.errors import DockerException

START_SECONDS = 240
Json = dict[str, Any]


@dataclass
class Engine:
    """`dockerd` with all its data in `folder`; `image` is what its containers are made of."""

    folder: Path
    image: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.folder}/sock"

    def start(self) -> None:
        """Start it, again where it gives up: on a busy machine its containerd starts too late."""
        deadline = time.monotonic() + START_SECONDS
        self._launch()
        while not self._answers():
            assert time.monotonic() < deadline, f"dockerd does not answer: {self.folder / 'log'}"
            time.sleep(0.2)
            if self.process is not None and self.process.poll() is not None:
                self._launch()

    def _launch(self) -> None:
        options = {
            "host": self.url,
            "data-root": self.folder / "data",
            "exec-root": self.folder / "exec",
            "pidfile": self.folder / "pid",
        }
        command = [f"--{name}={value}" for name, value in options.items()]
        (self.folder / "pid").unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                # In a network of its own: an engine without a bridge removes the machine's.
                ["unshare", "--net", "dockerd", *command, "--bridge=none", "--iptables=false"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def containers(self, **labels: str) -> list[Json]:
        """All containers with some labels, ended ones too."""
        wanted = [f"airflow.{name}={value}" for name, value in labels.items()]
        with self._client() as client:
            found: list[Json] = client.containers(all=True, filters={"label": wanted})
        return found

    def kill_container(self, name: str) -> None:
        with self._client() as client:
            client.kill(name)

    def leave_no_memory(self, name: str, spare_bytes: int) -> None:
        """Let a container have little more memory than it has; the kernel kills what takes more."""
        with self._client() as client:
            used = client.stats(name, stream=False)["memory_stats"]["usage"]
            most = used + spare_bytes
            client.update_container(name, mem_limit=most, memswap_limit=most)

    def _answers(self) -> bool:
        with suppress(DockerException, requests.RequestException, OSError), self._client() as api:
            return bool(api.ping())
        return False

    @contextmanager
    def _client(self) -> Iterator[APIClient]:
        client = docker.APIClient(base_url=self.url, timeout=30)
        try:
            yield client
        finally:
            client.close()


@contextmanager
def own_engine(folder: Path, image: str) -> Iterator[Engine]:
    """An engine that has the image, until the block ends; needs root, and `dockerd`."""
    folder.mkdir()
    engine = Engine(folder, image)
    engine.start()
    try:
        saved = subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE)
        loading = ["docker", "--host", engine.url, "load", "--quiet"]
        subprocess.run(loading, stdin=saved.stdout, check=True, stdout=subprocess.DEVNULL)
        assert saved.wait() == 0
        yield engine
    finally:
        for each in engine.containers():
            with suppress(DockerException):
                engine.kill_container(each["Id"])
        engine.stop()
        unmount_below(folder)
        shutil.rmtree(folder)


def unmount_below(folder: Path) -> None:
    """Unmount what a killed engine has left: its data, bound to themselves, and containers'."""
    mounted = [Path(each.mountpoint) for each in psutil.disk_partitions(all=True)]
    for each in reversed([path for path in mounted if path.is_relative_to(folder)]):
        subprocess.run(["umount", "--lazy", each], check=True)
