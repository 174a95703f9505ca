"""Receivers that are set up wrongly: each is told by name, and none takes the others along."""

import json
from typing import Any

import pytest
from airflow.models.connection import Connection  # noqa: TID251 - as the API server has it
from airflow.sdk import Connection as TaskConnection

from clustering_tasks.settings.deployment import deployment
from stage4.events.receivers import receivers, unusable
from tests.events_out import SECRET, due

HOOK: dict[str, Any] = {"conn_type": "http", "host": "hooks.example.org", "password": SECRET}
REDIS: dict[str, Any] = {"conn_type": "redis", "host": "redis.example.org"}
NATS: dict[str, Any] = {"conn_type": "nats", "host": "nats.example.org"}

WRONG = {
    "brackets": (HOOK | {"host": "https://[::1"}, "host: not a URL"),
    "a port in the host": (HOOK | {"host": "hooks.example.org:many"}, "host: not a URL"),
    "a port above all": (HOOK | {"host": "https://hooks.example.org:99999/"}, "host: not a URL"),
    "another scheme": (HOOK | {"host": "ftp://hooks.example.org"}, "http or https"),
    "a password in the host": (HOOK | {"host": "https://u:s3cret@h.example.org"}, "a user"),
    "port": (HOOK | {"port": 99999}, "port"),
    "token of lines": (HOOK | {"extra": {"token": "s3cret\nx"}}, "`token`"),
    "token of letters": (HOOK | {"extra": {"token": "s3crét"}}, "`token`"),
    "token of another type": (HOOK | {"extra": {"token": ["s3cret"]}}, "`token`"),
    "types": (HOOK | {"extra": {"types": "clustering.*"}}, "`types`"),
    "extra": (HOOK | {"extra": ["s3cret"]}, "no JSON object"),
    "Redis without a host": ({"conn_type": "redis"}, "host"),
    "Redis by a URL": (REDIS | {"host": "redis://u:s3cret@h"}, "host"),
    "Redis by a wrong port": (REDIS | {"port": 99999}, "port"),
    "Redis by a name of a database": (REDIS | {"schema": "s3cret"}, "number of a database"),
    "Redis by `db`": (REDIS | {"extra": {"db": "one"}}, "number of a database"),
    "NATS by a wrong port": (NATS | {"port": -1}, "port"),
    "a number for a file": (NATS | {"extra": {"ssl": True, "ssl_ca_certs": 5}}, "ssl_ca_certs"),
    "a file that no system has": (
        NATS | {"extra": {"ssl": True, "ssl_certfile": "a\0b"}},
        "ssl_certfile",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_one_that_is_wrong_is_told_and_the_others_are_there(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong, said = WRONG[case]
    found = {
        name: TaskConnection(conn_id=name, **each | {"extra": json.dumps(each.get("extra", {}))})
        for name, each in {"good": HOOK, "wrong": wrong}.items()
    }
    monkeypatch.setenv("STAGE4_EVENT_RECEIVERS", "wrong,good")
    deployment.cache_clear()
    (told,) = unusable(deployment(), found.__getitem__)
    assert told.startswith("wrong: ")
    assert said in told
    assert "s3c" not in told
    monkeypatch.setattr("stage4.events.receivers.BaseHook.get_connection", found.__getitem__)
    first, second = (each.sender for each in receivers(deployment()))
    with first:
        assert first.send(due()).how == "away"
    assert (first.name, second.name) == ("wrong", "good")
    deployment.cache_clear()


@pytest.mark.parametrize(
    "good",
    [
        HOOK | {"host": "::1", "port": 8080},
        HOOK | {"host": "https://[2001:db8::1]:8443/x"},
        HOOK | {"extra": {"token": "a.b-c_d"}},
        REDIS | {"host": "::1"},
        REDIS | {"extra": {"db": None}},
        REDIS | {"schema": "3"},
        NATS | {"host": "a,b,2001:db8::1"},
    ],
)
def test_what_can_be_used(good: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    connection = Connection(conn_id="good", **good | {"extra": json.dumps(good.get("extra", {}))})
    monkeypatch.setenv("STAGE4_EVENT_RECEIVERS", "good")
    deployment.cache_clear()
    assert unusable(deployment(), lambda _: connection) == []
    deployment.cache_clear()
