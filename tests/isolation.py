"""Tests and benchmarks keep away from an installation that the caller's shell is set up for."""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

# What says how to test, and leads to nobody's results.
KEPT = frozenset(
    {
        *("STAGE4_TEST_DATA", "STAGE4_TEST_PICTURES", "STAGE4_TILES"),
        *("STAGE4_RUNNER", "STAGE4_IMAGE"),
        *("STAGE4_DOCKER_URL", "STAGE4_DOCKER_NETWORK", "STAGE4_CONTAINER_USER"),
    }
)


def isolate() -> None:
    """Remove settings and connections of an installation from this process's environment.

    Neither `.env` counts: STAGE4_WORKSPACE, STAGE4_OUTPUT or a connection would lead a test to the
    results of a user, and its deletions too.
    """
    for name in list(os.environ):
        ours = name.startswith("STAGE4_") and name not in KEPT
        if ours or name.startswith(("AIRFLOW_CONN_", "AIRFLOW_VAR_")):
            del os.environ[name]
    os.environ["STAGE4_ENV_FILE"] = os.devnull


def own_airflow_home() -> None:
    """Give this process an `AIRFLOW_HOME` that is removed at its end.

    Importing Airflow reads it once, writes its configuration there and opens its database. So this
    comes before all imports: else tests use the caller's own Airflow, and the processes of a suite
    delete each other's DAG runs in it. SQLite lets a writer wait for 5 s unless told, which is too
    short for four that write at once to a slow disk.
    """
    mark = f"stage4-airflow-{os.getpid()}-"
    if mark in os.environ.get("AIRFLOW_HOME", ""):
        return  # a second reading of a conftest.py would lead to an empty database
    assert "airflow" not in sys.modules, "something imported Airflow before its home was named"
    home = Path(tempfile.mkdtemp(prefix=mark))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    database = f"[database]\nsql_alchemy_conn = sqlite:///{home}/airflow.db?timeout=60\n"
    (home / "airflow.cfg").write_text(database)
    os.environ["AIRFLOW_HOME"] = str(home)
