"""A real Docker engine for tests, and an image whose one command imitates a step."""

import contextlib
import io
import os
import re
import select
import socket
import subprocess
import tarfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker import APIClient
from docker.errors import DockerException

ROOT = Path(__file__).parents[2]
CI_BASE_IMAGE = "stage4-base:bookworm"
STEP = Path(__file__).with_name("docker_step.py")


@pytest.fixture(scope="session")
def engine() -> Iterator[APIClient]:
    """Connect to the engine; without one, skip, but fail where CI promises one."""
    try:
        client = docker.from_env().api
        client.ping()
    except DockerException as error:
        message = f"no Docker engine answers: {error}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    yield client
    client.close()


@pytest.fixture(scope="session")
def base_image(engine: APIClient) -> str:
    """Name an image that has Python: the one that CI builds, else the Dockerfile's own."""
    if name := os.environ.get("BASE_IMAGE"):
        return name
    if engine.images(name=CI_BASE_IMAGE):
        return CI_BASE_IMAGE
    dockerfile = (ROOT / "images/clustering/Dockerfile").read_text()
    match = re.search(r"^ARG BASE_IMAGE=(\S+)$", dockerfile, re.MULTILINE)
    assert match
    return match[1]


@pytest.fixture(scope="session")
def clustering_image(base_image: str) -> str:
    """Build the engine's image from this checkout; the engine's cache makes a second time short."""
    environment = os.environ | {"BASE_IMAGE": base_image, "REGISTRY": "", "VARIANT": "cpu"}
    subprocess.run([ROOT / "images/build.sh"], check=True, env=environment)
    return "stage4-clustering:cpu"


@pytest.fixture(scope="session")
def step_image(engine: APIClient, base_image: str) -> Iterator[str]:
    """Build the image that imitates a step: `docker_step.py` says what it can do."""
    tag = f"stage4-test-step:{uuid.uuid4().hex[:8]}"
    dockerfile = (
        f"FROM {base_image}\n"
        "RUN mkdir -m 1777 /var/cache/stage4 && touch /var/cache/stage4/warm\n"
        "COPY step.py /step.py\n"
        'ENTRYPOINT ["python3", "-u", "/step.py"]\n'
    )
    context = _tar({"Dockerfile": dockerfile.encode(), "step.py": STEP.read_bytes()})
    output = list(engine.build(fileobj=context, custom_context=True, tag=tag, decode=True, rm=True))
    assert engine.images(name=tag), output
    yield tag
    engine.remove_image(tag, force=True)


@pytest.fixture
def nothing_left(engine: APIClient, step_image: str) -> Iterator[None]:
    """Fail the test that leaves a container or a volume, and remove its containers."""
    volumes = _unused_volumes(engine)
    yield
    left = engine.containers(all=True, filters={"ancestor": step_image})
    for container in left:
        engine.remove_container(container["Id"], force=True, v=True)
    assert left == []
    deadline = time.monotonic() + 10
    while (unused := _unused_volumes(engine) - volumes) and time.monotonic() < deadline:
        # Another test's are unused for a moment, after the end of their container.
        time.sleep(0.1)
    assert unused == set()


@pytest.fixture
def impatient_port() -> Iterator[int]:
    """Offer the engine at a TCP port and cut each connection, as proxies with a time limit do."""
    seconds = 1.1
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):  # the server was closed
                while True:
                    client, _ = server.accept()
                    threading.Thread(target=_relay, args=(client, seconds), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def _relay(client: socket.socket, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    with client, socket.socket(socket.AF_UNIX) as engine:
        engine.connect("/var/run/docker.sock")
        other = {client: engine, engine: client}
        while (left := deadline - time.monotonic()) > 0:
            for ready in select.select(list(other), [], [], left)[0]:
                if not (data := ready.recv(1 << 16)):
                    return
                other[ready].sendall(data)


def _unused_volumes(engine: APIClient) -> set[str]:
    return {found["Name"] for found in engine.volumes({"dangling": True})["Volumes"] or []}


def _tar(files: dict[str, bytes]) -> io.BytesIO:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    archive.seek(0)
    return archive
