"""Who sees a page: whom Airflow has logged in. And what a browser may do with it."""

from urllib.parse import quote

from airflow.api_fastapi.core_api.security import bearer_scheme, get_user
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Scripts and styles only from files of this server: a title that is a script stays a text even if a
# page forgot to escape it. Airflow shows the pages in a frame of its own.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class LoginMiddleware:
    """ASGI middleware: to Airflow's login, or on to the page; with the headers above."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        request = Request(scope, receive)
        try:
            scope["stage4_user"] = await get_user(request, None, await bearer_scheme(request))
        except HTTPException as error:
            await _refused(request, error)(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)


def _refused(request: Request, error: HTTPException) -> Response:
    """Send a person to the login and back, and tell a program."""
    if "text/html" not in request.headers.get("accept", ""):
        return PlainTextResponse(f"{error.detail}\n", error.status_code)
    root = request.scope.get("root_path", "").removesuffix("/stage4/pages")
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"{root}/api/v2/auth/login?next={quote(back, safe='')}", 303)
