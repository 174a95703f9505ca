"""What Stage 3 says about itself over REST (IN-8)."""

from typing import Any

import httpx
from pydantic import BaseModel, ValidationError

from clustering_tasks.errors import BadInputError, SettingsError, TransientError


class _Index(BaseModel):
    name: str
    total_vectors: int


class _Faiss(BaseModel):
    indices: list[_Index]


class _Backends(BaseModel):
    faiss: _Faiss


class _Statistics(BaseModel):
    backends: _Backends


def count_vectors(url: str, level: str, *, timeout: float) -> int:
    """Ask Stage 3 how many vectors of a level it holds, once it says that it is healthy.

    Args:
        url: of Stage 3's API, without a path.
        level: plural name.
        timeout: seconds, for each of the two requests.

    Raises:
        TransientError: it cannot be reached, is unhealthy, or answers with something else.
        SettingsError: it refuses the request: the URL is wrong.
        BadInputError: it holds no index of this level.
    """
    url, auth = _apart(url)
    with httpx.Client(base_url=url, auth=auth, timeout=timeout) as client:
        health = _get(client, "/health")
        if not isinstance(health, dict) or health.get("status") != "healthy":
            raise TransientError(f"Stage 3 at {url} says that it is not healthy: {health}")
        counts = _counts(url, _get(client, "/statistics"))
    if level not in counts:
        raise BadInputError(
            f"Stage 3 at {url} has no index `{level}`, only {sorted(counts)}: let it embed that "
            "level first, or pause this DAG"
        )
    return counts[level]


def _apart(url: str) -> tuple[str, httpx.BasicAuth | None]:
    """Take user and password out of a URL: messages name it, and readers of a job see them.

    Raises:
        SettingsError: it is no URL.
    """
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise SettingsError(f"STAGE4_STAGE3_URL is no URL: {error}") from None
    auth = httpx.BasicAuth(parts.username, parts.password) if parts.userinfo else None
    return str(parts.copy_with(userinfo=b"")).rstrip("/"), auth


def _get(client: httpx.Client, path: str) -> Any:
    url = f"{str(client.base_url).rstrip('/')}{path}"
    try:
        answer = client.get(path)
        if answer.is_client_error and answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
            raise SettingsError(
                f"{url} answered {answer.status_code} {answer.reason_phrase}: is STAGE4_STAGE3_URL "
                "the address of Stage 3's API, without a path?"
            )
        return answer.raise_for_status().json()
    except httpx.HTTPError as error:
        raise TransientError(f"{url}: {error or type(error).__name__}") from error
    except ValueError:
        raise TransientError(f"{url} did not answer in JSON: {answer.text[:200]!r}") from None


def _counts(url: str, statistics: Any) -> dict[str, int]:
    try:
        known = _Statistics.model_validate(statistics)
    except ValidationError as error:
        raise TransientError(f"{url}/statistics is not as agreed: {error}") from None
    return {index.name: index.total_vectors for index in known.backends.faiss.indices}
