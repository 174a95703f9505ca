"""The results database: loading a run's rows, and the pointer that readers follow.

Every load has a `run_id` and a partition of its own in `stage4.clusters` and `stage4.members`:
filled by COPY, checked, indexed and attached in one transaction, none of which blocks a reader.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from airflow.sdk.exceptions import AirflowFailException
from clustering_tasks.publication.report import Report
from psycopg.types.json import Jsonb

from stage4.database.connection import Database, database
from stage4.database.partitions import COLUMNS, Partitions, await_readers, sweep
from stage4.database.tombstones import refuse_deleted

Act = Literal["publish", "roll_back", "delete_document"]

# Others hold these locks for the time of an index build or of a copy of the JSONL.
_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '10min'"
GRACE = "1 minute"

_INSERT_RUN = """
INSERT INTO stage4.runs (
    level, job_id, as_of, algorithm, read, clustered, noise, filtered, unassigned, clusters,
    coverage, outlier_share, largest_cluster_share, report
) VALUES (
    %(level)s, %(job_id)s, %(as_of)s, %(algorithm)s, %(read)s, %(clustered)s, %(noise)s,
    %(filtered)s, %(unassigned)s, %(clusters)s, %(coverage)s, %(outlier_share)s,
    %(largest_cluster_share)s, %(report)s
) RETURNING run_id
"""
# What a later load of the same job has replaced, except for what readers see or have just seen: a
# statement whose snapshot is older than the pointer's move may not have reached the rows yet.
_REMOVE_REPLACED = """
DELETE FROM stage4.runs old WHERE level = %(level)s
AND EXISTS (
    SELECT FROM stage4.runs new
    WHERE new.level = old.level AND new.job_id = old.job_id AND new.run_id > old.run_id
)
AND NOT EXISTS (
    SELECT FROM stage4.published WHERE published.level = old.level
    AND (published.run_id = old.run_id
        OR old.published_at IS NOT NULL AND moved_at > now() - %(grace)s::interval)
)
"""
_INSERT_PUBLICATION = """
INSERT INTO stage4.publications (level, run_id, job_id, act)
SELECT level, run_id, job_id, %(act)s FROM stage4.runs WHERE run_id = %(run_id)s
AND NOT EXISTS (SELECT FROM stage4.published WHERE run_id = %(run_id)s)
"""
_LAST_PUBLICATION = """
SELECT max(publication_id) FROM stage4.publications WHERE level = %s AND run_id = %s
"""
_TAKE_OVER = (
    """
    UPDATE stage4.runs new SET loaded_at = old.loaded_at, published_at = old.published_at
    FROM stage4.runs old WHERE new.run_id = %(new)s AND old.run_id = %(old)s
    """,
    """
    INSERT INTO stage4.alerts
        (run_id, level, name, severity, message, action, value, limit_value, raised_at)
    SELECT %(new)s, level, name, severity, message, action, value, limit_value, raised_at
    FROM stage4.alerts WHERE run_id = %(old)s ORDER BY alert_id
    """,
)
_LOCK_POINTER = """
SELECT runs.job_id, runs.as_of
FROM stage4.published LEFT JOIN stage4.runs USING (level, run_id)
WHERE published.level = %s FOR UPDATE OF published
"""


def load(
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
        files: those of `label` and, where there is a map, of `map`; `clusters_csv`, `members_csv`
            and `points_csv` are read (URIs).
        report: `read_report(files["report"])`.
        instead_of: `run_id` of an earlier load of the same run, whose age, publication and alerts
            the new one takes over.
        conn_id: Airflow connection; default: `deployment().postgres_conn_id`.

    Returns:
        `{"run_id": 17, "clusters": 125, "members": 5000, "seconds": 1.2, "phases": {"copy": 0.7,
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
            connection.execute(_LOCK_TIMEOUT)
            run_id = _insert_run(connection, report)
            phases = _fill(Partitions(connection, run_id), files, report)
            _insert_metrics(connection, run_id, report)
            if instead_of is not None:
                _take_over(connection, instead_of, run_id)
            refuse_deleted(connection, run_id)
        await_readers(connection)
        with connection.transaction():
            _remove_replaced(_lock(connection, report.level))
        sweep(connection)
    return {
        "run_id": run_id,
        "clusters": report.counts.clusters,
        "members": report.counts.read,
        "seconds": round(time.perf_counter() - started, 3),
        "phases": phases,
    }


def _take_over(connection: Database, old: int, new: int) -> None:
    for statement in _TAKE_OVER:
        connection.execute(statement, {"old": old, "new": new})


def _fill(partitions: Partitions, files: Mapping[str, str], report: Report) -> dict[str, float]:
    """Make the run's tables and return the seconds of each phase."""
    dimension, phases = report.settings.input.dimension, dict[str, float]()
    parents = [parent for parent in COLUMNS if f"{parent}_csv" in files]

    @contextmanager
    def timed(phase: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        phases[phase] = round(time.perf_counter() - started, 3)

    with timed("copy"):
        for parent in parents:
            partitions.fill(parent, files[f"{parent}_csv"])
    with timed("check"):
        partitions.check(report.counts, dimension)
    with timed("index"):
        for parent in parents:
            partitions.index(parent)
    with timed("graph"):
        partitions.index_centroids(report.counts.clusters, dimension)
    with timed("attach"):
        for parent in parents:
            partitions.attach(parent)
    return phases


@dataclass(frozen=True)
class Pointer:
    """A level's pointer, locked against every other publisher until the transaction ends.

    Attributes:
        connection: inside the transaction.
        level: plural name.
        job_id: the run that readers see; None when nothing is published.
        as_of: its moment.
    """

    connection: Database
    level: str
    job_id: str | None
    as_of: datetime | None

    def find(self, job_id: str) -> int:
        """Return the `run_id` of a job's last load.

        Raises:
            AirflowFailException: when the job is not in the database.
        """
        found = self.connection.execute(
            "SELECT max(run_id) FROM stage4.runs WHERE level = %s AND job_id = %s",
            [self.level, job_id],
        ).fetchone()
        if found is None or found[0] is None:
            raise AirflowFailException(
                f"run {job_id} of {self.level} is not in the database: clear `load_postgres`"
            )
        return int(found[0])

    def move(self, run_id: int, act: Act = "publish") -> int:
        """Let readers see a load, when the transaction commits.

        Returns:
            `publication_id`: of this move; where readers see the load already, of the former.
        """
        self.connection.execute(_INSERT_PUBLICATION, {"run_id": run_id, "act": act})
        self.connection.execute(
            "UPDATE stage4.published SET run_id = %s, moved_at = now() WHERE level = %s",
            [run_id, self.level],
        )
        self.connection.execute(
            "UPDATE stage4.runs SET published_at = coalesce(published_at, now()) WHERE run_id = %s",
            [run_id],
        )
        row = self.connection.execute(_LAST_PUBLICATION, [self.level, run_id]).fetchone()
        assert row is not None  # noqa: S101 - an aggregate has a row
        return int(row[0])


@contextmanager
def pointer(level: str, *, conn_id: str | None = None) -> Iterator[Pointer]:
    """Lock a level's pointer for one transaction, so that one publisher at a time decides.

    Readers are not held up. A load that was replaced and is no longer read is removed.

    Raises:
        AirflowFailException, AirflowException: as `load`.
    """
    with database(conn_id) as connection:
        with connection.transaction():
            locked = _lock(connection, level)
            yield locked
            _remove_replaced(locked)
        sweep(connection)


def _lock(connection: Database, level: str) -> Pointer:
    connection.execute(_LOCK_TIMEOUT)
    row = connection.execute(_LOCK_POINTER, [level]).fetchone()
    if row is None:
        raise AirflowFailException(
            f"the database does not know level {level}: run `python -m stage4.setup`"
        )
    return Pointer(connection, level, *row)


def _remove_replaced(pointer: Pointer) -> None:
    values = {"level": pointer.level, "grace": GRACE}
    pointer.connection.execute(_REMOVE_REPLACED, values)


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


def _insert_metrics(connection: Database, run_id: int, report: Report) -> None:
    rows = [
        (run_id, report.level, name, value)
        for name, value in _numbers(report.model_dump(mode="json", exclude={"settings"}))
    ]
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO stage4.metrics (run_id, level, name, value) VALUES (%s, %s, %s, %s)", rows
        )


def _numbers(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float | None]]:
    """Flatten a report: `("quality.silhouette", None)`; what was not measured stays null."""
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{name}.")
        elif value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            yield f"{prefix}{name}", value
