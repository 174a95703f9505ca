"""The optional Redis: its address, the prefix of kept answers, and what happens while it is down.

Redis is never a source of truth here. Whatever it cannot do is done without it: after a failure it
is left alone for a moment, so that a dead Redis does not cost every request its time-out.
"""

import asyncio
import re
import time
from collections.abc import Awaitable
from typing import Any
from urllib.parse import quote, urlencode

import structlog
from redis.exceptions import RedisError

REDIS_TIMEOUT_SECONDS = 0.25
PREFIX = "stage4:answer:"  # of the keys of all kept answers
_TLS_OPTIONS = (
    "ssl_cert_reqs",
    "ssl_ca_certs",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_check_hostname",
)
HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]+")  # a name or an address
_REST_SECONDS = 5.0
_LOG_SECONDS = 60.0

# What a Redis client raises, and limits' storages pass on.
REDIS_ERRORS = (RedisError, OSError, asyncio.TimeoutError)

log = structlog.get_logger()


class RedisAddressError(ValueError):
    """A connection that names no Redis; the message says what to mend, without any value."""


class Link:
    """Whether Redis may be asked now; one for everything that uses it."""

    def __init__(self) -> None:
        self._asked_again = 0.0
        self._logged_again = 0.0

    @property
    def up(self) -> bool:
        """False for a moment after a failure."""
        return time.monotonic() >= self._asked_again

    def failed(self, error: BaseException) -> None:
        """Leave Redis alone for a moment; one line of the log a minute."""
        now = time.monotonic()
        self._asked_again = now + _REST_SECONDS
        if now >= self._logged_again:
            self._logged_again = now + _LOG_SECONDS
            log.warning(
                "Redis cannot be used; the API goes on without it", error=type(error).__name__
            )

    async def try_(self, act: Awaitable[Any]) -> Any:
        """Await what Redis is asked for; None when it cannot be asked."""
        try:
            return await asyncio.wait_for(act, REDIS_TIMEOUT_SECONDS)
        except REDIS_ERRORS as error:
            self.failed(error)
            return None


def redis_url(connection: Any) -> str:
    """Write an Airflow connection of type `redis` as redis-py's URL.

    Args:
        connection: host, port, login, password, schema or `db` of the extra (the database's
            number), and of the extra `ssl` and, beside it, what Airflow's form of the type has:
            `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile`, `ssl_cert_reqs`, `ssl_check_hostname`.

    Raises:
        RedisAddressError: host, port or number are none: redis-py would fail with words of its own,
            or take the database 0.
    """
    extra = connection.extra_dejson
    scheme = "rediss" if extra.get("ssl") else "redis"
    user = quote(connection.login or "", safe="")
    password = f":{quote(connection.password, safe='')}" if connection.password else ""
    credentials = f"{user}{password}@" if user or password else ""
    number = connection.schema or 0 if extra.get("db") in (None, "") else extra["db"]
    if not str(number).isdecimal():
        raise RedisAddressError("its schema, or `db` of its extra, is no number of a database")
    tls = {name: extra[name] for name in _TLS_OPTIONS if extra.get(name) not in (None, "")}
    options = f"?{urlencode(tls)}" if tls and extra.get("ssl") else ""
    return f"{scheme}://{credentials}{_place(connection)}/{number}{options}"


def _place(connection: Any) -> str:
    host, port = connection.host or "", connection.port or 6379
    if not HOST.fullmatch(host):
        raise RedisAddressError("its host is no name or address")
    if not 0 < port < 1 << 16:
        raise RedisAddressError("its port is none: it is a number up to 65535")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
