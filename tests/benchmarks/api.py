"""The REST API on a real Airflow API server, over a store of a million members, asked by locust.

    python -m tests.benchmarks.store 1000000 --scratch DIR
    python -m tests.benchmarks.api --scratch DIR

measures with and without Redis (if `redis-server` is installed) what `--users` users get who wait a
second between their requests, and then the throughput of users who do not wait.
"""

import argparse
import csv
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row

from local.postgres import AIRFLOW, RESULTS, Postgres
from stage4.database import schema
from tests.benchmarks.history import Figure, add, new_entry
from tests.benchmarks.store import store
from tests.integration.api.redis_server import PROGRAM, running
from tests.isolation import isolate

ROOT = Path(__file__).parents[2]
PREFIX = "/stage4/api/v1/"
_WARM_UP_SECONDS = 10
_BUSY_USERS = 8
_KNOWN = 2000  # ids of each kind that users ask for
_PERCENTILES = ("50%", "95%", "99%")
_START_SECONDS = 120
_STATUSES = {"empty route": 404}


def main() -> None:
    """Measure, and add the figures to the history."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=60)
    given = parser.parse_args()
    isolate()
    average = os.getloadavg()[0]
    with store(given.scratch) as connection, tempfile.TemporaryDirectory() as folder:
        facts = known(connection)
        figures: dict[str, Figure] = {}
        for name in ("postgres", "redis") if PROGRAM else ("postgres",):
            with redis(name, Path(folder)) as own, server(given.scratch, own) as (url, token):
                asked = facts | {"token": token, "statuses": _STATUSES}
                # The first requests open connections and fill caches.
                measured(url, asked | {"think_seconds": 1.0}, given.users, _WARM_UP_SECONDS)
                thinking = measured(url, asked | {"think_seconds": 1.0}, given.users, given.seconds)
                figures |= {f"{name}/{path}": value for path, value in thinking.items()}
                for kind, tasks in (("all", None), ("empty", ["empty"])):
                    busy = asked | {"think_seconds": 0.0, "tasks": tasks}
                    found = measured(url, busy, _BUSY_USERS, given.seconds)
                    figures[f"{name}/saturated/{kind}_per_second"] = found["requests_per_second"]
    names = {f"api/{facts['members']}/{path}": value for path, value in figures.items()}
    add(new_entry(names, average))


def known(connection: psycopg.Connection[Any]) -> dict[str, Any]:
    """Draw from the published run what users ask for."""
    with connection.cursor(row_factory=dict_row) as cursor:
        run: dict[str, Any] = cursor.execute(
            "SELECT level, load_id, read AS members FROM stage4.current_runs"
            " ORDER BY read DESC LIMIT 1"
        ).fetchall()[0]
        members, clusters = (schema.partition(p, run["load_id"]) for p in ("members", "clusters"))

        def drawn(statement: str, table: Any) -> list[Any]:
            composed = psycopg.sql.SQL(statement).format(table, _KNOWN)
            return [next(iter(row.values())) for row in cursor.execute(composed)]

        return run | {
            "clusters": drawn("SELECT cluster_id FROM {} ORDER BY random() LIMIT {}", clusters),
            "words": drawn(
                "SELECT keywords->>0 FROM {} WHERE keywords <> '[]' ORDER BY random() LIMIT {}",
                clusters,
            ),
            "items": drawn("SELECT source_id FROM {} ORDER BY random() LIMIT {}", members),
            "documents": drawn(
                "SELECT document_id FROM {} WHERE document_id <> '' ORDER BY random() LIMIT {}",
                members,
            ),
            "dimension": drawn("SELECT vector_dims(centroid) FROM {} LIMIT {}", clusters)[0],
        }


@contextmanager
def redis(name: str, folder: Path) -> Iterator[dict[str, str]]:
    """The settings of a Redis that runs until the block ends; none for `postgres`."""
    with running(folder) if name == "redis" else nullcontext() as found:
        if found is None:
            yield {}
        else:
            yield {
                "AIRFLOW_CONN_CACHE": found.airflow_connection,
                "STAGE4_REDIS_CONN_ID": "cache",
            }


@contextmanager
def server(scratch: Path, own: dict[str, str]) -> Iterator[tuple[str, str]]:
    """An API server of Airflow, one process, its database in the same PostgreSQL as the runs."""
    postgres = Postgres(scratch / "postgres")
    home = scratch / "api-server"
    home.mkdir(exist_ok=True)
    port, password = free_port(), secrets.token_hex(16)
    (home / "passwords.json").write_text(json.dumps({"reader": password}))
    settings = {
        "AIRFLOW_HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "reader:viewer",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgres.url(AIRFLOW, "postgresql+psycopg"),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW_CONN_STAGE4_POSTGRES": json.dumps(postgres.connection(RESULTS)),
        "STAGE4_API_REQUESTS_PER_MINUTE": "10000000",
    }
    environment = os.environ | settings | own
    airflow = str(Path(sys.executable).with_name("airflow"))
    subprocess.run([airflow, "db", "migrate"], env=environment, check=True, capture_output=True)
    command = [airflow, "api-server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with (home / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            yield f"{url}{PREFIX}", login(url, password)
        finally:
            process.terminate()
            process.wait()


def login(url: str, password: str) -> str:
    """Wait for the server, and fetch a token."""
    deadline = time.monotonic() + _START_SECONDS
    body = {"username": "reader", "password": password}
    while time.monotonic() < deadline:
        try:
            answer = httpx.post(f"{url}/auth/token", json=body, trust_env=False)
        except httpx.TransportError:
            time.sleep(0.5)
        else:
            token: str = answer.raise_for_status().json()["access_token"]
            return token
    raise TimeoutError(f"the API server has not answered in {_START_SECONDS} s")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def measured(url: str, asked: dict[str, Any], users: int, seconds: int) -> dict[str, Figure]:
    """Let users ask for some time; the figures by kind of request.

    Raises:
        ValueError: an answer was not as it should be.
    """
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "given.json"
        given.write_text(json.dumps(asked))
        subprocess.run(
            [
                *(
                    sys.executable,
                    "-m",
                    "locust",
                    "-f",
                    str(ROOT / "tests/benchmarks/api_users.py"),
                ),
                *("--headless", "--users", str(users), "--spawn-rate", "10"),
                *("--run-time", f"{seconds}s", "--host", url, "--csv", f"{folder}/found"),
                *("--reset-stats", "--only-summary", "--exit-code-on-error", "0"),
            ],
            env=os.environ | {"API_USERS": str(given)},
            check=True,
            capture_output=True,
        )
        with Path(f"{folder}/found_stats.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    if failed := [row["Name"] for row in rows if int(row["Failure Count"])]:
        raise ValueError(f"requests failed: {failed}")
    figures: dict[str, Figure] = {}
    for row in rows:
        if row["Name"] == "Aggregated":
            # each request is counted twice, the second time for the endpoint's own time
            figures["requests_per_second"] = float(row["Requests/s"]) / 2
            continue
        for percentile in _PERCENTILES:
            name = f"{row['Name']}/p{percentile.rstrip('%')}_ms"
            figures[name] = float(row[percentile])
    return figures


if __name__ == "__main__":
    main()
