"""A database that vanishes without a word: its host is lost, or a firewall forgets it."""

import json
import threading
from collections.abc import Iterator

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from stage4.database.connection import database
from stage4.database.direct import PATIENCE
from tests.e2e.chaos.proxy import FaultProxy, can_be_silent
from tests.integration.conftest import CONNECTION_VARIABLE, Results

SOON = {
    "keepalives_idle": 1,
    "keepalives_interval": 1,
    "keepalives_count": 2,
    "tcp_user_timeout": 3000,
}


@pytest.fixture
def proxy(results: Results, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """What stands between the results database and Airflow's connection to it."""
    proxy = FaultProxy(str(results.server.postgres.socket / ".s.PGSQL.5432"))
    connection = results.server.airflow_connection(results.database, results.loader)
    there = {"host": "127.0.0.1", "port": proxy.port}
    monkeypatch.setenv(CONNECTION_VARIABLE, json.dumps(connection | there))
    yield proxy
    proxy.close()


@pytest.mark.skipif(not can_be_silent(), reason="dropping packets needs root, and iptables")
def test_a_database_that_vanishes_is_noticed(
    proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stage4.database.connection.PATIENCE", PATIENCE | SOON)
    failure: list[BaseException] = []

    def ask() -> None:
        try:
            with database() as connection:
                asked.set()
                connection.execute("SELECT pg_sleep(600)")
        except AirflowException as error:
            failure.append(error)

    asked = threading.Event()
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    assert asked.wait(60)
    with proxy.silent():
        asking.join(60)
        assert not asking.is_alive(), "it waits for ever"
    assert [type(each) for each in failure] == [AirflowException]
    assert not isinstance(failure[0], AirflowFailException)


def test_patience_is_that_of_the_airflow_connection_where_it_has_its_own(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = results.server.airflow_connection(results.database, results.loader)
    own = {"extra": {"keepalives_idle": 7}}
    monkeypatch.setenv(CONNECTION_VARIABLE, json.dumps(connection | own))
    with database() as connected:
        given = connected.info.get_parameters()
    expected = PATIENCE | own["extra"]
    assert {name: int(given[name]) for name in PATIENCE} == expected
