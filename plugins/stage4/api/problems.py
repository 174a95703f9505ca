"""Errors as application/problem+json (RFC 9457): what happened, to what, and what to do."""

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from psycopg import errors
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from clustering_tasks.settings.deployment import deployment

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = "5"
_SHOWN_ERRORS = 20

log = structlog.get_logger()


class Violation(BaseModel):
    """One thing that is wrong with a request."""

    where: str = Field(description="Dotted: `query.limit`, `body.vector.3`.")
    message: str


class Problem(BaseModel):
    """Why a request was not answered."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = Field(description="What happened, and what to do.")
    instance: str = Field(description="Path of the request.")
    errors: list[Violation] | None = Field(None, description="With 422: everything that is wrong.")


class ProblemError(HTTPException):
    """Raised by an endpoint that cannot answer: a status, and words for the caller."""


class AnswerError(ProblemError):
    """Raised by an endpoint in the middle of making an answer that is another one."""

    def __init__(self, response: Response) -> None:
        """End with a response.

        Args:
            response: as the client gets it.
        """
        super().__init__(response.status_code)
        self.response = response


class ProblemResponse(JSONResponse):
    """A problem as the client gets it."""

    media_type = MEDIA_TYPE


def respond(
    request: Request,
    status: int,
    detail: str,
    *,
    violations: list[Violation] | None = None,
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> ProblemResponse:
    """Write a problem.

    Args:
        request: that could not be answered.
        status: of HTTP.
        detail: words for the caller, without anything that the caller may not know.
        violations: what is wrong with the request.
        headers: to add.
        more: members of the problem beside the standard's.
    """
    problem = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=request.url.path,
        errors=violations,
    )
    content = problem.model_dump(exclude_none=True) | dict(more or {})
    return ProblemResponse(content, status, headers)


def install(app: FastAPI) -> None:
    """Let every error of `app` end as a problem."""
    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, handler)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    if isinstance(error, AnswerError):
        return error.response
    return respond(request, error.status_code, str(error.detail), headers=error.headers)


async def _invalid(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for nothing else
    violations = list(_violations(error))
    return respond(
        request,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The request is not valid; `errors` names everything that is wrong.",
        violations=violations,
    )


def _violations(error: RequestValidationError) -> Iterator[Violation]:
    """Name what is wrong, without the values themselves: they may be large, or secret."""
    for found in error.errors()[:_SHOWN_ERRORS]:
        where = ".".join(str(part) for part in found["loc"])
        yield Violation(where=where, message=found["msg"])


async def _database(request: Request, error: Exception) -> ProblemResponse:
    status, detail = _meaning(error)
    state = getattr(error, "sqlstate", None)
    if status != HTTPStatus.GONE:
        log.error("the database did not answer", error=type(error).__name__, sqlstate=state)
    busy = status == HTTPStatus.SERVICE_UNAVAILABLE
    headers = {"Retry-After": RETRY_SECONDS} if busy else None
    return respond(request, status, detail, headers=headers)


def _meaning(error: Exception) -> tuple[int, str]:
    if isinstance(error, errors.UndefinedTable) and _OF_A_RUN.search(str(error)):
        return HTTPStatus.GONE, _RUN_REMOVED
    for kinds, status, detail in _MEANINGS:
        if isinstance(error, kinds):
            return status, detail.format(seconds=deployment().api_statement_seconds)
    return HTTPStatus.INTERNAL_SERVER_ERROR, "The database refused a statement; see the log."


_OF_A_RUN = re.compile(r"(clusters|members)_\d+\b")
_RUN_REMOVED = "The run was removed while it was being read: ask without `load_id` and `cursor`."
# In this order: all of psycopg's own are `psycopg.Error`, and most are OperationalError.
_MEANINGS: tuple[tuple[tuple[type[Exception], ...], int, str], ...] = (
    (
        (errors.QueryCanceled,),
        HTTPStatus.GATEWAY_TIMEOUT,
        "The database needed more than {seconds:g} s: narrow the filters, or ask for fewer rows.",
    ),
    (
        (
            errors.UndefinedTable,
            errors.UndefinedColumn,
            errors.InvalidSchemaName,
            errors.UndefinedFunction,
        ),
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The database's schema `stage4` is missing or old: run `python -m stage4.setup`.",
    ),
    (
        (errors.InsufficientPrivilege,),
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The database's role may not read the schema `stage4`: see docs/DEPLOYMENT.md, grants.",
    ),
    (
        (psycopg.OperationalError,),  # the pool's own errors too
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The database cannot be reached, or is busy: try again in a few seconds.",
    ),
)


async def _unexpected(request: Request, error: Exception) -> ProblemResponse:
    """Say that there is a defect; Starlette raises it again, so that the server logs it."""
    del error
    return respond(
        request, HTTPStatus.INTERNAL_SERVER_ERROR, "A defect of Stage 4; the server's log has more."
    )


_HANDLERS: dict[type[Exception], Any] = {
    HTTPException: _http,
    RequestValidationError: _invalid,
    psycopg.Error: _database,
    Exception: _unexpected,
}
