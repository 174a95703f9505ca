"""Loads as they were until 0006, when the number of a load was called `run_id`.

The statements are those of that time's `stage4.database.load` and `.pointer`: the package itself
writes at the newest revision only.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import psycopg
from psycopg.sql import SQL, Composed, Identifier, Literal
from psycopg.types.json import Jsonb

from clustering_tasks.publication.report import Report, read_report

KEYS = {"clusters": "cluster_id", "members": "vector_id", "points": "rank"}
RUN = """
INSERT INTO stage4.runs (
    level, job_id, as_of, algorithm, read, clustered, noise, filtered, unassigned, clusters,
    coverage, outlier_share, largest_cluster_share, report
) VALUES (
    %(level)s, %(job_id)s, %(as_of)s, %(algorithm)s, %(read)s, %(clustered)s, %(noise)s,
    %(filtered)s, %(unassigned)s, %(clusters)s, %(coverage)s, %(outlier_share)s,
    %(largest_cluster_share)s, %(report)s
) RETURNING run_id
"""
TABLE = """
CREATE TABLE {table} (
    LIKE stage4.{parent}
        INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING CONSTRAINTS INCLUDING STORAGE,
    CONSTRAINT one_run CHECK (run_id = {number})
);
ALTER TABLE {table} ALTER run_id SET DEFAULT {number}, ADD PRIMARY KEY (run_id, {key})
"""
# By way of a table that has the files' later columns, too.
STAGE = "CREATE TEMP TABLE staged AS SELECT {had} FROM {table} WITH NO DATA"
COPY = "COPY staged ({columns}) FROM STDIN (FORMAT csv, HEADER match, ENCODING 'UTF8')"
UNSTAGE = "INSERT INTO {table} ({had}) SELECT {had} FROM staged; DROP TABLE staged"
CHECKS = """
ALTER TABLE {clusters} ADD CONSTRAINT one_dimension CHECK (vector_dims(centroid) = {dimension});
ALTER TABLE {members} ADD CONSTRAINT cluster_exists
    FOREIGN KEY (run_id, cluster_id) REFERENCES {clusters} (run_id, cluster_id)
"""
NEIGHBOURS = """
CREATE INDEX {name} ON {clusters} USING hnsw ((centroid::halfvec({dimension})) halfvec_cosine_ops)
"""
ATTACH = "ALTER TABLE stage4.{parent} ATTACH PARTITION {table} FOR VALUES IN ({number})"
METRIC = "INSERT INTO stage4.metrics (run_id, level, name, value) VALUES (%s, %s, %s, %s)"
ALERT = """
INSERT INTO stage4.alerts (run_id, level, name, severity, message, action)
VALUES (%s, %s, 'coverage', 'warning', 'is low', 'look')
"""
PUBLISH = (
    """
    INSERT INTO stage4.publications (level, run_id, job_id, act)
    SELECT level, run_id, job_id, 'publish' FROM stage4.runs WHERE run_id = %(number)s
    """,
    "UPDATE stage4.published SET run_id = %(number)s, moved_at = now() WHERE level = %(level)s",
    "UPDATE stage4.runs SET published_at = now() WHERE run_id = %(number)s",
)


def load(connection: psycopg.Connection, files: Mapping[str, str]) -> int:
    """Load a run, and raise an alert for it.

    Args:
        connection: to a database at 0006, or earlier where no alert can be raised.
        files: of `label` and, where there is a map, of `map`.
    """
    report = read_report(files["report"])
    with connection.transaction():
        number = _run(connection, report)
        parents = [parent for parent in KEYS if f"{parent}_csv" in files]
        for parent in parents:
            _fill(connection, parent, number, files[f"{parent}_csv"])
        _check_and_index(connection, number, report.settings.input.dimension)
        for parent in parents:
            attach = SQL(ATTACH).format(
                parent=Identifier(parent), table=_table(parent, number), number=number
            )
            connection.execute(attach)
        for name, value in report.counts.model_dump().items():
            connection.execute(METRIC, [number, report.level, f"counts.{name}", value])
        if connection.execute("SELECT to_regclass('stage4.alerts')").fetchone() != (None,):
            connection.execute(ALERT, [number, report.level])
    return number


def publish(connection: psycopg.Connection, number: int, level: str) -> None:
    """Move the level's pointer to a load."""
    with connection.transaction():
        for statement in PUBLISH:
            connection.execute(statement.encode(), {"number": number, "level": level})


def _run(connection: psycopg.Connection, report: Report) -> int:
    record = report.model_dump(mode="json")
    values = record | report.counts.model_dump() | {"report": Jsonb(record)}
    values["largest_cluster_share"] = report.largest_cluster_share
    known = {name: value for name, value in values.items() if f"%({name})s" in RUN}
    (number,) = connection.execute(RUN, known).fetchone() or (0,)
    return int(number)


def _fill(connection: psycopg.Connection, parent: str, number: int, file: str) -> None:
    table = _table(parent, number)
    key, name = Identifier(KEYS[parent]), Identifier(parent)
    connection.execute(SQL(TABLE).format(table=table, parent=name, number=number, key=key))
    content = Path(file).read_bytes()
    header = content.partition(b"\n")[0].decode().replace('"', "").strip().split(",")
    had = _columns(connection, parent)
    parts = {
        "table": table,
        "columns": _listed(header),
        "had": _listed(name for name in header if name in had),
    }
    connection.execute(SQL(STAGE).format(**parts))
    for later in header:
        if later not in had:
            connection.execute(SQL("ALTER TABLE staged ADD {} text").format(Identifier(later)))
    with connection.cursor().copy(SQL(COPY).format(**parts)) as target:
        target.write(content)
    connection.execute(SQL(UNSTAGE).format(**parts))


def _columns(connection: psycopg.Connection, parent: str) -> set[str]:
    query = "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
    return {name for (name,) in connection.execute(query, [f"stage4.{parent}"]).fetchall()}


def _listed(names: Iterable[str]) -> Composed:
    return SQL(", ").join(map(Identifier, names))


def _check_and_index(connection: psycopg.Connection, number: int, dimension: int) -> None:
    for statement in (CHECKS, NEIGHBOURS):
        connection.execute(
            SQL(statement).format(
                name=Identifier(f"clusters_{number}_neighbours"),
                clusters=_table("clusters", number),
                members=_table("members", number),
                dimension=Literal(dimension),
            )
        )


def _table(parent: str, number: int) -> Identifier:
    return Identifier("stage4", f"{parent}_{number}")
