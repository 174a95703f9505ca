"""`stage3/events`: Stage 3's webhook."""

from http import HTTPStatus

import structlog
from airflow.sdk.exceptions import AirflowNotFoundException
from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from clustering_tasks.settings.deployment import deployment
from clustering_tasks.settings.webhook_secrets import WANTED
from clustering_tasks.stage3.events import Stage3Event, wrong
from stage4.api import problems
from stage4.api.airflow_jobs import make_run, state_of_run
from stage4.api.job_notes import note_creation
from stage4.api.limits import address_of, login_failures, too_many_failures
from stage4.api.models.stage3_events import Received
from stage4.api.pool import airflow_connection, connected
from stage4.api.problems import AnswerError, ProblemError, Violation
from stage4.database import stage3_events
from stage4.database.connection import Database
from stage4.database.stage3_events import Arrival, arrival
from stage4.events.receivers import ReceiverError, secrets_of
from stage4.events.stage3.decision import Decision
from stage4.events.stage3.requests import request_run
from stage4.events.stage3.signature import StaleError, UnsignedError, check_signature
from stage4.job_ids import dag_of, job_id

router = APIRouter(prefix="/stage3", tags=["events"])

log = structlog.get_logger()

_SCHEMA = Stage3Event.model_json_schema()


@router.post(
    "/events",
    response_model=Received,
    status_code=HTTPStatus.ACCEPTED,
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": _SCHEMA}}}
    },
    responses={
        400: {"description": "Signed more than five minutes ago, or not yet."},
        401: {"description": "No signature that is right."},
        404: {"description": "The installation takes no events this way."},
    },
)
async def receive(request: Request) -> Received:
    """Take an event of Stage 3, signed as Standard Webhooks 1.0 (docs/EVENTS.md), without a token.

    An event starts at most one run. Sent again, it has the same answer but for `is_new`; an event
    that was not answered with 202 has to be sent again.
    """
    body = await request.body()
    await _check(request, body)
    event = _read(request, body)
    return await run_in_threadpool(_take, event)


async def _check(request: Request, body: bytes) -> None:
    address, failures = address_of(request.scope), login_failures()
    try:
        check_signature(body, request.headers, await run_in_threadpool(_secrets))
    except UnsignedError:
        if seconds := await failures.wait(address):
            raise too_many_failures(seconds) from None
        await failures.count(address)
        raise ProblemError(
            HTTPStatus.UNAUTHORIZED,
            "Sign the request as Standard Webhooks 1.0 says: `webhook-id`, `webhook-timestamp`, and"
            " in `webhook-signature` a `v1` signature with the secret that Stage 4 has.",
            headers={"WWW-Authenticate": "StandardWebhooks"},
        ) from None
    except StaleError as error:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST,
            f"The request is not of now: {error}. Sign it again when it is sent again, or set the "
            "clock.",
        ) from None


def _secrets() -> list[str]:
    """Read the secrets.

    Raises:
        ProblemError: 404: there is no webhook; 503: its connection is missing, or has no secret.
    """
    conn_id = deployment().stage3_webhook_conn_id
    if conn_id is None:
        raise ProblemError(
            HTTPStatus.NOT_FOUND,
            "This installation takes no events by webhook (STAGE4_STAGE3_WEBHOOK_CONN_ID).",
        )
    try:
        return secrets_of(airflow_connection(conn_id).password)
    except (AirflowNotFoundException, ReceiverError) as error:
        if isinstance(error, ReceiverError):
            log.error("Stage 3's webhook takes nothing", why=str(error))  # noqa: TRY400
        raise ProblemError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "The Airflow connection of STAGE4_STAGE3_WEBHOOK_CONN_ID is missing or has no secret "
            f"({WANTED}).",
        ) from None


def _read(request: Request, body: bytes) -> Stage3Event:
    try:
        return Stage3Event.model_validate_json(body)
    except ValidationError as error:
        found = [
            Violation(where=f"body.{at}" if at else "body", message=text)
            for at, text in wrong(error)
        ]
        raise AnswerError(
            problems.respond(
                request,
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "The event is not valid; `errors` names everything that is wrong.",
                violations=found,
            )
        ) from None


def _take(event: Stage3Event) -> Received:
    """Store an event, decide, and make the run; what fails in between is done by the next look."""
    arrived, dag = arrival(event, "webhook"), dag_of(event.embedding_type)
    is_new, run_id, decision = connected(lambda connection: _decide(connection, arrived))
    # In a burst whoever has decided makes the run; an event that comes again, one that is missing.
    makes = decision.is_new or not is_new
    if decision.start is not None and makes and make_run(dag, decision.start):
        note_creation(dag, decision.start, {})
    return Received(
        level=event.embedding_type,
        is_new=is_new,
        job_id=None if run_id is None else job_id(dag, run_id),
    )


def _decide(connection: Database, event: Arrival) -> tuple[bool, str | None, Decision]:
    is_new = stage3_events.store(connection, [event]) > 0
    fewest = deployment().min_embeddings
    decision = request_run(connection, event.level, state_of_run, fewest)
    return is_new, stage3_events.run_of(connection, event), decision
