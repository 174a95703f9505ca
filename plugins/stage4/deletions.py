"""Deleting a document: hidden by the request itself, carried out by the DAG `delete_document`.

What is asked for is kept as a keyed hash alone. `hide` takes the document's rows out of all runs
and blanks what clusters say that hold some; `carry_out` loads these runs again from what the step
`forget` made of them, and moves the published one's pointer and files in one act.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from psycopg.sql import SQL, Composable
from psycopg.types.json import Jsonb
from upath import UPath

from clustering_tasks.deployment import deployment
from clustering_tasks.errors import SettingsError
from clustering_tasks.levels import LEVELS
from clustering_tasks.publication import Pointer, published, read_report
from clustering_tasks.published_files import forget_published
from clustering_tasks.storage import read_json
from clustering_tasks.tombstones import (
    GONE_NAME,
    HOW_TO,
    document_hash,
    key_check,
    write_tombstones,
)
from stage4 import postgres, schema
from stage4.database import Database, database
from stage4.deleted import tombstones_of

BLANK_LABEL = "(to be computed again)"
# A run that was under way may leave files of a document that is deleted by then.
WATCHED = timedelta(days=2)
_REPLACED_SECONDS = 300.0
_POLL_SECONDS = 5.0
_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '10s'"

_ENTER = """
INSERT INTO stage4.deletions (document_hash, key_check, requested_by, counts)
VALUES (%(hash)s, %(check)s, %(by)s, '{}') ON CONFLICT (document_hash) DO NOTHING
"""
# Asked for again and found again, as after a backup was restored: to be carried out again.
_COUNT = """
UPDATE stage4.deletions SET counts = %(counts)s, carried_out_at = NULL
WHERE document_hash = %(hash)s
"""
_REQUEST = """
SELECT deletion_id, state, requested_at, carried_out_at, counts FROM stage4.deletions
WHERE document_hash = %s
"""
# A load that is being removed waits for the end of this transaction, and its tables are there.
_RUNS = "SELECT run_id, level FROM stage4.runs ORDER BY run_id FOR KEY SHARE"

_TAKE_OUT = """
DELETE FROM {members} WHERE document_id = %(document)s RETURNING vector_id, cluster_id, status
"""
_TOO_SMALL = """
SELECT touched.cluster_id FROM unnest(%(touched)s::text[]) touched (cluster_id)
LEFT JOIN {members} members ON members.cluster_id = touched.cluster_id
GROUP BY 1 HAVING count(members.vector_id) < 2
"""
_DISSOLVE = """
UPDATE {members} SET cluster_id = NULL, status = 'noise', assignment = NULL, similarity = NULL,
    probability = 0
WHERE cluster_id = ANY(%(removed)s)
"""
_REMOVE = "DELETE FROM {clusters} WHERE cluster_id = ANY(%(removed)s)"
_UNDRAW = "DELETE FROM {points} WHERE vector_id = ANY(%(vectors)s) OR cluster_id = ANY(%(removed)s)"
_BLANK = """
UPDATE {clusters} clusters SET label = %(label)s, size = found.size, keywords = '[]',
    representatives = '[]', primary_entities = '[]', tags = '[]', record = '{{}}',
    document_ids = document_ids - %(document)s::text,
    start_time = found.first_time, end_time = found.last_time
FROM (
    SELECT cluster_id, count(*) AS size, min(occurred_at) AS first_time,
        max(occurred_at) AS last_time
    FROM {members} WHERE cluster_id = ANY(%(touched)s) GROUP BY cluster_id
) found
WHERE clusters.cluster_id = found.cluster_id
"""
_RESIZE = """
UPDATE {points} points SET size = clusters.size FROM {clusters} clusters
WHERE points.cluster_id = clusters.cluster_id AND clusters.cluster_id = ANY(%(touched)s)
AND kind = 'cluster'
"""
_RECOUNT = """
UPDATE stage4.runs SET (read, clustered, noise, filtered, unassigned, clusters) = (
    SELECT count(*), count(*) FILTER (WHERE status = 'clustered'),
        count(*) FILTER (WHERE status = 'noise'), count(*) FILTER (WHERE status = 'filtered'),
        count(*) FILTER (WHERE status = 'unassigned'), (SELECT count(*) FROM {clusters})
    FROM {members}
), changed_at = clock_timestamp(), deleting = jsonb_build_object(
    'changed', coalesce(deleting->'changed', '[]') || %(changed)s,
    'removed', coalesce(deleting->'removed', '[]') || %(dissolved)s
)
WHERE run_id = %(run_id)s
"""
_REPORT = """
UPDATE stage4.runs SET report = jsonb_set(report, '{counts}', jsonb_build_object(
    'read', read, 'clustered', clustered, 'noise', noise, 'filtered', filtered,
    'unassigned', unassigned, 'clusters', clusters
)) WHERE run_id = %s
"""
_METRICS = """
UPDATE stage4.metrics SET value = (report #>> string_to_array(name, '.'))::double precision
FROM stage4.runs WHERE runs.run_id = metrics.run_id AND runs.run_id = %s AND name LIKE 'counts.%%'
"""
# A run's own settings may name documents.
_UNNAME = """
UPDATE stage4.runs SET changed_at = clock_timestamp(),
    deleting = coalesce(deleting, '{"changed": [], "removed": []}'),
    report = jsonb_set(report, '{settings,filter,document_ids}', (
        SELECT jsonb_agg(CASE WHEN name = %(document)s THEN %(gone)s ELSE name END)
        FROM jsonb_array_elements_text(report #> '{settings,filter,document_ids}') name
    ))
WHERE jsonb_typeof(report #> '{settings,filter,document_ids}') = 'array'
AND (report #> '{settings,filter,document_ids}') ? %(document)s
"""

_DUE = "SELECT deletion_id FROM stage4.deletions WHERE carried_out_at IS NULL ORDER BY 1"
_RECENT = "SELECT EXISTS (SELECT FROM stage4.deletions WHERE carried_out_at > now() - %s)"
# Runs to be loaded again; not those that have been, and only wait until nobody reads them.
_PENDING = """
SELECT run_id, job_id FROM stage4.runs old
WHERE level = %(level)s AND deleting IS NOT NULL AND (
    run_id = (SELECT run_id FROM stage4.published WHERE level = %(level)s)
    OR NOT EXISTS (
        SELECT FROM stage4.runs new WHERE new.level = old.level AND new.job_id = old.job_id
        AND new.run_id > old.run_id
    )
)
ORDER BY run_id
"""
_PUBLISHED = """
SELECT run_id, deleting FROM stage4.published JOIN stage4.runs USING (level, run_id)
WHERE level = %s
"""
_REPLACED = """
SELECT count(*) FROM stage4.runs old WHERE deleting IS NOT NULL AND EXISTS (
    SELECT FROM stage4.runs new WHERE new.level = old.level AND new.job_id = old.job_id
    AND new.run_id > old.run_id
)
"""
_NEW_NAMES = """
SELECT DISTINCT old.cluster_id, new.cluster_id FROM {old} old JOIN {new} new USING (vector_id)
WHERE old.cluster_id = ANY(%s) AND new.cluster_id IS NOT NULL ORDER BY 1, 2
"""
_DONE = """
UPDATE stage4.deletions SET carried_out_at = now()
WHERE deletion_id = ANY(%s) AND carried_out_at IS NULL
"""

log = structlog.get_logger()


@dataclass(frozen=True)
class Request:
    """A deletion as its audit has it.

    Attributes:
        deletion_id: its number.
        state: `requested` or `done`.
        requested_at: when the document was hidden.
        carried_out_at: when nothing of it was left.
        counts: by level: `items`, `clusters`, `runs`.
    """

    deletion_id: int
    state: str
    requested_at: datetime
    carried_out_at: datetime | None
    counts: dict[str, dict[str, int]]


def request(connection: Database, document_id: str, by: str) -> Request:
    """Ask for a document's deletion, and hide it, in one transaction; safe to repeat.

    A document that no run knows is entered all the same: Stage 3 may deliver it yet.

    Args:
        connection: in autocommit mode.
        document_id: as Stage 3 writes it.
        by: the user's name, for the audit.

    Raises:
        SettingsError: without a secret, or with another one than former deletions.
        psycopg.Error: the database cannot be reached, is busy, or refuses.
    """
    secret = deployment().deletion_key
    if secret is None:
        raise SettingsError(f"documents can be deleted only with a secret: {HOW_TO}")
    digest = document_hash(secret, document_id)
    with connection.transaction():
        connection.execute(_LOCK_TIMEOUT)
        # The first act: a load that is about to commit comes before or finds it.
        values = {"hash": digest, "check": key_check(secret), "by": by}
        new = connection.execute(_ENTER, values).rowcount == 1
        tombstones_of(connection)  # refuses another secret
        counts = hide(connection, document_id)
        if new or counts:
            connection.execute(_COUNT, {"counts": Jsonb(counts), "hash": digest})
        row = connection.execute(_REQUEST, [digest]).fetchone()
    assert row is not None  # noqa: S101 - it was entered above
    return Request(*row)


def hide(connection: Database, document_id: str) -> dict[str, dict[str, int]]:
    """Take a document out of all runs, and blank the clusters that lose something.

    Args:
        connection: inside a transaction.
        document_id: of the document.

    Returns:
        by level: how many `items` of how many `clusters` in how many `runs`.
    """
    counts: dict[str, Counter[str]] = {}
    connection.execute(_UNNAME, {"document": document_id, "gone": GONE_NAME})
    for run_id, level in connection.execute(_RUNS).fetchall():
        if found := _hide_in_run(connection, run_id, document_id):
            counts.setdefault(level, Counter()).update(found)
    return {level: dict(count) for level, count in counts.items()}


def _hide_in_run(connection: Database, run_id: int, document_id: str) -> dict[str, int]:
    tables = {name: schema.partition(name, run_id) for name in ("clusters", "members", "points")}

    def execute(statement: str, **values: Any) -> list[tuple[Any, ...]]:
        cursor = connection.execute(SQL(statement).format(**tables), values)
        return cursor.fetchall() if cursor.description else []

    gone = execute(_TAKE_OUT, document=document_id)
    if not gone:
        return {}
    touched = sorted({cluster for _, cluster, _ in gone if cluster is not None})
    removed = sorted(name for (name,) in execute(_TOO_SMALL, touched=touched))
    changed = sorted(set(touched) - set(removed))
    execute(_DISSOLVE, removed=removed)
    execute(_REMOVE, removed=removed)
    execute(_BLANK, label=BLANK_LABEL, document=document_id, touched=changed)
    if _exists(connection, f"stage4.points_{run_id}"):
        execute(_UNDRAW, vectors=[vector for vector, _, _ in gone], removed=removed)
        execute(_RESIZE, touched=changed)
    execute(_RECOUNT, run_id=run_id, changed=Jsonb(changed), dissolved=Jsonb(removed))
    connection.execute(_REPORT, [run_id])
    connection.execute(_METRICS, [run_id])
    return {"items": len(gone), "clusters": len(touched), "runs": 1}


def _exists(connection: Database, table: str) -> bool:
    return connection.execute("SELECT to_regclass(%s) IS NOT NULL", [table]).fetchone() == (True,)


def begin() -> list[int] | None:
    """Give the steps the tombstones, and name the deletions that are to be carried out.

    Returns:
        their numbers; None when there is nothing to do, and nothing to look after.

    Raises:
        SettingsError: this worker lacks the secret, or has another one.
        AirflowException: the database cannot be reached.
    """
    with database() as connection:
        deleted = tombstones_of(connection)
        due = [number for (number,) in connection.execute(_DUE).fetchall()]
        recent = connection.execute(_RECENT, [WATCHED]).fetchone() == (True,)
    if deleted.hashes:
        write_tombstones(UPath(deployment().workspace), deleted)
    return due if due or recent else None


def carry_out(level: str) -> dict[str, Any]:
    """Replace a level's runs that lack a deleted document, behind the step `forget`.

    Readers see the runs as they were hidden, then the new ones whole. Safe to repeat.

    Returns:
        For XCom: `{"level": ..., "loaded": 2, "removed_runs": 0, "files": 3, "removed_files": 0}`.

    Raises:
        BadInputError: the published run cannot be made again, because its artefacts are gone;
            everything else is done, and the message says what to do.
        AirflowFailException, AirflowException: as `postgres.load`.
    """
    where = deployment()
    with database() as connection:
        deleted = tombstones_of(connection)
        pending = connection.execute(_PENDING, {"level": level}).fetchall()
    loaded = [run_id for run_id, job in pending if _load_again(level, run_id, job)]
    removed = _remove_runs(level, [run_id for run_id, _ in pending if run_id not in loaded])
    with postgres.pointer(level) as pointer:
        rewritten, gone = forget_published(
            level, deleted, workspace=where.workspace, output=where.output_uri
        )
        _move(pointer, published(where.workspace, level))
    return {
        "level": level,
        "loaded": len(loaded),
        "removed_runs": removed,
        "files": len(rewritten),
        "removed_files": len(gone),
    }


def _load_again(level: str, run_id: int, job: str) -> bool:
    """Load what `forget` made of a run; False where it could make nothing."""
    folder = UPath(deployment().workspace) / level / "runs" / job
    files = {**_files(folder / "label.json"), **_files(folder / "map.json")}
    needed = ("report", "clusters_csv", "members_csv", "clusters_jsonl")
    if not all(name in files and UPath(files[name]).exists() for name in needed):
        return False
    postgres.load(files, read_report(files["report"]), instead_of=run_id)
    return True


def _files(record: UPath) -> dict[str, str]:
    try:
        files: dict[str, str] = read_json(record)["files"]
    except FileNotFoundError:
        return {}
    return files


def _remove_runs(level: str, run_ids: Iterable[int]) -> int:
    """Remove runs that cannot be made again, as retention would; never the published one."""
    with postgres.pointer(level) as pointer:
        removed = pointer.connection.execute(
            "DELETE FROM stage4.runs WHERE run_id = ANY(%s) AND run_id IS DISTINCT FROM"
            " (SELECT run_id FROM stage4.published WHERE level = %s)",
            [list(run_ids), level],
        )
        return removed.rowcount


def _move(pointer: postgres.Pointer, current: Pointer | None) -> None:
    """Let readers see the new load of the published run, and note what Stage 5 is to be told."""
    row = pointer.connection.execute(_PUBLISHED, [pointer.level]).fetchone()
    if row is None or row[1] is None or pointer.job_id is None:
        return
    old, deleting = row
    new = pointer.find(pointer.job_id)
    if new == old:
        raise AirflowFailException(
            f"the published run of {pointer.level} cannot be made again without the document, "
            f"because its artefacts are gone; it stays as it was hidden: run `cluster_"
            f"{pointer.level}` again, then `delete_document`"
        )
    event = _event(pointer, old, new, deleting, current)
    pointer.connection.execute(
        "INSERT INTO stage4.deletion_events (level, event) VALUES (%s, %s)",
        [pointer.level, Jsonb(event)],
    )
    pointer.move(new, "delete_document")


def _event(
    pointer: postgres.Pointer,
    old: int,
    new: int,
    deleting: Mapping[str, list[str]],
    current: Pointer | None,
) -> dict[str, Any]:
    tables: dict[str, Composable] = {
        "old": schema.partition("members", old),
        "new": schema.partition("members", new),
    }
    changed = pointer.connection.execute(
        SQL(_NEW_NAMES).format(**tables), [deleting["changed"]]
    ).fetchall()
    stay = {name for name, _ in changed}
    return {
        "event_type": "clustering.document.deleted",
        "job_id": pointer.job_id,
        "embedding_type": LEVELS[pointer.level].cluster_type,
        "changed_clusters": [
            {"cluster_id": name, "new_cluster_id": renamed} for name, renamed in changed
        ],
        "removed_clusters": sorted({*deleting["removed"], *deleting["changed"]} - stay),
        "output_files": [current.clusters_jsonl, current.dated_jsonl] if current else [],
        "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }


def finish(deletions: list[int]) -> dict[str, int]:
    """Wait until nobody can read the replaced runs, clear the cache, and close the audit.

    Args:
        deletions: numbers, from `begin`.

    Returns:
        For XCom: how many answers went from the cache, and how many deletions are done.

    Raises:
        AirflowException: replaced runs are still being read, or Redis cannot be reached.
    """
    _remove_replaced()
    with database() as connection:
        # Else the rows that were changed stay in the tables' files until the next VACUUM.
        connection.execute("VACUUM (ANALYZE) stage4.runs, stage4.metrics, stage4.alerts")
        cleared = _clear_cache()
        done = connection.execute(_DONE, [deletions]).rowcount
    return {"cleared_answers": cleared, "done": done}


def _remove_replaced() -> None:
    deadline = time.monotonic() + _REPLACED_SECONDS
    while True:
        for level in LEVELS:
            with postgres.pointer(level):
                pass  # which removes what was replaced, and drops its tables
        with database() as connection:
            if connection.execute(_REPLACED).fetchone() == (0,):
                return
        if time.monotonic() > deadline:
            raise AirflowException("replaced runs are still there: trying again may help")
        time.sleep(_POLL_SECONDS)


def _clear_cache() -> int:
    """Remove every kept answer from Redis; they are made again."""
    conn_id = deployment().redis_conn_id
    if conn_id is None:
        return 0
    from airflow.sdk import BaseHook
    from redis import Redis, RedisError

    from stage4.api.cache import PREFIX
    from stage4.api.redis_link import redis_url

    try:
        with Redis.from_url(redis_url(BaseHook.get_connection(conn_id))) as client:
            names = list(client.scan_iter(match=f"{PREFIX}*", count=1000))
            for start in range(0, len(names), 1000):
                client.unlink(*names[start : start + 1000])
    except RedisError as error:
        raise AirflowException(
            f"Redis ({conn_id}) cannot be cleared of answers about a deleted document: {error}"
        ) from error
    return len(names)


def undelivered() -> list[tuple[int, dict[str, Any]]]:
    """Read the events that Stage 5 has not taken yet: number and event, the oldest first."""
    with database() as connection:
        rows = connection.execute(
            "SELECT event_id, event FROM stage4.deletion_events WHERE delivered_at IS NULL"
            " ORDER BY event_id"
        )
        return [(number, event) for number, event in rows.fetchall()]


def delivered(event_id: int) -> None:
    """Note that Stage 5 has taken an event."""
    with database() as connection:
        connection.execute(
            "UPDATE stage4.deletion_events SET delivered_at = now() WHERE event_id = %s", [event_id]
        )
