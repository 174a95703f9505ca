"""The Docker engine as a step's container needs it: its errors, its output, its removals."""

import os
import re
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException
from docker import APIClient
from docker.errors import APIError, DockerException, NotFound
from requests import RequestException
from urllib3.exceptions import HTTPError

# What a broken connection raises, from a proxy's time limit to an engine that restarts.
LOST = (OSError, RequestException, HTTPError, struct.error)

REMOVAL_SECONDS = 30

# The settings behind the refusals that a first installation meets.
_HINTS = {
    r"no such image|pull access denied|/v2/": "build the image (`make images`) on the engine's "
    "host, or set STAGE4_IMAGE",
    r"bind source path": "the folder must exist on the Docker host (STAGE4_HOST_WORKSPACE, "
    "STAGE4_HOST_INDICES)",
    r"device driver": "install the NVIDIA container toolkit, or set STAGE4_GPU=false",
    r"range of cpus": "lower STAGE4_CPUS",
    r"network \S+ not found": "create the network, or set STAGE4_DOCKER_NETWORK",
}


def tls_arguments(environment: Mapping[str, str]) -> dict[str, Any]:
    """Read Docker's own variables; the provider takes the files only as arguments."""
    if not environment.get("DOCKER_TLS_VERIFY"):
        return {}
    folder = Path(environment.get("DOCKER_CERT_PATH") or "~/.docker").expanduser()
    return {
        "tls_ca_cert": str(folder / "ca.pem"),
        "tls_client_cert": str(folder / "cert.pem"),
        "tls_client_key": str(folder / "key.pem"),
    }


def unreachable(url: str | list[str]) -> str:
    """Say what was tried, and what to do."""
    return (
        f"no Docker engine answers at {url} (STAGE4_DOCKER_URL, else DOCKER_HOST, else the local "
        f"socket) for user {os.geteuid()}; the line above says why. Start the engine, let this "
        "user open its socket (group `docker`), or run the steps without it: STAGE4_RUNNER=process"
    )


@contextmanager
def engine_errors(what: str, url: str | list[str]) -> Iterator[None]:
    """Tell refusals of the engine, which repeat themselves, from what may pass.

    Raises:
        AirflowFailException: the engine refuses what it is asked (HTTP 4xx).
        AirflowException: it is gone, or failed at it (HTTP 5xx, a name that is taken).
    """
    try:
        yield
    except APIError as error:
        message = f"{what}: the Docker engine says: {error.explanation or error}{_hint(error)}"
        if error.is_client_error() and error.status_code != 409:
            raise AirflowFailException(message) from error
        raise AirflowException(message) from error
    except (DockerException, RequestException, HTTPError) as error:
        raise AirflowException(
            f"{what}: lost the Docker engine at {url} ({error}); "
            "the next try removes the container, if it still exists"
        ) from error


def _hint(error: APIError) -> str:
    explanation = str(error.explanation).lower()
    hint = next((hint for text, hint in _HINTS.items() if re.search(text, explanation)), "")
    return hint and f". To do: {hint}"


def remove_container(client: APIClient, name: str) -> None:
    """Remove a container, running or not, with its anonymous volumes; and see that it is gone.

    Raises:
        APIError: it cannot be removed.
    """
    try:
        client.remove_container(name, force=True, v=True)
    except NotFound:
        return
    except APIError as error:
        if error.status_code != 409:  # else another process is removing it
            raise
        _await_removal(client, name)


def _await_removal(client: APIClient, name: str) -> None:
    deadline = time.monotonic() + REMOVAL_SECONDS
    while time.monotonic() < deadline:
        try:
            client.inspect_container(name)
        except NotFound:
            return
        time.sleep(0.2)


def lines_of(chunks: Iterable[bytes]) -> Iterator[str]:
    """Cut a stream into lines; a character may be split between two chunks, a line never is."""
    buffer = b""
    for chunk in chunks:
        *lines, buffer = (buffer + chunk).split(b"\n")
        for line in lines:
            yield line.decode("utf-8", errors="replace")
    if buffer:
        yield buffer.decode("utf-8", errors="replace")
