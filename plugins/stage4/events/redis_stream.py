"""Appending an event to a stream of Redis."""

import ssl
from dataclasses import dataclass, field
from typing import Any, Self

import redis

from stage4.database.deliveries import Due
from stage4.events.cloud_event import body
from stage4.events.retrying import Outcome

STREAM = "stage4:clustering:events"
LONGEST = 10_000  # entries, about: older ones are dropped (EV-1)
ANSWER_SECONDS = 5.0
_NAMESPACE = "clustering."


@dataclass
class RedisStream:
    """One Redis that events are appended in.

    Attributes:
        name: of the receiver.
        url: redis-py's.
        stream: key of the stream.
    """

    name: str
    url: str = field(repr=False)
    stream: str = STREAM
    shared: bool = field(default=True, init=False)
    _client: "redis.Redis | None" = field(default=None, init=False, repr=False)

    def __enter__(self) -> Self:
        self._client = redis.Redis.from_url(
            self.url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._client is not None:
            self._client.close()

    def send(self, due: Due) -> Outcome:
        """Append an event once; a failure is an outcome, never an exception."""
        assert self._client is not None  # noqa: S101 - entered
        fields: dict[Any, Any] = {
            "event": due.type.removeprefix(_NAMESPACE),
            "id": due.event_id,
            "job_id": due.job_id,
            "sequence": due.sequence,
            "cloudevent": body(due),
        }
        try:
            self._client.xadd(self.stream, fields, maxlen=LONGEST, approximate=True)
        except redis.exceptions.OutOfMemoryError:
            return Outcome("away", "no memory left")
        except redis.exceptions.ResponseError as error:  # WRONGTYPE, NOPERM and their like
            return Outcome("failed", type(error).__name__)
        except (redis.exceptions.RedisError, OSError) as error:
            return Outcome("away", _why(error))
        return Outcome("taken")


def _why(error: Exception) -> str:
    """Name the cause by its kind; its text may hold what the server was told."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"no TLS: {cause.verify_message}"
    return f"no answer: {type(cause if isinstance(cause, OSError) else error).__name__}"
