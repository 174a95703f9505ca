"""The environment of the local Airflow's processes."""

from pathlib import Path

import pytest

from local.configuration import Options, environment
from local.errors import LocalError
from local.postgres import Postgres
from local.state import State


def json_logs(folder: Path, *, isolated: bool = False) -> str:
    state = State.open(folder / "state")
    made = environment(state, Postgres(folder), Options(folder=folder, isolated=isolated))
    return made["AIRFLOW__LOGGING__JSON_LOGS"]


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STAGE4_JSON_LOGS", raising=False)


def test_airflows_services_write_json_where_the_installation_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert json_logs(tmp_path) == "false"
    (tmp_path / ".env").write_text("STAGE4_JSON_LOGS=true\n")
    assert json_logs(tmp_path) == "true"
    assert json_logs(tmp_path, isolated=True) == "false"
    monkeypatch.setenv("STAGE4_JSON_LOGS", "")
    assert json_logs(tmp_path) == "false"


def test_a_wrong_value_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGE4_JSON_LOGS", "perhaps")
    with pytest.raises(LocalError, match="STAGE4_JSON_LOGS='perhaps'"):
        json_logs(tmp_path)
