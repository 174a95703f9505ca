"""The engine's image, as it is built from this checkout."""

import subprocess
import time
from collections.abc import Callable

import pytest
from docker import APIClient

pytest_plugins = ["tests.integration.docker_fixtures"]
pytestmark = pytest.mark.docker

Shell = Callable[[str], str]
# As the Docker runner starts a step: see stage4.runners.docker.
HARDENED = ["--read-only", "--tmpfs=/tmp", "--volume=/var/cache/stage4", "--network=none"]
HARDENED += ["--cap-drop=ALL", "--security-opt=no-new-privileges"]


@pytest.fixture
def shell(clustering_image: str) -> Shell:
    def run(script: str) -> str:
        command = ["docker", "run", "--rm", *HARDENED, "--entrypoint=sh", clustering_image, "-c"]
        done = subprocess.run([*command, script], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    return run


def test_it_runs_as_nobody_special(shell: Shell) -> None:
    assert shell("id -u; id -g").split() == ["1000", "1000"]
    assert shell("find /opt -writable -not -type l | head -1") == ""


def test_it_has_no_build_tools_and_no_caches(shell: Shell) -> None:
    assert shell("command -v gcc cc make git curl; ls /opt/venv/bin/pip* 2>&- || true") == ""
    assert shell("ls -d /root/.cache /tmp/requirements.txt 2>&- || true") == ""


def test_kernels_are_compiled_already(shell: Shell) -> None:
    """A container like the runner's loads them; compiling takes 10 s and more, in each."""
    count = "find /var/cache/stage4 -name '*.nbc'"
    before, _, after = shell(
        f"{count} | wc -l; touch /tmp/start; python -m clustering_tasks warm-up;"
        f"{count} -newer /tmp/start | wc -l"
    ).splitlines()
    assert int(before) > 5
    assert int(after) == 0


def test_labels_say_what_it_is(engine: APIClient, clustering_image: str) -> None:
    labels = engine.inspect_image(clustering_image)["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == "stage4-clustering"
    assert labels["org.opencontainers.image.version"] != "0.0.0"
    assert len(labels["org.opencontainers.image.revision"]) == 40


def test_it_ends_on_sigterm_as_pid_1(clustering_image: str, engine: APIClient) -> None:
    """Without an init, a process without a handler would ignore it until SIGKILL."""
    script = "import clustering_tasks.cli as c; c.app = lambda **_: __import__('time').sleep(60)"
    container = engine.create_container(
        clustering_image, ["-c", f"{script}; print('up'); c.main()"], entrypoint=["python"]
    )["Id"]
    try:
        engine.start(container)
        while b"up" not in engine.logs(container):
            time.sleep(0.1)
        time.sleep(1)
        started = time.monotonic()
        engine.stop(container, timeout=30)
        assert time.monotonic() - started < 10
        assert engine.inspect_container(container)["State"]["ExitCode"] == 143
    finally:
        engine.remove_container(container, force=True, v=True)
