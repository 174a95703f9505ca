"""Taking a document's rows out of all runs at once; what is left of its clusters is blank."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from psycopg.sql import SQL
from psycopg.types.json import Jsonb

from clustering_tasks.deleted_documents.mentions import redacting
from clustering_tasks.deleted_documents.tombstones import GONE_NAME, Tombstones
from stage4.database import schema
from stage4.database.connection import Database
from stage4.database.corrections import erase, erase_of_deleted_clusters
from stage4.database.identities import mark_deleted, mark_deleted_for_readers
from stage4.deletions.mentions import hide_mentions

BLANK_LABEL = "(to be computed again)"
# A load that is being removed waits for the end of this transaction, and its tables are there.
_RUNS = """
SELECT load_id, level, EXISTS (SELECT FROM stage4.published WHERE published.load_id = runs.load_id)
FROM stage4.runs ORDER BY load_id FOR KEY SHARE
"""
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
    probability = 0, tags = '[]', near_duplicate_of = NULL
WHERE cluster_id = ANY(%(removed)s) RETURNING vector_id
"""
_REMOVE = "DELETE FROM {clusters} WHERE cluster_id = ANY(%(removed)s)"
_UNDRAW = "DELETE FROM {points} WHERE vector_id = ANY(%(vectors)s) OR cluster_id = ANY(%(removed)s)"
_BLANK = """
UPDATE {clusters} clusters SET label = %(label)s, size = found.size, keywords = '[]',
    representatives = '[]', primary_entities = '[]', tags = '[]', record = '{{}}',
    trend = NULL, rate = NULL, earlier_rate = NULL, growth = NULL,
    document_ids = document_ids - %(document)s::text,
    start_time = found.first_time, end_time = found.last_time
FROM (
    SELECT cluster_id, count(*) AS size, min(occurred_at) AS first_time,
        max(occurred_at) AS last_time
    FROM {members} WHERE cluster_id = ANY(%(touched)s) GROUP BY cluster_id
) found
WHERE clusters.cluster_id = found.cluster_id
"""
# What items got for the sake of others of their cluster, and may be of the deleted one.
_UNMARK = """
UPDATE {members} SET tags = '[]', near_duplicate_of = NULL
WHERE cluster_id = ANY(%(touched)s) AND (tags <> '[]' OR near_duplicate_of IS NOT NULL)
"""
_RESIZE = """
UPDATE {points} points SET size = clusters.size FROM {clusters} clusters
WHERE points.cluster_id = clusters.cluster_id AND clusters.cluster_id = ANY(%(touched)s)
AND kind = 'cluster'
"""
# Counting all rows again would take a second for each run of a million.
_RECOUNT = """
UPDATE stage4.runs SET read = read - %(read)s, clustered = clustered - %(clustered)s,
    noise = noise - %(noise)s, filtered = filtered - %(filtered)s,
    unassigned = unassigned - %(unassigned)s, clusters = clusters - %(clusters)s,
    changed_at = clock_timestamp(), deleting = jsonb_build_object(
    'changed', coalesce(deleting->'changed', '[]') || %(changed)s,
    'removed', coalesce(deleting->'removed', '[]') || %(removed)s
)
WHERE load_id = %(load_id)s
"""
_REPORT = """
UPDATE stage4.runs SET report = jsonb_set(
    report #- '{{llm,refusals}}', '{{counts}}', jsonb_build_object(
    'read', read, 'clustered', clustered, 'noise', noise, 'filtered', filtered,
    'unassigned', unassigned, 'clusters', clusters
)) WHERE load_id = %(load_id)s
"""
_METRICS = """
UPDATE stage4.metrics SET value = (report #>> string_to_array(name, '.'))::double precision
FROM stage4.runs
WHERE runs.load_id = metrics.load_id AND runs.load_id = %(load_id)s AND name LIKE 'counts.%%'
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


def hide(connection: Database, document_id: str, this: Tombstones) -> dict[str, dict[str, int]]:
    """Take a document out of all runs, and blank the clusters that lose something.

    Args:
        connection: inside a transaction.
        document_id: of the document.
        this: its tombstone.

    Returns:
        by level: how many `items` of how many `clusters` in how many `runs`.
    """
    counts: dict[str, Counter[str]] = {}
    connection.execute(_UNNAME, {"document": document_id, "gone": GONE_NAME})
    erase(connection, document_id)
    redact = redacting(this)
    for load_id, level, published in connection.execute(_RUNS).fetchall():
        if found := _hide_in_run(connection, load_id, document_id):
            counts.setdefault(level, Counter()).update(found)
        if published:
            hide_mentions(connection, load_id, document_id, redact)
    mark_deleted_for_readers(connection)
    erase_of_deleted_clusters(connection)
    return {level: dict(count) for level, count in counts.items()}


def _hide_in_run(connection: Database, load_id: int, document_id: str) -> dict[str, int]:
    execute = _statements(connection, load_id)
    gone = execute(_TAKE_OUT, document=document_id)
    if not gone:
        return {}
    touched = sorted({cluster for _, cluster, _ in gone if cluster is not None})
    removed = sorted(name for (name,) in execute(_TOO_SMALL, touched=touched))
    changed = sorted(set(touched) - set(removed))
    dissolved = execute(_DISSOLVE, removed=removed)
    execute(_REMOVE, removed=removed)
    execute(_BLANK, label=BLANK_LABEL, document=document_id, touched=changed)
    execute(_UNMARK, touched=changed)
    if _exists(connection, f"stage4.points_{load_id}"):
        execute(_UNDRAW, vectors=[vector for vector, _, _ in gone], removed=removed)
        execute(_RESIZE, touched=changed)
    statuses = Counter(status for _, _, status in gone)
    less = _less(statuses, len(dissolved)) | {"clusters": len(removed)}
    execute(_RECOUNT, load_id=load_id, changed=Jsonb(changed), removed=Jsonb(removed), **less)
    execute(_REPORT, load_id=load_id)
    execute(_METRICS, load_id=load_id)
    mark_deleted(connection, load_id, removed)
    return {"items": len(gone), "clusters": len(touched), "runs": 1}


def _statements(connection: Database, load_id: int) -> Callable[..., list[tuple[Any, ...]]]:
    """What executes statements on the tables of one run."""
    tables = {name: schema.partition(name, load_id) for name in ("clusters", "members", "points")}

    def execute(statement: str, **values: Any) -> list[tuple[Any, ...]]:
        cursor = connection.execute(SQL(statement).format(**tables), values)
        return cursor.fetchall() if cursor.description else []

    return execute


def _less(gone: Counter[str], dissolved: int) -> dict[str, int]:
    """By how much a run's counts fall: those of who is gone, and of who is noise from now on."""
    return {
        "read": gone.total(),
        "clustered": gone["clustered"] + dissolved,
        "noise": gone["noise"] - dissolved,
        "filtered": gone["filtered"],
        "unassigned": gone["unassigned"],
    }


def _exists(connection: Database, table: str) -> bool:
    return connection.execute("SELECT to_regclass(%s) IS NOT NULL", [table]).fetchone() == (True,)
