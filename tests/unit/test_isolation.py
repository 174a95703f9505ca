import os
from pathlib import Path

import pytest

from clustering_tasks.settings.deployment import deployment
from tests.isolation import isolate


def test_nothing_of_an_installation_reaches_tests_and_benchmarks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("STAGE4_OUTPUT=/data/output\nSTAGE4_POSTGRES_CONN_ID=theirs\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STAGE4_ENV_FILE", raising=False)
    monkeypatch.setenv("STAGE4_WORKSPACE", "/data/workspace")
    monkeypatch.setenv("AIRFLOW_CONN_THEIRS", "postgres://db/theirs")
    monkeypatch.setenv("STAGE4_TEST_DATA", "/data/news")
    deployment.cache_clear()
    assert deployment().output_uri == "/data/output"
    try:
        isolate()
        deployment.cache_clear()
        assert deployment().output_uri == f"{tmp_path}/workspace/output"
        assert deployment().postgres_conn_id == "stage4_postgres"
        assert "AIRFLOW_CONN_THEIRS" not in os.environ
        assert os.environ["STAGE4_TEST_DATA"] == "/data/news"
    finally:
        deployment.cache_clear()


def test_airflow_is_imported_with_a_home_of_this_process() -> None:
    from airflow.configuration import AIRFLOW_HOME

    assert os.environ["AIRFLOW_HOME"] == AIRFLOW_HOME
    assert f"stage4-airflow-{os.getpid()}-" in AIRFLOW_HOME


def test_who_writes_to_airflow_waits_for_other_writers() -> None:
    from airflow import settings
    from sqlalchemy import text

    assert settings.Session is not None
    with settings.Session() as session:
        assert session.execute(text("PRAGMA busy_timeout")).scalar() == 60_000
