"""The receivers of an installation, from its settings and Airflow's connections."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Protocol, Self
from urllib.parse import urlsplit

import structlog
from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from clustering_tasks.settings.deployment import DeploymentSettings
from clustering_tasks.settings.webhook_secrets import webhook_secrets
from stage4.database.deliveries import CALLBACK, Due
from stage4.events.callbacks import callback_rules
from stage4.events.guard import RefusedAddressError, Rules, check_url, port_of
from stage4.events.redis_stream import STREAM, RedisStream
from stage4.events.retrying import Outcome
from stage4.events.webhook import Webhook
from stage4.redis_link import redis_url

log = structlog.get_logger()


class Sender(Protocol):
    """What sends events to one receiver; entered by the thread that uses it."""

    name: str

    @property
    def shared(self) -> bool:
        """Whether all events go to one place, which can be away for all of them."""

    def send(self, due: Due) -> Outcome:
        """Try once."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


@dataclass(frozen=True)
class Receiver:
    """A receiver.

    Attributes:
        sender: what sends to it.
        types: patterns of the types of events that it gets, for example `clustering.job.*`.
    """

    sender: Sender
    types: Sequence[str] = ("*",)

    @property
    def name(self) -> str:
        """Id of its Airflow connection, or `callback`."""
        return self.sender.name

    def wants(self, kind: str) -> bool:
        """Whether it gets events of a type."""
        return any(fnmatchcase(kind, pattern) for pattern in self.types)


class ReceiverError(ValueError):
    """A receiver that cannot be used; the message says what to mend."""


def names_of(receivers: Iterable[Receiver], kind: str, callback_url: str | None) -> list[str]:
    """Name the receivers of an event.

    Args:
        receivers: of the installation.
        kind: type of the event.
        callback_url: of its job; None: it has none.
    """
    return [
        each.name
        for each in receivers
        if each.wants(kind) and (each.name != CALLBACK or callback_url is not None)
    ]


def receivers(where: DeploymentSettings) -> list[Receiver]:
    """Read the receivers; one that cannot be used is logged, and its events wait."""
    found = []
    for conn_id in where.event_receivers:
        try:
            found.append(_receiver(conn_id, BaseHook.get_connection))
        except ReceiverError as error:
            log.error("an event receiver cannot be used", receiver=conn_id, why=str(error))  # noqa: TRY400
            found.append(Receiver(_Misconfigured(conn_id, str(error))))
    if where.callbacks:
        found.append(_callback(where))
    return found


def unusable(where: DeploymentSettings, connection_of: Callable[[str], Any]) -> list[str]:
    """Name the receivers that cannot be used, each with what to mend.

    Args:
        where: names the receivers.
        connection_of: finds an Airflow connection.
    """
    wrong = []
    for conn_id in where.event_receivers:
        try:
            _receiver(conn_id, connection_of)
        except ReceiverError as error:
            wrong.append(f"{conn_id}: {error}")
    return wrong


@dataclass
class _Misconfigured:
    """Stands for a receiver until its connection is mended: its events wait."""

    name: str
    why: str
    shared: bool = True

    def send(self, due: Due) -> Outcome:  # noqa: ARG002 - as every sender
        return Outcome("away", self.why)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


def _receiver(conn_id: str, connection_of: Callable[[str], Any]) -> Receiver:
    try:
        connection = connection_of(conn_id)
    except AirflowNotFoundException:
        raise ReceiverError(
            f"Airflow has no connection of this name: define it, for example by "
            f"AIRFLOW_CONN_{conn_id.upper()}, or take it out of STAGE4_EVENT_RECEIVERS"
        ) from None
    extra = connection.extra_dejson
    types = extra.get("types", ["*"])
    if not isinstance(types, list) or not all(isinstance(each, str) for each in types):
        raise ReceiverError("`types` of the connection's extra is no list of texts")
    if connection.conn_type == "redis":
        return Receiver(
            RedisStream(conn_id, redis_url(connection), str(extra.get("stream", STREAM))), types
        )
    if connection.conn_type == "http":
        return Receiver(_webhook(connection, extra), types)
    raise ReceiverError(f"type {connection.conn_type!r} is neither `http` nor `redis`")


def _webhook(connection: Connection, extra: dict[str, Any]) -> Webhook:
    url = _url(connection, extra)
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    rules = Rules([f"{host}:{port_of(parts)}"], private=True)
    try:
        check_url(url, rules)
    except RefusedAddressError as error:
        raise ReceiverError(f"the connection's host: {error}") from None
    token = extra.get("token")
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return Webhook(connection.conn_id, rules, secrets_of(connection.password), url, headers)


def _url(connection: Connection, extra: dict[str, Any]) -> str:
    """The address of a webhook: the host is all of it, or its parts are apart."""
    host = connection.host or ""
    if "://" in host:
        return host
    port = f":{connection.port}" if connection.port else ""
    path = str(extra.get("path", "/"))
    return f"{connection.schema or 'https'}://{host}{port}{path}"


def _callback(where: DeploymentSettings) -> Receiver:
    secret = where.callback_secret.get_secret_value() if where.callback_secret else ""
    return Receiver(Webhook(CALLBACK, callback_rules(where), webhook_secrets(secret)))


def secrets_of(text: str | None) -> list[str]:
    """Split the secrets of a connection's password.

    Raises:
        ReceiverError: there is none, or one is no secret.
    """
    try:
        return webhook_secrets(text or "")
    except ValueError as error:
        raise ReceiverError(f"the connection's password: {error}") from None
