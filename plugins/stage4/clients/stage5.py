"""Telling Stage 5 that clusters are published (EV-2)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import requests
import structlog
import tenacity
from airflow.configuration import conf
from airflow.providers.http.hooks.http import HttpHook
from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowNotFoundException
from requests.auth import AuthBase

from clustering_tasks.contract.events import CompletionEvent, RolledBackEvent
from clustering_tasks.publication import completion
from clustering_tasks.publication.report import Report

CONVENTIONAL_PATH = "/webhooks/clustering-completed"
TIMEOUT_SECONDS = (5, 30)  # to connect, to answer
ATTEMPTS = 4
FIRST_PAUSE_SECONDS = 1.0
_LOST = (requests.ConnectionError, requests.Timeout)

log = structlog.get_logger()


class _Bearer(AuthBase):
    """Sends a token; a class of its own, because requests prefers ~/.netrc to a plain header."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def completion_event(
    report: Report, output_files: list[str], changes: Mapping[str, Any] | None
) -> CompletionEvent:
    """Build the event that CONTRACT.md describes.

    Args:
        report: of the published run.
        output_files: URIs of the published JSONL.
        changes: `stage4.database.pointer.Changes` as a mapping; None: the first publication.
    """
    server = conf.get("api", "base_url", fallback="").rstrip("/")
    return completion.completion_event(report, output_files, changes, server)


def rolled_back_event(
    report: Report,
    output_files: list[str],
    publication_id: int,
    changes: Mapping[str, Any] | None,
) -> RolledBackEvent:
    """Build the event of a run that is published again: that of a publication, and which it is."""
    published = completion_event(report, output_files, changes)
    return {**published, "act": "roll_back", "publication_id": publication_id}


def publication_key(job_id: str, publication_id: int) -> str:
    """Name a publication for `deliver`: that of the same run later on is another one."""
    return f"{job_id}.{publication_id}"


def deliver(event: Mapping[str, Any], conn_id: str, key: str) -> dict[str, Any]:
    """POST an event to the webhook of an Airflow HTTP connection.

    The connection's password is the bearer token. Its host may be a whole URL; one without a path
    gets the conventional one. Lost connections, time-outs, 429 and 5xx are tried again.

    Args:
        event: JSON.
        conn_id: of the connection.
        key: the header `Idempotency-Key`: the same whenever the same event is sent again, so that
            Stage 5 can tell a repetition from news.

    Returns:
        `{"status": 202, "attempts": 1}`.

    Raises:
        AirflowFailException: the webhook refuses the event; trying again cannot help.
        AirflowException: it could not be reached, or kept failing.
    """
    connection = _connection(conn_id)
    hook = _hook(connection)
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(_LOST) | tenacity.retry_if_result(_may_pass),
        wait=tenacity.wait_exponential(FIRST_PAUSE_SECONDS),
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        before_sleep=_say_why,
        retry_error_callback=_last_outcome,
    )
    try:
        answer: requests.Response = retrying(
            hook.run,
            endpoint=_endpoint(connection),
            json=event,
            headers={"Idempotency-Key": key},
            # requests would follow a redirect with a GET, which tells nobody anything
            extra_options={
                "timeout": TIMEOUT_SECONDS,
                "check_response": False,
                "allow_redirects": False,
            },
        )
    except _LOST as error:
        raise AirflowException(f"Stage 5 ({conn_id}) cannot be reached: {error}") from error
    _require_success(answer, conn_id)
    return {"status": answer.status_code, "attempts": retrying.statistics["attempt_number"]}


def _connection(conn_id: str) -> Connection:
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise AirflowFailException(
            f"Airflow has no connection `{conn_id}`: define it, for example by "
            f"AIRFLOW_CONN_{conn_id.upper()}, or name another in STAGE4_STAGE5_CONN_ID"
        ) from None


def _hook(connection: Connection) -> HttpHook:
    token = connection.password
    auth_type = (lambda *_: _Bearer(token)) if token else None
    return HttpHook(method="POST", http_conn_id=connection.conn_id, auth_type=auth_type)


def _endpoint(connection: Connection) -> str | None:
    address = (connection.host or "").split("://")[-1].rstrip("/")
    return None if "/" in address else CONVENTIONAL_PATH


def _may_pass(answer: requests.Response) -> bool:
    code = answer.status_code
    return code == HTTPStatus.TOO_MANY_REQUESTS or code >= HTTPStatus.INTERNAL_SERVER_ERROR


def _say_why(state: tenacity.RetryCallState) -> None:
    log.warning(
        "Stage 5 did not take the event; trying again",
        attempt=state.attempt_number,
        pause_seconds=state.upcoming_sleep,
    )


def _last_outcome(state: tenacity.RetryCallState) -> requests.Response:
    """After the last attempt, return its answer or raise its exception."""
    if state.outcome is None:
        raise RuntimeError("tenacity gave up before the first attempt")
    answer: requests.Response = state.outcome.result()
    return answer


def _require_success(answer: requests.Response, conn_id: str) -> None:
    if HTTPStatus.OK <= answer.status_code < HTTPStatus.MULTIPLE_CHOICES:
        return
    said = f"{answer.status_code} {answer.reason}: {answer.text[:200]}"
    if _may_pass(answer):
        raise AirflowException(f"Stage 5 ({conn_id}) failed {ATTEMPTS} times, last with {said}")
    raise AirflowFailException(
        f"Stage 5 ({conn_id}) refused the event with {said}. Check the connection's host (the "
        "webhook's URL) and its password (the bearer token), then clear notify_stage5"
    )
