"""In front of all of Airflow's API server: what only the outermost application can do."""

import asyncio
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stage4.api.airflow_app import CALLS_AT_ONCE, AirflowApp, lend
from stage4.api.clearing import clear, clears
from stage4.api.large_integers import again, is_guarded, read_body, refusal
from stage4.api.limits import address_of, login_failures, too_many_failures

_OURS = "/stage4/"
_LOGIN = "/auth/"  # of Airflow's auth managers
_REFUSED = (401, 403)


class FrontMiddleware:
    """ASGI middleware: meters failed log-ins, refuses integers that would kill a task, completes
    what is cleared, and lets odd paths of Stage 4 reach Stage 4, with a way to Airflow.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._turns = asyncio.Semaphore(CALLS_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        airflow = AirflowApp(self._app, scope, self._turns)
        if path.startswith(_OURS):
            scope = lend(scope, airflow)
        if path.startswith(_OURS) and "\n" in path:
            # A mount's pattern takes no line feed, so another part of Airflow would answer. No id
            # has one, nor any other control character: Stage 4 says so to those who may ask.
            scope = {**scope, "path": scope["path"].replace("\n", "\r")}
        if path.startswith(_LOGIN) and scope["method"] == "POST":
            await self._metered(scope, receive, send)
        elif is_guarded(scope["method"], path):
            await self._checked(scope, receive, send)
        elif clears(scope["method"], path):
            body, messages = await read_body(receive)
            if not await clear(airflow, path, body, send):
                await self._app(scope, again(messages, receive), send)
        else:
            await self._app(scope, receive, send)

    async def _checked(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, messages = await read_body(receive)
        if wrong := refusal(body):
            refused = HTTPException(HTTPStatus.BAD_REQUEST, wrong)
            await _answer(refused)(scope, receive, send)
        else:
            await self._app(scope, again(messages, receive), send)

    async def _metered(self, scope: Scope, receive: Receive, send: Send) -> None:
        address, failures = address_of(scope), login_failures()
        if seconds := await failures.wait(address):
            await _answer(too_many_failures(seconds))(scope, receive, send)
            return

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in _REFUSED:
                await failures.count(address)
            await send(message)

        await self._app(scope, receive, watched)


def _answer(error: HTTPException) -> JSONResponse:
    return JSONResponse({"detail": error.detail}, error.status_code, error.headers)
