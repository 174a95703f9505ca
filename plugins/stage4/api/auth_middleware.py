"""The one way in: a valid token, whatever the path but `/live` and the webhook of Stage 3.

FastAPI reads a body before it asks dependencies, and gives unknown paths no dependencies at all. So
the user, the rate limit and the body's size are checked in front of the application.
"""

from http import HTTPStatus
from time import perf_counter

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.core_api.security import bearer_scheme, get_user
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clustering_tasks.settings.deployment import deployment
from stage4.api import problems
from stage4.api.limits import address_of, limited, login_failures, too_many_failures

OPEN_PATH = "/live"
SIGNED_PATH = "/stage3/events"  # its endpoint checks the signature, which is over the body
_HEADERS = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


class AuthMiddleware:
    """ASGI middleware: 401 (403 for a broken token), 429, 413, 408, or on to the application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it."""
        if scope["type"] != "http":  # there are no WebSockets; lifespan passes
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        send = _with_headers(send, scope)
        scope["stage4_started"] = perf_counter()
        if _is_open(scope):
            await self._app(scope, receive, send)
            return
        try:
            if _is_signed(scope):
                await _count(request, f"stage3 at {address_of(scope)}")
            else:
                scope["stage4_user"] = user = await _user(request)
                await _count(request, user.get_id())
            where = deployment()
            receive = limited(scope, receive, where.api_max_body_bytes, where.api_body_seconds)
        except HTTPException as error:
            answer = problems.respond(
                request, error.status_code, str(error.detail), headers=error.headers
            )
            await answer(scope, receive, send)
            return
        scope["stage4_admitted"] = perf_counter()
        await self._app(scope, receive, send)


def _is_open(scope: Scope) -> bool:
    """Whether a request is for what proxies ask without a token; it tells that, and no more."""
    return bool(scope["method"] == "GET" and _path(scope) == OPEN_PATH)


def _is_signed(scope: Scope) -> bool:
    """Whether a request comes from Stage 3, which is no user of Airflow, or says so."""
    return bool(scope["method"] == "POST" and _path(scope) == SIGNED_PATH)


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _with_headers(send: Send, scope: Scope) -> Send:
    """Add to every answer that it is for this user alone, and nothing but what it says it is.

    Titles are hostile input: a browser must not take an answer for a page. `Server-Timing` tells
    the time of Airflow's token check from that of the endpoint.
    """

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            timing = (b"server-timing", _timing(scope).encode())
            message["headers"] = [*message["headers"], *_HEADERS, timing]
        await send(message)

    return sending


def _timing(scope: Scope) -> str:
    now = perf_counter()
    admitted = scope.get("stage4_admitted", now)
    gate, endpoint = admitted - scope["stage4_started"], now - admitted
    return f"gate;dur={1000 * gate:.1f}, endpoint;dur={1000 * endpoint:.1f}"


async def _user(request: Request) -> BaseUser:
    """Name the user by Airflow's own means: a bearer's token, else the session's cookie."""
    address, failures = address_of(request.scope), login_failures()
    try:
        return await get_user(request, None, await bearer_scheme(request))
    except HTTPException as error:
        if seconds := await failures.wait(address):
            raise too_many_failures(seconds) from None
        if "authorization" in request.headers or "cookie" in request.headers:
            await failures.count(address)
        if error.status_code != HTTPStatus.UNAUTHORIZED:
            raise
        raise HTTPException(
            HTTPStatus.UNAUTHORIZED,
            f"{error.detail}: send `Authorization: Bearer <token>` with a token of "
            "`POST /auth/token`.",
            headers={"WWW-Authenticate": "Bearer"},
        ) from None


async def _count(request: Request, who: str) -> None:
    seconds = await request.app.state.services.rate_limit.take(who)
    if seconds is not None:
        raise HTTPException(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"More than {deployment().api_requests_per_minute} requests in a minute: wait "
            f"{seconds} s.",
            headers={"Retry-After": str(seconds)},
        )
