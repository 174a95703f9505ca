"""The receivers of an installation, from its settings and Airflow's connections."""

import re
import ssl
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Protocol, Self
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
from stage4.redis_link import HOST, RedisAddressError, redis_url

if TYPE_CHECKING:  # it imports nats-py, which imports aiohttp: 0.3 s for those without NATS
    from stage4.events.nats_stream import NatsStream

_VISIBLE = re.compile(r"[!-~]([ -~]*[!-~])?")  # a header's value may have blanks inside

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
            f"Airflow has no connection of this name, or cannot read it: define it, for example by "
            f"AIRFLOW_CONN_{conn_id.upper()}, or take it out of STAGE4_EVENT_RECEIVERS"
        ) from None
    if connection.port is not None and not 0 <= connection.port < 1 << 16:
        raise ReceiverError("the connection's port is none: it is a number up to 65535")
    extra = _extra(connection)
    types = extra.get("types", ["*"])
    if not isinstance(types, list) or not all(isinstance(each, str) for each in types):
        raise ReceiverError("`types` of the connection's extra is no list of texts")
    if connection.conn_type == "redis":
        return Receiver(_redis(connection, extra), types)
    if connection.conn_type == "http":
        return Receiver(_webhook(connection, extra), types)
    if connection.conn_type == "nats":
        return Receiver(_nats(connection, extra), types)
    raise ReceiverError(f"type {connection.conn_type!r} is none of `http`, `nats`, `redis`")


def _extra(connection: Connection) -> dict[str, Any]:
    """Read the extra, which may be any JSON where Airflow keeps it as a text."""
    extra: object = connection.extra_dejson
    if not isinstance(extra, dict):
        raise ReceiverError("the connection's extra is no JSON object")
    return extra


def _redis(connection: Connection, extra: dict[str, Any]) -> RedisStream:
    try:
        url = redis_url(connection)
    except RedisAddressError as error:
        raise ReceiverError(f"the connection: {error}") from None
    return RedisStream(connection.conn_id, url, str(extra.get("stream", STREAM)))


def _webhook(connection: Connection, extra: dict[str, Any]) -> Webhook:
    url = _url(connection, extra)
    try:
        parts = urlsplit(url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        rules = Rules([f"{host}:{port_of(parts)}"], private=True)
        check_url(url, rules)
    except RefusedAddressError as error:
        raise ReceiverError(f"the connection's host: {error}") from None
    except ValueError:  # brackets without an address, a port that is none
        raise ReceiverError("the connection's host: not a URL") from None
    token = extra.get("token")
    if token and not (isinstance(token, str) and _VISIBLE.fullmatch(token)):
        raise ReceiverError("`token` of the connection's extra is no text of visible ASCII letters")
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return Webhook(connection.conn_id, rules, secrets_of(connection.password), url, headers)


def _url(connection: Connection, extra: dict[str, Any]) -> str:
    """The address of a webhook: the host is all of it, or its parts are apart."""
    host = connection.host or ""
    if "://" in host:
        return host
    host = f"[{host}]" if ":" in host and HOST.fullmatch(host) else host
    port = f":{connection.port}" if connection.port else ""
    path = str(extra.get("path", "/"))
    return f"{connection.schema or 'https'}://{host}{port}{path}"


def _nats(connection: Connection, extra: dict[str, Any]) -> "NatsStream":
    from stage4.events import nats_stream

    stream = str(extra.get("stream", nats_stream.STREAM))
    prefix = str(extra.get("prefix", nats_stream.PREFIX))
    if not nats_stream.STREAM_NAME.fullmatch(stream):
        raise ReceiverError(
            "`stream` of the connection's extra has other signs than A-Z a-z 0-9 _ -"
        )
    if not nats_stream.SUBJECT.fullmatch(prefix):
        raise ReceiverError("`prefix` of the connection's extra is no subject, as `news.stage4` is")
    create, encrypted = extra.get("create", False), extra.get("ssl", False)
    if not isinstance(create, bool) or not isinstance(encrypted, bool):
        raise ReceiverError("`create` or `ssl` of the connection's extra is neither true nor false")
    return nats_stream.NatsStream(
        connection.conn_id,
        _servers(connection),
        connection.login or None,
        connection.password or None,
        stream=stream,
        prefix=prefix,
        create=create,
        tls=_tls(extra) if encrypted else None,
    )


def _servers(connection: Connection) -> list[str]:
    """The addresses of the hosts, which a comma separates, on one port."""
    hosts = (connection.host or "").split(",")
    if not all(HOST.fullmatch(host) for host in hosts):
        raise ReceiverError("the connection's host is no name or address, or several with commas")
    bracketed = (f"[{host}]" if ":" in host else host for host in hosts)
    return [f"nats://{host}:{connection.port or 4222}" for host in bracketed]


def _tls(extra: dict[str, Any]) -> ssl.SSLContext:
    """Trust the authorities of the system or of a file; show a certificate where one is named."""
    try:
        context = ssl.create_default_context(cafile=extra.get("ssl_ca_certs"))
        if certificate := extra.get("ssl_certfile"):
            context.load_cert_chain(certificate, extra.get("ssl_keyfile"), password="")
    except (OSError, TypeError, ValueError) as error:
        raise ReceiverError(
            "a file of `ssl_ca_certs`, `ssl_certfile` or `ssl_keyfile` of the connection's extra "
            f"cannot be used: {error}"
        ) from None
    return context


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
