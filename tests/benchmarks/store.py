"""The results database with a history of runs: load by phase, sizes, the graph's recall.

    python -m tests.benchmarks.store 1000000 --days 3

loads generated runs (`tests.benchmarks.store_files`) through `stage4.database.load.load` into a
PostgreSQL of their own, whose settings are those of `make up`. `--scratch DIR` keeps files and
database there; with `--days 0` what is there is measured again.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psycopg
from psycopg.sql import SQL, Composable, Composed, Identifier

from clustering_tasks.publication.report import read_report
from local.postgres import RESULTS, Postgres
from tests.benchmarks.history import Figure, add, new_entry
from tests.benchmarks.spectrum import DIMENSION
from tests.benchmarks.store_files import write_run
from tests.isolation import isolate

CONNECTION_VARIABLE = "AIRFLOW_CONN_STAGE4_POSTGRES"
_ASKED = 200  # centroids whose neighbours are looked for
_NEIGHBOURS = 10
_RUNS = 360  # 90 days of four levels
_EF_SEARCH = (40, 100, 200)

_TABLES = """
SELECT relname, pg_table_size(oid) FROM pg_class
WHERE relname IN ('clusters_' || %(load_id)s, 'members_' || %(load_id)s)
"""
_INDEXES = """
SELECT regexp_replace(indexrelid::regclass::text, '^stage4[.]', ''), pg_relation_size(indexrelid)
FROM pg_index JOIN pg_class ON pg_class.oid = indrelid
WHERE relname IN ('clusters_' || %(load_id)s, 'members_' || %(load_id)s)
"""
_SAMPLE = """
SELECT centroid::text FROM {} ORDER BY cluster_id COLLATE "C" LIMIT {}
"""
_NEAREST = "SELECT cluster_id FROM {} ORDER BY {} <=> {} LIMIT {}"
Connection = psycopg.Connection[Any]


def main() -> None:
    """Load, measure, and add the figures to the history."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("members", type=int)
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--scratch", type=Path)
    given = parser.parse_args()
    isolate()
    with tempfile.TemporaryDirectory(prefix="stage4-store-") as temporary:
        folder = given.scratch or Path(temporary)
        folder.chmod(0o711)  # the server's user, where we are root, has to pass
        average = os.getloadavg()[0]
        with store(folder) as connection:
            figures = loaded(folder, given.members, given.days)
            figures |= measured(connection) | compared(connection) | planned(connection)
        names = {f"store/{given.members}/{name}": value for name, value in figures.items()}
        add(new_entry(names, average))


@contextmanager
def store(folder: Path) -> Iterator[Connection]:
    """A migrated results database below a folder, to which Airflow's connection leads.

    Args:
        folder: that the server's user may pass; what is in the database already stays.
    """
    os.environ.setdefault("AIRFLOW_HOME", str(folder / "airflow"))
    server = Postgres(folder / "postgres")
    started = server.pid() is None
    server.start()
    os.environ[CONNECTION_VARIABLE] = json.dumps(server.connection(RESULTS))
    from stage4.setup import migrate

    try:
        with psycopg.connect(server.url(RESULTS), autocommit=True) as connection:
            migrate(connection)
            yield connection
    finally:
        if started:
            server.stop()


def loaded(folder: Path, members: int, days: int) -> dict[str, Figure]:
    """Load and publish the runs of some days; the figures are the medians over them."""
    from stage4.database.load import load_run
    from stage4.database.pointer import locked_pointer

    seconds: dict[str, list[float]] = {}
    for day in range(days):
        label = write_run(folder / "files", members, day)
        report = read_report(label["files"]["report"])
        done = load_run(label["files"], report)
        with locked_pointer(report.level) as pointer:
            pointer.move(done["load_id"])
        print(json.dumps(done), flush=True)
        for name, value in {"all": done["seconds"], **done["phases"]}.items():
            seconds.setdefault(f"load/{name}_seconds", []).append(value)
    return {name: median(values) for name, values in seconds.items()}


def measured(connection: Connection) -> dict[str, Figure]:
    """Measure the published run: sizes, and the graphs of two kinds of vectors."""
    found = connection.execute(
        "SELECT load_id, clusters FROM stage4.published JOIN stage4.runs USING (level, load_id)"
    ).fetchone()
    assert found is not None
    load_id, clusters = found
    figures: dict[str, Figure] = {"clusters": clusters}
    for kind, query in (("table", _TABLES), ("index", _INDEXES)):
        for name, size in connection.execute(query, {"load_id": str(load_id)}).fetchall():
            short = name.replace(f"_{load_id}", "")
            figures[f"{kind}/{short}/mb"] = size / 2**20
    return figures | graphs(connection, load_id)


def compared(connection: Connection) -> dict[str, Figure]:
    """Time the differences between the two newest runs: the summary, and a page."""
    from stage4.api.queries.differences import page_query, summary_query

    runs = connection.execute("SELECT load_id FROM stage4.runs ORDER BY load_id DESC LIMIT 2")
    pair = [load_id for (load_id,) in runs]
    if len(pair) < 2:
        return {}
    page = {"kind": None, "size": None, "cluster_id": None, "vanished": None, "limit": 50}
    queries = {"summary": (summary_query(*pair), {}), "page": (page_query(*pair), page)}
    figures: dict[str, Figure] = {}
    for name, (query, values) in queries.items():
        seconds = []
        for _ in range(3):
            started = time.perf_counter()
            connection.execute(query, values).fetchall()
            seconds.append(time.perf_counter() - started)
        figures[f"differences/{name}_seconds"] = median(seconds)
    return figures


def planned(connection: Connection) -> dict[str, Figure]:
    """Time the planning of a query beside many runs: of the view, and of one run's own table."""
    figures: dict[str, Figure] = {}
    with connection.transaction(force_rollback=True):
        for number in range(_RUNS):
            load_id = 1_000_000 + number
            partition = Identifier("stage4", f"clusters_{load_id}")
            create = "CREATE TABLE {} PARTITION OF stage4.clusters FOR VALUES IN ({})"
            connection.execute(SQL(create).format(partition, load_id))
        view = Identifier("stage4", "current_clusters")
        for name, table in (("view", view), ("partition", partition)):
            seconds = []
            for _ in range(5):
                started = time.perf_counter()
                connection.execute(SQL("EXPLAIN SELECT * FROM {}").format(table)).fetchall()
                seconds.append(time.perf_counter() - started)
            figures[f"planning/{name}_ms"] = 1000 * min(seconds)
    return figures


def graphs(connection: Connection, load_id: int) -> dict[str, Figure]:
    """Compare the run's own graph with one over whole vectors: recall, time, size."""
    from stage4.database import schema

    table = schema.partition("clusters", load_id)
    asked = _beside(connection.execute(SQL(_SAMPLE).format(table, _ASKED)).fetchall())
    whole = SQL("centroid::vector({})").format(DIMENSION)
    other = SQL("%(vector)s::vector({})").format(DIMENSION)
    exact = nearest(connection, SQL(_NEAREST).format(table, whole, other, _NEIGHBOURS), asked)
    kinds = {"halfvec": (schema.centroid(DIMENSION), schema.vector(DIMENSION))}
    figures = _recalls(connection, table, kinds["halfvec"], asked, exact[0], "halfvec")
    figures["exact/ms"] = exact[1]
    with connection.transaction(force_rollback=True):
        started = time.perf_counter()
        connection.execute("SET LOCAL maintenance_work_mem = '256MB'")
        create = "CREATE INDEX whole ON {} USING hnsw (({}) vector_cosine_ops)"
        connection.execute(SQL(create).format(table, whole))
        figures["vector/build_seconds"] = time.perf_counter() - started
        size = connection.execute("SELECT pg_relation_size('stage4.whole')").fetchone()
        assert size is not None
        figures["vector/mb"] = size[0] / 2**20
        figures |= _recalls(connection, table, (whole, other), asked, exact[0], "vector")
    return figures


def _beside(centroids: list[tuple[str]]) -> list[str]:
    """Vectors as far from the centroids as items are: what is asked for is in no index."""
    rng = np.random.default_rng(0)
    found = np.array([json.loads(text) for (text,) in centroids])
    aside = rng.standard_normal(found.shape)
    found = 0.84 * found + 0.54 * aside / np.linalg.norm(aside, axis=1, keepdims=True)
    return [json.dumps(row.tolist()) for row in found / np.linalg.norm(found, axis=1)[:, None]]


def _recalls(
    connection: Connection,
    table: Identifier,
    expressions: tuple[Composable, Composable],
    asked: list[str],
    exact: list[set[str]],
    kind: str,
) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    query = SQL(_NEAREST).format(table, *expressions, _NEIGHBOURS)
    plan = connection.execute(SQL("EXPLAIN ") + query, {"vector": asked[0]}).fetchall()
    figures[f"{kind}/chosen"] = float("Index Scan" in str(plan))
    connection.execute("SET enable_seqscan = off")
    for ef in _EF_SEARCH:
        connection.execute(SQL("SET hnsw.ef_search = {}").format(ef))
        found, milliseconds = nearest(connection, query, asked)
        hits = sum(len(one & other) for one, other in zip(exact, found, strict=True))
        figures[f"{kind}/ef{ef}/recall10"] = hits / (len(asked) * _NEIGHBOURS)
        figures[f"{kind}/ef{ef}/ms"] = milliseconds
    return figures


def nearest(
    connection: Connection, query: Composed, asked: list[str]
) -> tuple[list[set[str]], float]:
    """Ask for the neighbours of each vector; return them and the median time in ms."""
    answers, seconds = [], []
    for vector in asked:
        started = time.perf_counter()
        rows = connection.execute(query, {"vector": vector}).fetchall()
        seconds.append(time.perf_counter() - started)
        answers.append({name for (name,) in rows})
    return answers, 1000 * median(seconds)


if __name__ == "__main__":
    main()
