"""Publishing an event to a stream of NATS JetStream."""

import asyncio
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from nats.aio.client import Client
from nats.errors import (
    Error,
    MaxPayloadError,
    NoServersError,
    SecureConnWantedError,
)
from nats.js.api import Header, StreamConfig
from nats.js.errors import APIError, NoStreamResponseError
from typing_extensions import override

from stage4.database.deliveries import Due
from stage4.events.cloud_event import MEDIA_TYPE, body
from stage4.events.retrying import Outcome

STREAM = "stage4-clustering-events"
PREFIX = "stage4"  # of subjects: an event's is `stage4.clustering.job.completed`
LONGEST = 10_000  # messages of a stream that is created here: older ones are dropped (EV-1)
DUPLICATES_SECONDS = 86_400  # in which it knows an event again: JetStream's own 120 are short
ANSWER_SECONDS = 5.0
STREAM_NAME = re.compile(r"[A-Za-z0-9_-]+")
SUBJECT = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_EVENTS = "clustering.>"
_TOO_LARGE = 10054  # JetStream's number: longer than the stream's `max_msg_size`


@dataclass
class NatsStream:
    """One stream that events are published to, each acknowledged before the next is sent.

    A message is a CloudEvent in structured mode. JetStream drops one whose `Nats-Msg-Id` it has
    seen within the stream's duplicate window.

    Attributes:
        name: of the receiver.
        servers: of one NATS, as URLs without credentials.
        login: of the user; None: the password is a token.
        password: None: the server asks for none.
        stream: that takes the events: they are not published into another one.
        prefix: of the subjects, before the event's type.
        create: whether to make a stream that is missing.
        tls: without it only what the server asks for is encrypted.
    """

    name: str
    servers: Sequence[str]
    login: str | None = None
    password: str | None = field(default=None, repr=False)
    stream: str = STREAM
    prefix: str = PREFIX
    create: bool = False
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    shared: bool = field(default=True, init=False)
    _client: "_Client | None" = field(default=None, init=False, repr=False)
    _runner: asyncio.Runner = field(default_factory=asyncio.Runner, init=False, repr=False)

    def __enter__(self) -> Self:
        self._runner.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._disconnect())
        self._runner.close()

    def send(self, due: Due) -> Outcome:
        """Publish an event once; a failure is an outcome, never an exception."""
        return self._runner.run(self._send(due))

    async def _send(self, due: Due) -> Outcome:
        outcome = await self._outcome(due)
        if outcome.how == "away":
            await self._disconnect()
        return outcome

    async def _outcome(self, due: Due) -> Outcome:
        subject, content = f"{self.prefix}.{due.type}", body(due)
        if not SUBJECT.fullmatch(subject):
            return Outcome("refused", "the event's type is no subject")
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._publish(subject, content, due.event_id)
        except MaxPayloadError:
            return Outcome("refused", f"{len(content)} bytes are above the server's max_payload")
        except NoStreamResponseError:
            return Outcome("away", self._how_to_create(subject))
        except APIError as error:
            said = f"JetStream: {error.description} ({error.err_code})"
            return Outcome("refused" if error.err_code == _TOO_LARGE else "away", said)
        except (Error, OSError) as error:
            return Outcome("away", self._why(error))
        except (ValueError, TypeError, KeyError):  # of nats-py, which takes the answer for granted
            return Outcome("away", "something else than JetStream has answered")
        return Outcome("taken")

    async def _publish(self, subject: str, content: bytes, event_id: str) -> None:
        if self._client is None:
            self._client = _Client(self.tls)
            await self._client.open(self.servers, self.login, self.password)
        stream = self._client.jetstream(timeout=ANSWER_SECONDS)
        headers = {"Content-Type": MEDIA_TYPE, Header.MSG_ID: event_id}
        try:
            await stream.publish(subject, content, stream=self.stream, headers=headers)
        except NoStreamResponseError:
            if not self.create:
                raise
            await stream.add_stream(self._config())
            await stream.publish(subject, content, stream=self.stream, headers=headers)

    def _config(self) -> StreamConfig:
        return StreamConfig(
            name=self.stream,
            subjects=[f"{self.prefix}.{_EVENTS}"],
            max_msgs=LONGEST,
            duplicate_window=DUPLICATES_SECONDS,
        )

    def _how_to_create(self, subject: str) -> str:
        return (
            f"no stream of JetStream takes {subject}: create {self.stream!r} with the subjects "
            f"'{self.prefix}.{_EVENTS}', or set `create` in the connection's extra"
        )

    def _why(self, error: Exception) -> str:
        """Name the cause: the server's words, where there are any, or the kind of error."""
        if isinstance(error, (TimeoutError, NoServersError)) and self._client is not None:
            error = self._client.last_failure or error
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"no TLS: {error.verify_message}"
        if isinstance(error, Error) and not isinstance(error, TimeoutError):
            return str(error).removeprefix("nats: ")
        return f"no answer: {type(error).__name__}"

    async def _disconnect(self) -> None:
        if self._client is not None:
            await self._client.shut()
            self._client = None


class _Client(Client):
    """A connection that is tried once, and sends nothing in clear where TLS is set up.

    Attributes:
        last_failure: what a server has said or done, which nats-py only logs.
    """

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        super().__init__()
        self.last_failure: Exception | None = None
        self._tls = tls

    async def open(self, servers: Sequence[str], login: str | None, password: str | None) -> None:
        """Connect to the first server that answers; without a login the password is a token."""
        await self.connect(
            [*servers],
            error_cb=self._note,
            name="stage4",
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            tls=self._tls,
            user=login,
            password=(password or "") if login else None,
            token=None if login else password,
        )

    async def shut(self) -> None:
        """Close the connection, without waiting for a server that is gone."""
        try:
            async with asyncio.timeout(1):
                await self.close()
        except (Error, OSError):
            return

    async def _note(self, error: Exception) -> None:
        self.last_failure = error

    @override
    def _connect_command(self) -> bytes:
        # nats-py follows the server's announcement, which is not encrypted yet: whoever stands
        # between could take TLS out of it, and be given the password.
        if self._tls is not None and not self._server_info.get("tls_required"):
            raise SecureConnWantedError
        return super()._connect_command()
