"""Sending an event to a webhook."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Self

import httpx

from stage4.database.deliveries import Due
from stage4.events.cloud_event import body, signed_headers
from stage4.events.guard import RefusedAddressError, Rules, Target, resolve
from stage4.events.retrying import Outcome

ANSWER_SECONDS = 15.0  # for all of an attempt: a dripping answer ends it, too
_LONGEST_ANSWER = 65_536
# The receiver, or what stands in front of it, takes no event at all: it is busy, or does not accept
# secret or token. An event is not to be given up because a secret was mended an hour later.
_AWAY = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
_PASSING = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY})


@dataclass
class Webhook:
    """One address that events are posted to, or the addresses that runs name themselves.

    Connections are kept open between the events of one address only. Proxies of the environment
    are not used: they would resolve the name again.

    Attributes:
        name: of the receiver.
        rules: which addresses are allowed.
        secrets: that sign.
        url: None: that of each event's job.
        headers: of every request.
    """

    name: str
    rules: Rules
    secrets: Sequence[str] = field(repr=False)
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    _client: httpx.AsyncClient | None = field(default=None, init=False, repr=False)
    _runner: asyncio.Runner = field(default_factory=asyncio.Runner, init=False, repr=False)

    @property
    def shared(self) -> bool:
        """Whether all events go to one place, which can be away for all of them."""
        return self.url is not None

    def __enter__(self) -> Self:
        self._runner.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self._client is not None:
            self._runner.run(self._client.aclose())
        self._runner.close()

    def send(self, due: Due) -> Outcome:
        """Post an event once; a failure is an outcome, never an exception."""
        return self._runner.run(self._send(due))

    async def _send(self, due: Due) -> Outcome:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                target = await resolve(self.url or due.callback_url or "", self.rules)
                return await self._post(target, due)
        except RefusedAddressError as error:
            return Outcome("refused", str(error))
        except TimeoutError:
            return Outcome("away", f"no answer in {ANSWER_SECONDS:g} s")
        # Their words may quote the address, of which a part may be secret.
        except (httpx.HTTPError, OSError) as error:
            return Outcome("away", f"no answer: {type(error).__name__}")

    async def _post(self, target: Target, due: Due) -> Outcome:
        if self.shared:
            self._client = self._client or _new_client()
            return await self._post_by(self._client, target, due)
        async with _new_client() as client:
            return await self._post_by(client, target, due)

    async def _post_by(self, client: httpx.AsyncClient, target: Target, due: Due) -> Outcome:
        content = body(due)
        headers = {"host": target.host_header, **self.headers}
        request = client.build_request(
            "POST",
            target.pinned_url,
            content=content,
            headers=headers | signed_headers(due, content, self.secrets, datetime.now(UTC)),
            extensions={"sni_hostname": target.host},
        )
        answer = await client.send(request, stream=True)
        try:
            return await _outcome(answer)
        finally:
            await answer.aclose()


def _new_client() -> httpx.AsyncClient:
    return httpx.AsyncClient(
        follow_redirects=False, trust_env=False, timeout=httpx.Timeout(ANSWER_SECONDS)
    )


async def _outcome(answer: httpx.Response) -> Outcome:
    read = 0
    async for chunk in answer.aiter_raw():  # a connection is kept where the answer was read
        read += len(chunk)
        if read > _LONGEST_ANSWER:
            break
    return outcome_of(answer.status_code, answer.headers.get("retry-after"))


def outcome_of(status: int, retry_after: str | None = None) -> Outcome:
    """Judge a status: 2xx takes the event, 3xx and most of 4xx refuse it.

    Args:
        status: of the answer.
        retry_after: its header, read where it is a number of seconds.
    """
    asked = None
    if retry_after is not None and retry_after.isascii() and retry_after.isdigit():
        asked = timedelta(seconds=min(int(retry_after[:9]), 86_400))
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Outcome("taken")
    if status in _AWAY:
        return Outcome("away", f"status {status}", asked)
    if status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Outcome("failed", f"status {status}", asked)
    return Outcome("refused", f"status {status}")
