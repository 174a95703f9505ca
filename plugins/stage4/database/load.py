"""Loading a run's rows into the results database.

Every load has a `load_id` and a partition of its own in `stage4.clusters` and `stage4.members`:
filled by COPY, checked, indexed and attached in one transaction, none of which blocks a reader.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from psycopg.types.json import Jsonb

from clustering_tasks.contract.columns import COLUMNS, file_of
from clustering_tasks.publication.report import Report
from stage4.database.connection import Database, database
from stage4.database.identities import keep_lineage
from stage4.database.partitions import Partitions, await_readers, sweep
from stage4.database.pointer import LOCK_TIMEOUT, lock, remove_replaced
from stage4.database.tombstones import refuse_deleted

_INSERT_RUN = """
INSERT INTO stage4.runs (
    level, job_id, as_of, algorithm, read, clustered, noise, filtered, unassigned, clusters,
    coverage, outlier_share, largest_cluster_share, report
) VALUES (
    %(level)s, %(job_id)s, %(as_of)s, %(algorithm)s, %(read)s, %(clustered)s, %(noise)s,
    %(filtered)s, %(unassigned)s, %(clusters)s, %(coverage)s, %(outlier_share)s,
    %(largest_cluster_share)s, %(report)s
) RETURNING load_id
"""
_TAKE_OVER = (
    """
    UPDATE stage4.runs new SET loaded_at = old.loaded_at, published_at = old.published_at
    FROM stage4.runs old WHERE new.load_id = %(new)s AND old.load_id = %(old)s
    """,
    """
    INSERT INTO stage4.alerts
        (load_id, level, name, severity, message, action, value, limit_value, raised_at)
    SELECT %(new)s, level, name, severity, message, action, value, limit_value, raised_at
    FROM stage4.alerts WHERE load_id = %(old)s ORDER BY alert_id
    """,
    # Look-ups at an earlier moment read what has taken the load's place.
    "UPDATE stage4.publications SET load_id = %(new)s WHERE load_id = %(old)s",
    "UPDATE stage4.publications SET base_load_id = %(new)s WHERE base_load_id = %(old)s",
)


def load_run(
    files: Mapping[str, str],
    report: Report,
    *,
    instead_of: int | None = None,
    conn_id: str | None = None,
) -> dict[str, Any]:
    """Load a run's clusters, members and metrics in one transaction; readers see nothing yet.

    Loading a run again adds its new rows and removes the old ones, unless those are published:
    they stay until the pointer has moved to the new ones, so that the gate comes first here, too.

    Args:
        files: those of `label`, of `identify` and, where there is a map, of `map`: the URIs of
            `clusters_csv`, `members_csv`, `identities_csv`, `lineage_csv` and `points_csv`. A run
            of a version without lasting ids has no files of `identify`.
        report: `read_report(files["report"])`.
        instead_of: `load_id` of an earlier load of the same run, whose age, publication and alerts
            the new one takes over.
        conn_id: Airflow connection; default: `deployment().postgres_conn_id`.

    Returns:
        `{"load_id": 17, "clusters": 125, "members": 5000, "seconds": 1.2, "phases": {"copy": 0.7,
        "check": 0.1, "index": 0.2, "graph": 0.1, "attach": 0.0}}`, for XCom.

    Raises:
        AirflowFailException: a file breaks its contract or contradicts the report, the schema is
            missing, a permission is missing, an item's document has been deleted: the message says
            what to do.
        AirflowException: the database cannot be reached, or went away; worth another try.
    """
    started = time.perf_counter()
    with database(conn_id) as connection:
        with connection.transaction():
            connection.execute(LOCK_TIMEOUT)
            load_id = _insert_run(connection, report)
            phases = _fill(Partitions(connection, load_id), files, report)
            _insert_metrics(connection, load_id, report)
            if instead_of is not None:
                _take_over(connection, instead_of, load_id)
            refuse_deleted(connection, load_id)
        await_readers(connection)
        with connection.transaction():
            remove_replaced(lock(connection, report.level))
        sweep(connection)
    return {
        "load_id": load_id,
        "clusters": report.counts.clusters,
        "members": report.counts.read,
        "seconds": round(time.perf_counter() - started, 3),
        "phases": phases,
    }


def _take_over(connection: Database, old: int, new: int) -> None:
    for statement in _TAKE_OVER:
        connection.execute(statement, {"old": old, "new": new})
    keep_lineage(connection, new)


def _fill(partitions: Partitions, files: Mapping[str, str], report: Report) -> dict[str, float]:
    """Make the run's tables and return the seconds of each phase."""
    dimension, phases = report.settings.input.dimension, dict[str, float]()
    parents = [parent for parent in COLUMNS if file_of(parent) in files]

    @contextmanager
    def timed(phase: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        phases[phase] = round(time.perf_counter() - started, 3)

    with timed("copy"):
        for parent in parents:
            partitions.fill(parent, files[file_of(parent)])
    with timed("check"):
        partitions.check(report.counts, dimension)
        if "load_identities" in parents:
            partitions.check_identities()
    with timed("index"):
        for parent in parents:
            partitions.index(parent)
    with timed("graph"):
        partitions.index_centroids(report.counts.clusters, dimension)
    with timed("attach"):
        for parent in parents:
            partitions.attach(parent)
    return phases


def _insert_run(connection: Database, report: Report) -> int:
    record = report.model_dump(mode="json")
    values = report.counts.model_dump() | {
        name: record[name]
        for name in ("level", "job_id", "as_of", "algorithm", "coverage", "outlier_share")
    }
    values["largest_cluster_share"] = report.largest_cluster_share
    row = connection.execute(_INSERT_RUN, values | {"report": Jsonb(record)}).fetchone()
    assert row is not None  # noqa: S101 - an INSERT without a conflict clause returns its row
    return int(row[0])


def _insert_metrics(connection: Database, load_id: int, report: Report) -> None:
    record = report.model_dump(mode="json", exclude={"settings", "goes_on_from"})
    rows = [(load_id, report.level, name, value) for name, value in _numbers(record)]
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO stage4.metrics (load_id, level, name, value) VALUES (%s, %s, %s, %s)", rows
        )


def _numbers(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float | None]]:
    """Flatten a report: `("quality.silhouette", None)`; what was not measured stays null."""
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{name}.")
        elif value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            yield f"{prefix}{name}", value
