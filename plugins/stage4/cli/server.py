"""The two REST APIs of the server: Airflow's own, and Stage 4's; errors become exit codes."""

from collections.abc import Iterator, Mapping
from typing import Any, Self
from urllib.parse import quote, urlsplit

import httpx

from stage4.cli.errors import (
    BusyError,
    CommandError,
    DeniedError,
    MissingError,
    ServerError,
    UnreachableError,
    UsageError,
)
from stage4.cli.login import TOKEN, Login

AIRFLOW, STAGE4 = "/api/v2", "/stage4/api/v1"
MOST_ROWS = 200  # of a page
TIMEOUT_SECONDS = 60
CONNECT_SECONDS = 10
_SHOWN = 500

Json = dict[str, Any]


class Server:
    """A session with one server; a context manager.

    `login` says where it is. The first request that needs one fetches a token, which is kept in
    this process alone.
    """

    def __init__(self, login: Login) -> None:
        self._login = login
        # A proxy of the environment is no way to this machine itself.
        here = urlsplit(login.url).hostname in ("localhost", "127.0.0.1", "::1")
        self._client = httpx.Client(
            base_url=login.url,
            timeout=httpx.Timeout(TIMEOUT_SECONDS, connect=CONNECT_SECONDS),
            trust_env=not here,
        )
        self._token = login.token

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def token(self) -> str:
        """Return the token, which a login fetches.

        Raises:
            CommandError: the login failed.
        """
        if self._token is None:
            body = {"username": self._login.user, "password": self._login.password}
            answer = self._accepted(self._send("POST", "/auth/token", body, {}))
            self._token = str(_json(answer).get("access_token") or "")
            if not self._token:
                raise ServerError(f"{self._login.url}/auth/token answered without a token.")
        return self._token

    def get(self, path: str, **parameters: Any) -> Json:
        """GET a path; parameters that are None are left out.

        Raises:
            CommandError: of the kind that the answer means.
        """
        return _json(self._authorised("GET", path, None, parameters))

    def follow(self, path: str, **parameters: Any) -> Json:
        """GET a cluster, where it is by now; of one that was split, what names its parts.

        Raises:
            CommandError: of the kind that the answer means.
        """
        also = (httpx.codes.MULTIPLE_CHOICES, httpx.codes.PERMANENT_REDIRECT)
        answer = self._authorised("GET", path, None, parameters, *also)
        if answer.status_code == httpx.codes.PERMANENT_REDIRECT:
            # Stage 4 leads to another cluster of its own: by a name, to no other server.
            name = answer.headers.get("location", "").partition("?")[0]
            return self.get(named("clusters", name), **parameters)
        return _json(answer)

    def post(self, path: str, body: Json) -> Json:
        """POST `body` to a path.

        Raises:
            CommandError: of the kind that the answer means.
        """
        return _json(self._authorised("POST", path, body, {}))

    def patch(self, path: str, body: Json) -> Json:
        """PATCH a path with `body`.

        Raises:
            CommandError: of the kind that the answer means.
        """
        return _json(self._authorised("PATCH", path, body, {}))

    def delete(self, path: str) -> Json:
        """DELETE a path.

        Raises:
            CommandError: of the kind that the answer means.
        """
        return _json(self._authorised("DELETE", path, None, {}))

    def health(self) -> Json:
        """What Stage 4 says of itself, also when it is down."""
        return _json(self._authorised("GET", f"{STAGE4}/health", None, {}, 503))

    def rows(self, path: str, key: str, limit: int, **parameters: Any) -> Iterator[Json]:
        """Read up to `limit` rows of a list of Stage 4, page by page.

        Args:
            path: of the list.
            key: of the rows in a page.
            limit: most rows.
            parameters: of the request; None is left out.
        """
        cursor = None
        while limit > 0:
            page = self.get(path, limit=min(limit, MOST_ROWS), cursor=cursor, **parameters)
            yield from page[key][:limit]
            limit -= len(page[key])
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _authorised(
        self, method: str, path: str, body: Json | None, parameters: Mapping[str, Any], *also: int
    ) -> httpx.Response:
        """Send a request with the token; its answer is a success, or of a status in `also`."""
        fresh = self._token is None
        answer = self._send(method, path, body, parameters, self.token())
        if answer.status_code == httpx.codes.UNAUTHORIZED and self._login.user and not fresh:
            self._token = None  # it has run out while a job was watched
            answer = self._send(method, path, body, parameters, self.token())
        return self._accepted(answer, *also)

    def _accepted(self, answer: httpx.Response, *also: int) -> httpx.Response:
        if answer.is_success or answer.status_code in also:
            return answer
        raise refusal(answer, with_token=self._login.token is not None)

    def _send(
        self,
        method: str,
        path: str,
        body: Json | None,
        parameters: Mapping[str, Any],
        token: str | None = None,
    ) -> httpx.Response:
        try:
            return self._client.request(
                method,
                path,
                json=body,
                params={name: value for name, value in parameters.items() if value is not None},
                headers={"Authorization": f"Bearer {token}"} if token else {},
            )
        except httpx.TimeoutException:
            raise BusyError(f"{self._login.url} did not answer in time: try again later.") from None
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise UnreachableError(
                f"{self._login.url} cannot be reached ({error}): is Airflow's API server up, and "
                "is the address right?"
            ) from None


def named(path: str, name: str) -> str:
    """Return the path of a thing of Stage 4 by its id, which leads to no other path.

    Args:
        path: of the list that it is in.
        name: the id.

    Raises:
        MissingError: nothing can have such an id.
    """
    if not name or set(name) & set("/?#%\\ ") or name.startswith("."):
        raise MissingError(f"{name!r} is no id of a job or a cluster.")
    return f"{STAGE4}/{path}/{name}"


def document(name: str) -> str:
    """Return the path of a document by its id, which Stage 3 may have made of any signs.

    Raises:
        UsageError: a path cannot hold it.
    """
    if not name or set(name) <= {"."} or any(sign in name for sign in "\r\n\0"):
        raise UsageError(f"{name!r} is no id of a document.")
    return f"{STAGE4}/documents/{quote(name, safe='')}"


def refusal(answer: httpx.Response, *, with_token: bool) -> CommandError:
    """Tell what an answer that is no success means.

    Args:
        answer: of the server.
        with_token: whether the user came with a token of the environment.
    """
    status, words = answer.status_code, said(answer)
    where = f"{answer.request.method} {answer.request.url.path}"
    if status == httpx.codes.UNAUTHORIZED:
        advice = (
            f"the token of {TOKEN} is not valid (any more): fetch another with `stage4 token`"
            if with_token
            else "check user and password"
        )
        return DeniedError(f"Not logged in: {words} ({where}). To do: {advice}.")
    for codes, kind in _MEANINGS:
        if status in codes:
            return kind(f"{words} ({status}, {where})")
    if answer.is_redirect:
        target = answer.headers.get("location", "elsewhere")
        return UsageError(f"{where} leads to {target}: give the address that it leads to as --url.")
    if answer.is_server_error:
        return ServerError(f"The server failed: {words} ({status}, {where}). Its log says more.")
    return UsageError(f"The server refuses this: {words} ({status}, {where})")


_MEANINGS: tuple[tuple[tuple[int, ...], type[CommandError]], ...] = (
    ((403,), DeniedError),
    ((404, 410), MissingError),
    ((408, 429, 504), BusyError),
    ((502, 503), UnreachableError),
)


def said(answer: httpx.Response) -> str:
    """Return the words of a refusal: problem+json, or Airflow's own forms of `detail`."""
    try:
        content = answer.json()
    except ValueError:
        content = None
    detail = content.get("detail") if isinstance(content, dict) else None
    if isinstance(detail, str):
        advice = [f"stage4 undo {number}" for number in content.get("against") or ()]
        return "\n  - ".join([detail, *_violations(content.get("errors") or ()), *advice])
    if isinstance(detail, list):  # FastAPI's own
        return "\n  - ".join(["the request is not valid:", *_violations(detail)])
    if isinstance(detail, dict):
        return str(detail.get("message") or detail.get("reason") or detail)[:_SHOWN]
    return answer.reason_phrase or "no reason given"


def _violations(errors: Any) -> Iterator[str]:
    for error in errors:
        where = error.get("where") or ".".join(str(part) for part in error.get("loc", ()))
        yield f"{where}: {error.get('message') or error.get('msg')}"


def _json(answer: httpx.Response) -> Json:
    try:
        content = answer.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        # Airflow answers unknown paths with the page of its user interface.
        raise ServerError(
            f"{answer.request.url} answered without JSON: is this the address of Airflow, and is "
            "Stage 4's plugin installed there?"
        )
    return content
